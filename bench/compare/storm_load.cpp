// SPDX-License-Identifier: Apache-2.0
// Load generator for the topic scenarios: one publisher and --subs subscribers
// of --kind oneway|batch|twoway|ordered, each with an endpoint of its own, in
// this process. Events are published --publish oneway|twoway, at most --ahead
// of what the slowest subscriber has got, and counted when they arrive.
#include <IceStorm/IceStorm.h>

#include "harness.h"

using namespace std;

namespace
{

// Takes every operation and counts.
class Counter : public Ice::Blobject
{
public:
    Counter() : events(0), disorder(0), _last(0) {}

    bool ice_invoke(vector<uint8_t> in, vector<uint8_t>&, const Ice::Current&) override
    {
        uint32_t number = 0;
        if(in.size() >= 10)
        {
            memcpy(&number, in.data() + 6, sizeof(number));
        }
        if(number <= _last)
        {
            ++disorder;
        }
        _last = number;
        ++events;
        return true;
    }

    atomic<uint64_t> events;
    atomic<uint64_t> disorder; // of use where one thread dispatches

private:
    atomic<uint32_t> _last;
};

shared_ptr<Ice::ObjectPrx>
withMode(const shared_ptr<Ice::ObjectPrx>& proxy, const string& kind)
{
    return kind == "oneway" ? proxy->ice_oneway() : kind == "batch" ? proxy->ice_batchOneway() : proxy;
}

class Publisher
{
public:
    Publisher(const shared_ptr<Ice::ObjectPrx>& proxy, const vector<shared_ptr<Counter>>& counters, const Options& o) :
        _proxy(o.str("publish", "oneway") == "oneway" ? proxy->ice_oneway() : proxy), _counters(counters),
        _payload(10 + static_cast<size_t>(o.num("size", 64))), _ahead(static_cast<uint64_t>(o.num("ahead", 500))), _sent(0)
    {
        const uint32_t size = static_cast<uint32_t>(_payload.size());
        memcpy(_payload.data(), &size, sizeof(size));
        _payload[4] = 1;
        _payload[5] = 1;
    }

    uint64_t slowest() const
    {
        uint64_t least = UINT64_MAX;
        for(const auto& c : _counters)
        {
            least = min<uint64_t>(least, c->events);
        }
        return least;
    }

    uint64_t received() const
    {
        uint64_t all = 0;
        for(const auto& c : _counters)
        {
            all += c->events;
        }
        return all;
    }

    void run(double secs)
    {
        vector<uint8_t> out;
        const auto begin = Clock::now();
        while(since(begin) < secs)
        {
            if(_sent - slowest() >= _ahead)
            {
                this_thread::sleep_for(chrono::microseconds(200));
                continue;
            }
            for(uint64_t i = 0; i < max<uint64_t>(_ahead / 10, 1); ++i)
            {
                const uint32_t number = static_cast<uint32_t>(++_sent);
                memcpy(_payload.data() + 6, &number, sizeof(number));
                _proxy->ice_invoke("data", Ice::OperationMode::Normal, _payload, out);
            }
        }
    }

    void drain() const
    {
        const auto begin = Clock::now();
        while(slowest() < _sent)
        {
            if(since(begin) > 30)
            {
                throw runtime_error("a subscriber has " + to_string(slowest()) + " of " + to_string(_sent) + " events");
            }
            sleepFor(0.001);
        }
    }

private:
    const shared_ptr<Ice::ObjectPrx> _proxy;
    const vector<shared_ptr<Counter>>& _counters;
    vector<uint8_t> _payload;
    const uint64_t _ahead;
    uint64_t _sent;
};

void
runPublish(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    auto manager = Ice::uncheckedCast<IceStorm::TopicManagerPrx>(communicator->stringToProxy(o.str("manager")));
    const string kind = o.str("kind", "oneway");
    auto topic = manager->create("bench-" + to_string(Clock::now().time_since_epoch().count()));
    const IceStorm::QoS qos = kind == "ordered" ? IceStorm::QoS{{"reliability", "ordered"}} : IceStorm::QoS{};
    vector<shared_ptr<Counter>> counters;
    for(int i = 0; i < static_cast<int>(o.num("subs", 1)); ++i)
    {
        auto adapter = communicator->createObjectAdapterWithEndpoints("s" + to_string(i), "tcp -h 127.0.0.1");
        auto counter = make_shared<Counter>();
        auto proxy = adapter->add(counter, Ice::stringToIdentity("subscriber" + to_string(i)));
        adapter->activate();
        topic->subscribeAndGetPublisher(qos, withMode(proxy, kind));
        counters.push_back(counter);
    }

    Publisher publisher(topic->getPublisher(), counters, o);
    Watch watch(o.str("watch"));
    publisher.run(0.3);
    publisher.drain();
    const uint64_t before = publisher.received();
    watch.start();
    const auto begin = Clock::now();
    publisher.run(o.num("secs", 2));
    publisher.drain();
    const double elapsed = since(begin);
    watch.stop(r);
    watch.memory(r);
    const double events = publisher.received() - before;
    double disorder = 0;
    for(const auto& c : counters)
    {
        disorder += c->disorder;
    }
    topic->destroy();
    r.set("ops", events);
    r.set("secs", elapsed);
    r.set("events_s", events / elapsed);
    r.set("events_cpu_s", watch.cpu() > 0 ? events / watch.cpu() : 0);
    r.set("disorder", kind == "twoway" ? 0 : disorder);
}

}

int
main(int argc, char* argv[])
{
    try
    {
        Options o(argc, argv);
        Report r;
        Ice::InitializationData id;
        id.properties = Ice::createProperties();
        id.properties->setProperty("Ice.ThreadPool.Server.Size", "1");
        Ice::CommunicatorHolder holder(id);
        if(o.command != "publish")
        {
            throw runtime_error("unknown command " + o.command);
        }
        runPublish(holder.communicator(), o, r);
        r.print();
        return 0;
    }
    catch(const exception& ex)
    {
        cerr << "storm_load: " << ex.what() << endl;
        return 1;
    }
}
