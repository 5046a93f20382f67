// SPDX-License-Identifier: Apache-2.0
// A routing table of ten entries and many more objects than that: what is evicted comes back without the client
// noticing.

#include "client.h"

#include <random>

int attack(const Addresses &where)
{
    Ice::CommunicatorHolder c(settings());
    auto router = Ice::uncheckedCast<Glacier2::RouterPrx>(c->stringToProxy(where.router));
    router->createSession("alice", "wonderland");
    c->setDefaultRouter(router);
    const std::string endpoint = where.target.substr(where.target.find(':'));
    std::minstd_rand chance(4711);
    int answered = 0;
    for (int n = 0; n < 3000; ++n) {
        std::string name(1, char('a' + chance() % 26));
        if (chance() % 2) {
            name += char('a' + chance() % 26);
        }
        c->stringToProxy(name + endpoint)->ice_ping();
        ++answered;
    }
    say("pings", std::to_string(answered));
    auto a = c->stringToProxy("one" + endpoint), b = c->stringToProxy("two" + endpoint);
    std::vector<std::future<void>> pending;
    for (int n = 0; n < 500; ++n) // with a hundred identities at once, each evicting others under way
    {
        pending.push_back(c->stringToProxy("async" + std::to_string(n % 100) + endpoint)->ice_pingAsync());
    }
    int failed = 0;
    for (auto &p : pending) {
        try {
            p.get();
        } catch (const Ice::Exception &e) {
            ++failed;
        }
    }
    say("at once", std::to_string(pending.size()) + " pings, " + std::to_string(failed) + " failed");
    for (int n = 0; n < 100; ++n) {
        (n % 2 ? a : b)->ice_ping();
    }
    call("destroy", [&] {
        router->destroySession();
        return "done";
    });
    return 0;
}
