// SPDX-License-Identifier: Apache-2.0
#include "deployed.h"

#include <chrono>
#include <thread>

namespace
{

// Answers every operation, with the name of its server as a string, or as the question asks: ice_ping and ice_isA in their own way.
class Everybody : public Ice::Blobject
{
public:
    explicit Everybody(std::string who) : _who(std::move(who)) {}

    bool ice_invoke(Ice::ByteSeq in, Ice::ByteSeq& out, const Ice::Current& current) override
    {
        Ice::OutputStream stream(current.adapter->getCommunicator());
        stream.startEncapsulation();
        if(current.operation == "ice_isA")
        {
            stream.write(true);
        }
        else if(current.operation == "property")
        {
            Ice::InputStream question(current.adapter->getCommunicator(), in);
            std::string name;
            question.startEncapsulation();
            question.read(name);
            question.endEncapsulation();
            stream.write(current.adapter->getCommunicator()->getProperties()->getProperty(name));
        }
        else if(current.operation != "ice_ping")
        {
            stream.write(_who);
        }
        stream.endEncapsulation();
        stream.finished(out);
        return true;
    }

private:
    const std::string _who;
};

}

void serve(const Ice::CommunicatorPtr& communicator, const std::string& who)
{
    const auto properties = communicator->getProperties();
    // How long a start takes is what activation timeouts are about.
    std::this_thread::sleep_for(std::chrono::milliseconds(properties->getPropertyAsInt("Probe.Delay")));
    for(const auto& name : properties->getPropertyAsList("Probe.Adapters"))
    {
        const auto adapter = communicator->createObjectAdapter(name);
        adapter->addDefaultServant(std::make_shared<Everybody>(who), "");
        adapter->activate();
    }
}
