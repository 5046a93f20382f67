// SPDX-License-Identifier: Apache-2.0
// Shared by the load generators: options, process sampling, the closed loop,
// and a JSON line on stdout as the only output.
#pragma once

#include <Ice/Ice.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <time.h>
#include <unistd.h>

typedef std::chrono::steady_clock Clock;

inline double
since(Clock::time_point t)
{
    return std::chrono::duration<double>(Clock::now() - t).count();
}

inline void
sleepFor(double seconds)
{
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

// --name value pairs; the first argument is the command.
class Options
{
public:
    Options(int argc, char* argv[])
    {
        if(argc < 2)
        {
            throw std::runtime_error("no command");
        }
        command = argv[1];
        for(int i = 2; i + 1 < argc; i += 2)
        {
            std::string name = argv[i];
            if(name.compare(0, 2, "--") != 0)
            {
                throw std::runtime_error("bad option " + name);
            }
            _values[name.substr(2)] = argv[i + 1];
        }
    }

    std::string str(const std::string& name, const std::string& def = "") const
    {
        auto p = _values.find(name);
        return p == _values.end() ? def : p->second;
    }

    double num(const std::string& name, double def) const
    {
        auto p = _values.find(name);
        return p == _values.end() ? def : atof(p->second.c_str());
    }

    std::string command;

private:
    std::map<std::string, std::string> _values;
};

// An ordered set of numbers, printed as one JSON line.
class Report
{
public:
    void set(const std::string& key, double value)
    {
        for(auto& p : _values)
        {
            if(p.first == key)
            {
                p.second = value;
                return;
            }
        }
        _values.push_back(std::make_pair(key, value));
    }

    void print() const
    {
        std::ostringstream os;
        os << "{";
        const char* sep = "";
        for(const auto& p : _values)
        {
            char number[64];
            snprintf(number, sizeof(number), "%.9g", p.second);
            os << sep << "\"" << p.first << "\": " << number;
            sep = ", ";
        }
        os << "}";
        std::cout << os.str() << std::endl;
    }

private:
    std::vector<std::pair<std::string, double>> _values;
};

// CPU and memory of the server processes named by --watch name=pid,name=pid.
// CPU time comes from the kernel's per-process clock, so it has nanosecond
// resolution and includes threads that have ended.
class Watch
{
public:
    explicit Watch(const std::string& spec)
    {
        std::istringstream is(spec);
        std::string item;
        while(std::getline(is, item, ','))
        {
            size_t eq = item.find('=');
            if(eq != std::string::npos)
            {
                _procs.push_back(Proc{item.substr(0, eq), atoi(item.c_str() + eq + 1), 0});
            }
        }
        _procs.push_back(Proc{"load", static_cast<int>(getpid()), 0});
    }

    void start()
    {
        for(auto& p : _procs)
        {
            p.cpu = cpuOf(p.pid);
        }
        _ticks = ticks();
    }

    void stop(Report& r) const
    {
        for(const auto& p : _procs)
        {
            r.set("cpu_" + p.name, cpuOf(p.pid) - p.cpu);
        }
        const auto now = ticks();
        const double all = now.first - _ticks.first;
        r.set("steal_pct", all > 0 ? 100 * (now.second - _ticks.second) / all : 0);
    }

    // CPU seconds of the first watched process since start().
    double cpu() const { return cpuOf(_procs.front().pid) - _procs.front().cpu; }

    void memory(Report& r, const std::string& suffix = "") const
    {
        for(const auto& p : _procs)
        {
            r.set("rss_kb_" + p.name + suffix, status(p.pid, "VmRSS:"));
            r.set("peak_kb_" + p.name + suffix, status(p.pid, "VmHWM:"));
        }
    }

    // Resident memory of the first watched process.
    double rss() const { return status(_procs.front().pid, "VmRSS:"); }

private:
    struct Proc
    {
        std::string name;
        int pid;
        double cpu;
    };

    static double cpuOf(int pid)
    {
        clockid_t clock;
        struct timespec ts;
        if(clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        {
            return 0;
        }
        return ts.tv_sec + ts.tv_nsec / 1e9;
    }

    // All CPU time of the machine so far, and the part taken by its host.
    static std::pair<double, double> ticks()
    {
        std::ifstream in("/proc/stat");
        std::string cpu;
        in >> cpu;
        double all = 0;
        double steal = 0;
        for(int i = 0; i < 8; ++i)
        {
            in >> steal;
            all += steal;
        }
        return std::make_pair(all, steal);
    }

    static double status(int pid, const std::string& key)
    {
        std::ifstream in("/proc/" + std::to_string(pid) + "/status");
        std::string line;
        while(std::getline(in, line))
        {
            if(line.compare(0, key.size(), key) == 0)
            {
                return atof(line.c_str() + key.size());
            }
        }
        return 0;
    }

    std::vector<Proc> _procs;
    std::pair<double, double> _ticks;
};

// Latency samples in microseconds.
inline void
latencies(Report& r, std::vector<float>& v, const std::string& prefix = "")
{
    if(v.empty())
    {
        return;
    }
    std::sort(v.begin(), v.end());
    r.set(prefix + "p50_us", v[v.size() / 2]);
    r.set(prefix + "p99_us", v[std::min(v.size() - 1, v.size() * 99 / 100)]);
    r.set(prefix + "max_us", v.back());
}

// Calls back once per operation: true for success.
typedef std::function<void(bool)> Done;
typedef std::function<void(const Done&)> Operation;

// A number of clients, each with exactly one operation outstanding: when one
// completes the next is issued from the completion callback.
class ClosedLoop
{
public:
    explicit ClosedLoop(const std::vector<Operation>& ops) :
        _clients(ops.size()), _phase(Warm), _active(0), _issued(0)
    {
        for(size_t i = 0; i < ops.size(); ++i)
        {
            _clients[i].op = ops[i];
            _clients[i].done = [this, i](bool ok) { finish(i, ok); };
        }
    }

    void run(Report& r, Watch& watch, double warm, double secs)
    {
        _active = static_cast<int>(_clients.size());
        for(size_t i = 0; i < _clients.size(); ++i)
        {
            issue(i);
        }
        sleepFor(warm);
        watch.start();
        _begin = Clock::now();
        _phase = Measure;
        sleepFor(secs);
        _phase = Stop;
        const double elapsed = since(_begin);
        watch.stop(r);
        watch.memory(r);
        {
            std::unique_lock<std::mutex> lock(_mutex);
            if(!_cond.wait_for(lock, std::chrono::seconds(30), [this] { return _active == 0; }))
            {
                throw std::runtime_error("operations still outstanding after 30 s");
            }
        }

        std::vector<float> all;
        double errors = 0;
        for(auto& c : _clients)
        {
            all.insert(all.end(), c.latency.begin(), c.latency.end());
            errors += c.errors;
        }
        r.set("ops", all.size());
        r.set("secs", elapsed);
        r.set("ops_s", all.size() / elapsed);
        r.set("errors", errors);
        latencies(r, all);
    }

    // Operations issued, including those of the warm-up.
    uint64_t issued() const { return _issued; }

private:
    enum Phase { Warm, Measure, Stop };

    struct Client
    {
        Client() : errors(0), failures(0) {}
        Operation op;
        Done done;
        Clock::time_point start;
        std::vector<float> latency;
        double errors;
        int failures;
    };

    void issue(size_t i)
    {
        Client& c = _clients[i];
        if(_phase == Stop || c.failures > 100)
        {
            std::lock_guard<std::mutex> lock(_mutex);
            if(--_active == 0)
            {
                _cond.notify_all();
            }
            return;
        }
        ++_issued;
        c.start = Clock::now();
        c.op(c.done);
    }

    void finish(size_t i, bool ok)
    {
        Client& c = _clients[i];
        c.failures = ok ? 0 : c.failures + 1;
        if(_phase == Measure)
        {
            if(!ok)
            {
                ++c.errors;
            }
            else
            {
                c.latency.push_back(static_cast<float>(since(c.start) * 1e6));
            }
        }
        issue(i);
    }

    std::vector<Client> _clients;
    std::atomic<Phase> _phase;
    Clock::time_point _begin;
    int _active;
    std::atomic<uint64_t> _issued;
    std::mutex _mutex;
    std::condition_variable _cond;
};

// Run `total` asynchronous operations with at most `window` outstanding.
// start(i, done) issues operation i. Returns the number that failed.
inline size_t
runAll(size_t total, size_t window, const std::function<void(size_t, const Done&)>& start)
{
    std::mutex mutex;
    std::condition_variable cond;
    size_t outstanding = 0;
    size_t failed = 0;
    Done done = [&](bool ok)
    {
        std::lock_guard<std::mutex> lock(mutex);
        --outstanding;
        failed += ok ? 0 : 1;
        cond.notify_all();
    };
    for(size_t i = 0; i < total; ++i)
    {
        {
            std::unique_lock<std::mutex> lock(mutex);
            cond.wait(lock, [&] { return outstanding < window; });
            ++outstanding;
        }
        start(i, done);
    }
    std::unique_lock<std::mutex> lock(mutex);
    cond.wait(lock, [&] { return outstanding == 0; });
    return failed;
}

// The first few failures go to stderr so that a broken run explains itself.
inline std::string
whatOf(const std::exception& ex)
{
    return ex.what();
}

inline void
complain(std::exception_ptr ex, const std::function<std::string(const std::exception&)>& describe = whatOf)
{
    static std::atomic<int> count(0);
    if(++count > 3)
    {
        return;
    }
    try
    {
        std::rethrow_exception(ex);
    }
    catch(const std::exception& e)
    {
        std::cerr << describe(e) << std::endl;
    }
}

inline Ice::CommunicatorPtr
makeCommunicator(const Options& o)
{
    Ice::InitializationData init;
    init.properties = Ice::createProperties();
    const std::string config = o.str("config");
    if(!config.empty())
    {
        init.properties->load(config);
    }
    init.properties->setProperty("Ice.Default.LocatorCacheTimeout", "0");
    init.properties->setProperty("Ice.MessageSizeMax", "0");
    return Ice::initialize(init);
}
