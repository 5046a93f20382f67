// SPDX-License-Identifier: Apache-2.0
// What the scenarios of the C++ client share: addresses, a record on stdout, a callback servant.
#pragma once

#include <Probe.h>

#include <Glacier2/Glacier2.h>
#include <Ice/Ice.h>

#include <condition_variable>
#include <functional>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

struct Addresses {
    std::string transport; // tcp
    int port; // of the router's client endpoint
    std::string router; // its proxy
    std::string target; // the proxy of the object behind it

    std::string on(const std::string &identity) const // an identity on the router's client endpoint
    {
        return identity + router.substr(router.find(':'));
    }
};

inline void say(const std::string &label, const std::string &text)
{
    static std::mutex lock;
    std::lock_guard<std::mutex> guard(lock);
    std::cout << label << ": " << text << std::endl;
}

// The result of an operation, or the exception that came instead, as one line.
inline void call(const std::string &label, const std::function<std::string()> &operation)
{
    try {
        say(label, operation());
    } catch (const Glacier2::PermissionDeniedException &e) {
        say(label, e.ice_id() + " " + e.reason);
    } catch (const Glacier2::CannotCreateSessionException &e) {
        say(label, e.ice_id() + " " + e.reason);
    } catch (const Ice::RequestFailedException &e) {
        say(label, e.ice_id() + " " + e.id.name + "/" + e.facet + "/" + e.operation);
    } catch (const Ice::Exception &e) {
        say(label, e.ice_id());
    }
}

inline std::string yes(bool value)
{
    return value ? "yes" : "no";
}

// Set once, waited for by others.
class Event
{
  public:
    void set()
    {
        std::lock_guard<std::mutex> guard(_lock);
        _set = true;
        _changed.notify_all();
    }

    bool wait()
    {
        std::unique_lock<std::mutex> guard(_lock);
        return _changed.wait_for(guard, std::chrono::seconds(30), [this] { return _set; });
    }

  private:
    std::mutex _lock;
    std::condition_variable _changed;
    bool _set = false;
};

class CallbackI : public Probe::Callback
{
  public:
    void note(int n, const Ice::Current &) override
    {
        std::lock_guard<std::mutex> guard(_lock);
        _notes.push_back(n);
        _changed.notify_all();
    }

    std::string answer(std::string question, const Ice::Current &) override
    {
        if (question == "block") {
            blocked.set();
            release.wait();
        }
        return "answer to " + question.substr(0, 20) + " of " + std::to_string(question.size());
    }

    void fail(std::string reason, const Ice::Current &) override
    {
        throw Probe::Problem(reason);
    }

    // Whether `count` notes came, numbered in order.
    bool notes(int count)
    {
        std::unique_lock<std::mutex> guard(_lock);
        _changed.wait_for(guard, std::chrono::seconds(30), [this, count] { return int(_notes.size()) >= count; });
        for (int n = 0; n < int(_notes.size()); ++n) {
            if (_notes[n] != n) {
                return false;
            }
        }
        return int(_notes.size()) == count;
    }

    Event blocked; // a question blocks here
    Event release; // and is answered after this

  private:
    std::mutex _lock;
    std::condition_variable _changed;
    std::vector<int> _notes;
};

int helper(const Addresses &where);
int application(const Addresses &where, int argc, char *argv[]);
int router(const Addresses &where);
int attack(const Addresses &where);

// A communicator with the properties that all scenarios use.
Ice::InitializationData settings();
