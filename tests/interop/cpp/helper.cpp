// SPDX-License-Identifier: Apache-2.0
// Glacier2::SessionFactoryHelper: connect, be refused, call and be called, leave, lose the connection, give up while
// connecting.

#include "client.h"

namespace
{

class Watcher : public Glacier2::SessionCallback
{
  public:
    void createdCommunicator(const Glacier2::SessionHelperPtr &) override
    {
        created.set();
    }

    void connected(const Glacier2::SessionHelperPtr &) override
    {
        up.set();
        settled.set();
    }

    void disconnected(const Glacier2::SessionHelperPtr &) override
    {
        down.set();
    }

    void connectFailed(const Glacier2::SessionHelperPtr &, const Ice::Exception &e) override
    {
        failure = e.ice_id();
        try {
            e.ice_throw();
        } catch (const Glacier2::PermissionDeniedException &denied) {
            failure += " " + denied.reason;
        } catch (const Ice::Exception &) {
        }
        settled.set();
    }

    Event created, up, down, settled;
    std::string failure;
};

struct Attempt {
    std::shared_ptr<Watcher> watcher;
    std::shared_ptr<Glacier2::SessionFactoryHelper> factory;
    Glacier2::SessionHelperPtr session;
};

Attempt connect(const Addresses &where, const std::string &user, const std::string &password, bool callbacks = true)
{
    Attempt a;
    a.watcher = std::make_shared<Watcher>();
    a.factory = std::make_shared<Glacier2::SessionFactoryHelper>(settings(), a.watcher);
    a.factory->setRouterHost("127.0.0.1");
    a.factory->setPort(where.port);
    a.factory->setProtocol(where.transport);
    a.factory->setUseCallbacks(callbacks);
    a.session = a.factory->connect(user, password);
    return a;
}

std::shared_ptr<Probe::TargetPrx> target(const Attempt &a, const Addresses &where)
{
    return Ice::uncheckedCast<Probe::TargetPrx>(a.session->communicator()->stringToProxy(where.target));
}

void refused(const Addresses &where)
{
    for (const auto &[user, password] : {std::pair<std::string, std::string>("alice", "builder"), {"mallory", "x"}}) {
        Attempt a = connect(where, user, password);
        say(user + " settled", yes(a.watcher->settled.wait()));
        say(user + " failure", a.watcher->failure);
        say(user + " connected", yes(a.session->isConnected()));
    }
}

void accepted(const Addresses &where, bool callbacks)
{
    Attempt a = connect(where, "alice", "wonderland", callbacks);
    say("connected", yes(a.watcher->up.wait()) + a.watcher->failure);
    say("communicator created", yes(a.watcher->created.wait()));
    say("is connected", yes(a.session->isConnected()));
    say("session", a.session->session() ? "a proxy" : "null");
    say("category", std::to_string(a.session->categoryForClient().size()));
    auto object = target(a, where);
    call("echo", [&] { return object->echo("through the helper"); });
    if (callbacks) {
        auto servant = std::make_shared<CallbackI>();
        auto proxy = a.session->addWithUUID(servant);
        say("callback's category", yes(proxy->ice_getIdentity().category == a.session->categoryForClient()));
        call("subscribe", [&] {
            object->subscribe(Ice::uncheckedCast<Probe::CallbackPrx>(proxy));
            return "";
        });
        call("ask", [&] { return object->ask("anybody?"); });
        call("notify", [&] {
            object->notify(50);
            return yes(servant->notes(50));
        });
    }
    a.session->destroy();
    say("disconnected", yes(a.watcher->down.wait()));
    say("still connected", yes(a.session->isConnected()));
}

// The connection goes away under the helper: its close callback ends the session.
void lost(const Addresses &where)
{
    Attempt a = connect(where, "bob", "builder");
    say("bob connected", yes(a.watcher->up.wait()));
    a.session->communicator()->getDefaultRouter()->ice_getCachedConnection()->close(Ice::ConnectionClose::Forcefully);
    say("bob disconnected", yes(a.watcher->down.wait()));
}

} // namespace

int helper(const Addresses &where)
{
    refused(where);
    accepted(where, true);
    accepted(where, false);
    lost(where);
    return 0;
}
