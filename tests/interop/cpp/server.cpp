// SPDX-License-Identifier: Apache-2.0
// cpp_server: a server for deployments. Properties: Probe.Adapters (names), Probe.Delay (ms until they are active), Probe.Exit (status
// at once instead of serving), Probe.Lines (as many lines to both outputs), Probe.Orphan (1: outlives the node that started it).
#include "deployed.h"

#include <chrono>
#include <iostream>
#include <thread>
#include <unistd.h>

namespace
{

// Ends the process when the one that started it is gone: tests end nodes by kill -9. Not by PR_SET_PDEATHSIG, which counts the
// death of the thread that forked.
void leaveWithParent()
{
    std::thread([parent = getppid()]
    {
        while(getppid() == parent)
        {
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
        _exit(1);
    }).detach();
}

}

int main(int argc, char* argv[])
{
    try
    {
        Ice::CtrlCHandler signals;
        Ice::CommunicatorHolder communicator(argc, argv);
        const auto properties = communicator->getProperties();
        if(properties->getPropertyAsInt("Probe.Orphan") == 0)
        {
            leaveWithParent();
        }
        signals.setCallback([&communicator](int) { communicator->shutdown(); });
        for(int n = 1; n <= properties->getPropertyAsInt("Probe.Lines"); ++n)
        {
            std::cout << "out " << n << std::endl;
            std::cerr << "err " << n << std::endl;
        }
        if(!properties->getProperty("Probe.Exit").empty())
        {
            return properties->getPropertyAsInt("Probe.Exit");
        }
        serve(communicator.communicator(), properties->getProperty("Ice.Admin.ServerId"));
        communicator->waitForShutdown();
        return 0;
    }
    catch(const std::exception& e)
    {
        std::cerr << e.what() << std::endl;
        return 1;
    }
}
