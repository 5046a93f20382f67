// SPDX-License-Identifier: Apache-2.0
// The application behind the gateway: echo, a counting sink and a pusher.
#include <Bench.h>
#include <Ice/Ice.h>

#include <atomic>
#include <iostream>
#include <map>
#include <mutex>

namespace
{

class Pusher : public std::enable_shared_from_this<Pusher>
{
public:
    Pusher(const std::shared_ptr<Bench::ReceiverPrx>& target, int size) :
        _target(target), _payload(size), _stopped(false)
    {
    }

    void push()
    {
        if(_stopped)
        {
            return;
        }
        auto self = shared_from_this();
        _target->dataAsync(_payload,
                           [self]() { self->push(); },
                           [self](std::exception_ptr) { self->_stopped = true; });
    }

    void stop() { _stopped = true; }

private:
    const std::shared_ptr<Bench::ReceiverPrx> _target;
    const Bench::Bytes _payload;
    std::atomic<bool> _stopped;
};

class EchoI : public Bench::Echo
{
public:
    EchoI() : _sunk(0) {}

    Bench::Bytes bounce(Bench::Bytes payload, const Ice::Current&) override { return payload; }

    void sink(Bench::Bytes, const Ice::Current&) override { ++_sunk; }

    Ice::Long sunk(const Ice::Current&) override { return _sunk; }

    void startPush(std::shared_ptr<Ice::ObjectPrx> target, int size, int window, const Ice::Current& current) override
    {
        const Ice::Identity id = target->ice_getIdentity();
        if(target->ice_getEndpoints().empty())
        {
            target = current.con->createProxy(id);
        }
        auto pusher = std::make_shared<Pusher>(Ice::uncheckedCast<Bench::ReceiverPrx>(target), size);
        {
            std::lock_guard<std::mutex> lock(_mutex);
            _pushers[id] = pusher;
        }
        for(int i = 0; i < window; ++i)
        {
            pusher->push();
        }
    }

    void stopPush(std::shared_ptr<Ice::ObjectPrx> target, const Ice::Current&) override
    {
        std::lock_guard<std::mutex> lock(_mutex);
        auto p = _pushers.find(target->ice_getIdentity());
        if(p != _pushers.end())
        {
            p->second->stop();
            _pushers.erase(p);
        }
    }

private:
    std::atomic<Ice::Long> _sunk;
    std::mutex _mutex;
    std::map<Ice::Identity, std::shared_ptr<Pusher>> _pushers;
};

}

int
main(int argc, char* argv[])
{
    try
    {
        Ice::CtrlCHandler ctrlC;
        Ice::CommunicatorHolder communicator(argc, argv);
        ctrlC.setCallback([&communicator](int) { communicator->shutdown(); });
        auto adapter = communicator->createObjectAdapter("Echo");
        adapter->add(std::make_shared<EchoI>(), Ice::stringToIdentity("echo"));
        adapter->activate();
        communicator->waitForShutdown();
        return 0;
    }
    catch(const std::exception& ex)
    {
        std::cerr << "echo_server: " << ex.what() << std::endl;
        return 1;
    }
}
