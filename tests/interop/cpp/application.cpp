// SPDX-License-Identifier: Apache-2.0
// Glacier2::Application: a session per run; restart() and a lost connection begin another one.

#include "client.h"

namespace
{

class Client : public Glacier2::Application
{
  public:
    explicit Client(const Addresses &where) : _where(where)
    {
    }

    Glacier2::SessionPrxPtr createSession() override
    {
        say("creating a session", std::to_string(++_sessions));
        return router()->createSession("alice", "wonderland") ? nullptr
                                                              : Ice::uncheckedCast<Glacier2::SessionPrx>(router());
    }

    int runWithSession(int, char *[]) override
    {
        auto object = Ice::uncheckedCast<Probe::TargetPrx>(communicator()->stringToProxy(_where.target));
        call("echo", [&] { return object->echo("run " + std::to_string(_sessions)); });
        auto servant = std::make_shared<CallbackI>();
        auto proxy = addWithUUID(servant);
        say("category", yes(proxy->ice_getIdentity().category == categoryForClient()));
        object->subscribe(Ice::uncheckedCast<Probe::CallbackPrx>(proxy));
        call("ask", [&] { return object->ask("run"); });
        if (_sessions == 1) {
            restart();
        }
        if (_sessions == 2) {
            router()->ice_getCachedConnection()->close(Ice::ConnectionClose::Forcefully);
            _lost.wait();
            throw Ice::ConnectionLostException(__FILE__, __LINE__, 0); // what a call under way would have met
        }
        return 7;
    }

    void sessionDestroyed() override
    {
        say("session destroyed", std::to_string(_sessions));
        _lost.set();
    }

  private:
    const Addresses _where;
    int _sessions = 0;
    Event _lost;
};

} // namespace

int application(const Addresses &where, int argc, char *argv[])
{
    Client client(where);
    Ice::InitializationData init = settings();
    init.properties->setProperty("Ice.Default.Router", where.router);
    say("exit status", std::to_string(client.main(argc, argv, init)));
    return 0;
}
