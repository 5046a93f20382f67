// SPDX-License-Identifier: Apache-2.0
// The router from before the login to its shutdown through the Process facet: calls, callbacks, batches, concurrent
// clients that block in callbacks while others go on, threads with large payloads.

#include "client.h"

#include <set>
#include <thread>

namespace
{

using TargetPtr = std::shared_ptr<Probe::TargetPrx>;

struct Client {
    Ice::CommunicatorHolder holder;
    std::shared_ptr<Glacier2::RouterPrx> router;
    Ice::ObjectAdapterPtr adapter;
    std::shared_ptr<CallbackI> servant;
    TargetPtr target;

    Client(const Addresses &where, const std::string &user, const std::string &password)
        : holder(settings()), router(Ice::uncheckedCast<Glacier2::RouterPrx>(holder->stringToProxy(where.router)))
    {
        router->createSession(user, password);
        holder->setDefaultRouter(router);
        target = Ice::uncheckedCast<Probe::TargetPrx>(holder->stringToProxy(where.target));
        adapter = holder->createObjectAdapterWithRouter("", router);
        adapter->activate();
        servant = std::make_shared<CallbackI>();
    }

    std::shared_ptr<Probe::CallbackPrx> callback(const std::string &name, const std::string &category)
    {
        Ice::Identity id{name, category};
        if (!adapter->find(id) && name == "callback") {
            adapter->add(servant, id);
        }
        return Ice::uncheckedCast<Probe::CallbackPrx>(adapter->createProxy(id));
    }

    void subscribe()
    {
        target->subscribe(callback("callback", router->getCategoryForClient()));
    }
};

void before(const Addresses &where)
{
    Ice::CommunicatorHolder c(settings());
    auto router = Ice::uncheckedCast<Glacier2::RouterPrx>(c->stringToProxy(where.router));
    auto object = c->stringToProxy(where.target)->ice_router(router);
    call("ping before the login", [&] {
        object->ice_ping();
        return "";
    });
    call("finder", [&] {
        return Ice::uncheckedCast<Ice::RouterFinderPrx>(c->stringToProxy(where.on("Ice/RouterFinder")))
            ->getRouter()
            ->ice_getIdentity()
            .category;
    });
    call("wrong password", [&] {
        router->createSession("alice", "no");
        return "";
    });
    call("destroy without a session", [&] {
        router->destroySession();
        return "";
    });
    call("login", [&] { return router->createSession("alice", "wonderland") ? "proxy" : "null"; });
    call("second session", [&] {
        router->createSession("alice", "wonderland");
        return "";
    });
    call("ping", [&] {
        object->ice_ping();
        return "answered";
    });
    call("destroy", [&] {
        router->destroySession();
        return "";
    });
    call("ping after", [&] {
        object->ice_ping();
        return "";
    });
}

void callbacks(Client &client)
{
    client.subscribe();
    call("ask", [&] { return client.target->ask("you"); });
    call("user exception through a callback", [&] { return client.target->askToFail("as asked"); });
    client.target->notify(200);
    say("notes in order", yes(client.servant->notes(200)));
    client.target->subscribe(client.callback("stranger", client.router->getCategoryForClient()));
    call("no such callback object", [&] { return client.target->askToFail("x"); });
    client.target->subscribe(client.callback("callback", "01234567890123456789"));
    call("fake category", [&] { return client.target->askToFail("x"); });
}

void batches(Client &client)
{
    auto batch = client.target->ice_batchOneway();
    for (int n = 0; n < 500; ++n) {
        batch->put(n);
    }
    batch->ice_flushBatchRequests();
    auto oneway = client.target->ice_oneway();
    for (int n = 500; n < 1000; ++n) {
        (n % 7 ? oneway : client.target)->put(n);
    }
    std::set<int> arrived; // in any order: the server has many threads
    std::size_t calls = 0;
    while (arrived.size() < 1000 && ++calls < 1000) {
        for (int n : client.target->taken()) {
            arrived.insert(n);
        }
    }
    say("batch and oneways arrived", std::to_string(arrived.size()));
}

// Some clients sit in a callback; the others are served meanwhile, then those too.
void concurrent(const Addresses &where)
{
    std::vector<std::unique_ptr<Client>> blocked, free;
    std::vector<std::future<std::string>> pending;
    for (int n = 0; n < 3; ++n) {
        Addresses own = where;
        own.target = "block" + std::to_string(n) + where.target.substr(where.target.find(':'));
        blocked.push_back(std::make_unique<Client>(own, "alice", "wonderland"));
        blocked.back()->subscribe();
        pending.push_back(blocked.back()->target->askAsync("block"));
        say("blocks", yes(blocked.back()->servant->blocked.wait()));
    }
    for (int n = 0; n < 3; ++n) {
        Addresses own = where;
        own.target = "free" + std::to_string(n) + where.target.substr(where.target.find(':'));
        free.push_back(std::make_unique<Client>(own, "bob", "builder"));
        free.back()->subscribe();
        call("served meanwhile", [&] { return free.back()->target->ask("free"); });
    }
    for (auto &client : blocked) {
        client->servant->release.set();
    }
    for (auto &answer : pending) {
        call("unblocked", [&] { return answer.get(); });
    }
}

// Threads of several clients, with payloads of 200 KB in both directions, by calls and by callbacks.
void stress(const Addresses &where)
{
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
        threads.emplace_back([&, n] {
            Addresses own = where;
            own.target = "stress" + std::to_string(n) + where.target.substr(where.target.find(':'));
            Client client(own, "alice", "wonderland");
            client.subscribe();
            const std::string large(200000, char('a' + n));
            for (int k = 0; k < 15; ++k) {
                right += client.target->echo(large) == large;
                right += client.target->ask(large) == "answer to " + large.substr(0, 20) + " of 200000";
                right += client.target->blob(150000).size() == 150000;
            }
        });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    say("right answers", std::to_string(right) + " of 180");
}

} // namespace

int router(const Addresses &where)
{
    before(where);
    {
        Client client(where, "alice", "wonderland");
        callbacks(client);
        batches(client);
    }
    concurrent(where);
    stress(where);
    return 0;
}
