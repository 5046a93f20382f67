// SPDX-License-Identifier: Apache-2.0
// cpp_client SCENARIO PORT ROUTER TARGET: prints what a client of the C++ binding sees of a router.

#include "client.h"

Ice::InitializationData settings()
{
    Ice::InitializationData init;
    init.properties = Ice::createProperties();
    for (const auto &[name, value] : Ice::PropertyDict{{"Ice.Warn.Connections", "0"},
                                                       {"Ice.Default.Host", "127.0.0.1"},
                                                       {"Ice.Default.InvocationTimeout", "30000"},
                                                       {"Ice.RetryIntervals", "-1"},
                                                       {"Ice.ThreadPool.Client.Size", "2"},
                                                       {"Ice.ThreadPool.Client.Serialize", "1"},
                                                       {"Ice.ThreadPool.Client.SizeMax", "8"}}) {
        init.properties->setProperty(name, value);
    }
    return init;
}

int main(int argc, char *argv[])
{
    if (argc != 5) {
        std::cerr << "usage: cpp_client helper|application|router|attack PORT ROUTER TARGET" << std::endl;
        return 2;
    }
    const std::string scenario = argv[1];
    const Addresses where{"tcp", std::stoi(argv[2]), argv[3], argv[4]};
    try {
        return scenario == "helper"        ? helper(where)
               : scenario == "application" ? application(where, 1, argv)
               : scenario == "router"      ? router(where)
               : scenario == "attack"      ? attack(where)
                                           : 2;
    } catch (const std::exception &e) {
        std::cerr << "stopped by " << e.what() << std::endl;
        return 1;
    }
}
