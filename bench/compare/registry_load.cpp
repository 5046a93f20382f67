// SPDX-License-Identifier: Apache-2.0
// Load generator for the registry scenarios. --locator names the registry (or
// several replicas) to work against.
//
//   locate    closed loop of lookups           --kind object|adapter
//   query     closed loop of queries           --op all|type|load|info
//   populate  register --objects and --adapters
//   add       rate of single registrations     --op object|adapter|application
//   session   rate of create/destroy session
//   alloc     clients contending for --pool allocatable objects
//   failover  paced lookups; longest gap and failures
//   await     poll until an object and an adapter are found
#include <IceGrid/IceGrid.h>

#include "harness.h"

using namespace std;

namespace
{

const char* const objectType = "::Bench::Echo";
const char* const endpoints = ":tcp -h 127.0.0.1 -p 9";

shared_ptr<IceGrid::LocatorPrx>
locatorOf(const Ice::CommunicatorPtr& communicator, const Options& o, size_t i = 0)
{
    auto proxy = communicator->stringToProxy(o.str("locator"))->ice_connectionId("client" + to_string(i));
    return Ice::uncheckedCast<IceGrid::LocatorPrx>(proxy);
}

shared_ptr<Ice::ObjectPrx>
objectProxy(const Ice::CommunicatorPtr& communicator, const string& name)
{
    return communicator->stringToProxy(name + endpoints);
}

struct AdminClient
{
    AdminClient(const Ice::CommunicatorPtr& communicator, const Options& o)
    {
        auto registry = locatorOf(communicator, o)->getLocalRegistry();
        session = registry->createAdminSession("user", "password");
        session->ice_getConnection()->setACM(registry->getACMTimeout(), Ice::ACMClose::CloseOff,
                                             Ice::ACMHeartbeat::HeartbeatAlways);
        admin = session->getAdmin();
    }

    ~AdminClient()
    {
        try
        {
            session->destroy();
        }
        catch(const exception&)
        {
        }
    }

    shared_ptr<IceGrid::AdminSessionPrx> session;
    shared_ptr<IceGrid::AdminPrx> admin;
};

// An application of one server with one adapter, `objects` plain and
// `allocatables` allocatable objects.
IceGrid::ApplicationDescriptor
application(const string& name, int objects, int allocatables)
{
    auto make = [&](const string& kind, int i)
    {
        IceGrid::ObjectDescriptor d;
        d.id.name = name + "-" + kind + to_string(i);
        d.type = "::Bench::" + name + "-" + kind;
        return d;
    };
    IceGrid::AdapterDescriptor adapter;
    adapter.name = "Adapter";
    adapter.id = name + "-adapter";
    adapter.registerProcess = false;
    adapter.serverLifetime = true;
    for(int i = 0; i < objects; ++i)
    {
        adapter.objects.push_back(make("object", i));
    }
    for(int i = 0; i < allocatables; ++i)
    {
        adapter.allocatables.push_back(make("allocatable", i));
    }
    auto server = make_shared<IceGrid::ServerDescriptor>();
    server->id = name + "-server";
    server->exe = "true";
    server->activation = "manual";
    server->allocatable = false;
    server->adapters.push_back(adapter);
    server->propertySet.properties.push_back(IceGrid::PropertyDescriptor{"Adapter.Endpoints", "tcp -h 127.0.0.1"});
    IceGrid::NodeDescriptor node;
    node.servers.push_back(server);
    IceGrid::ApplicationDescriptor app;
    app.name = name;
    app.nodes["node1"] = node;
    return app;
}

template<typename T> function<void(T)>
succeed(const Done& done)
{
    return [done](T) { done(true); };
}

// The text of an exception, with the reason that a deployment error carries.
string
describe(const exception& ex)
{
    auto deployment = dynamic_cast<const IceGrid::DeploymentException*>(&ex);
    return string(ex.what()) + (deployment ? ": " + deployment->reason : "");
}

function<void(exception_ptr)>
failed(const Done& done)
{
    return [done](exception_ptr ex) { complain(ex, describe); done(false); };
}

void
runLocate(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    const bool object = o.str("kind", "object") == "object";
    const unsigned count = static_cast<unsigned>(o.num("count", 1));
    const size_t clients = static_cast<size_t>(o.num("clients", 1));
    vector<Operation> ops;
    for(size_t i = 0; i < clients; ++i)
    {
        auto locator = locatorOf(communicator, o, i);
        locator->ice_ping();
        auto seed = make_shared<unsigned>(static_cast<unsigned>(i + 1));
        ops.push_back([=](const Done& done)
        {
            *seed = *seed * 1664525u + 1013904223u;
            const string n = to_string((*seed >> 8) % count);
            auto ok = [done](shared_ptr<Ice::ObjectPrx> p) { done(p != nullptr); };
            if(object)
            {
                locator->findObjectByIdAsync(Ice::Identity{"object" + n, ""}, ok, failed(done));
            }
            else
            {
                locator->findAdapterByIdAsync("adapter" + n, ok, failed(done));
            }
        });
    }
    ClosedLoop loop(ops);
    loop.run(r, watch, o.num("warm", 0.2), o.num("secs", 1));
}

void
runQuery(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    const string op = o.str("op", "all");
    const size_t clients = static_cast<size_t>(o.num("clients", 1));
    AdminClient admin(communicator, o);
    vector<Operation> ops;
    double items = 0;
    for(size_t i = 0; i < clients; ++i)
    {
        auto query = locatorOf(communicator, o, i)->getLocalQuery()->ice_connectionId("client" + to_string(i));
        auto a = admin.admin;
        if(op == "all")
        {
            items = static_cast<double>(query->findAllObjectsByType(objectType).size());
            ops.push_back([=](const Done& done)
            {
                query->findAllObjectsByTypeAsync(objectType, succeed<Ice::ObjectProxySeq>(done), failed(done));
            });
        }
        else if(op == "type")
        {
            ops.push_back([=](const Done& done)
            {
                query->findObjectByTypeAsync(objectType, succeed<shared_ptr<Ice::ObjectPrx>>(done), failed(done));
            });
        }
        else if(op == "load")
        {
            ops.push_back([=](const Done& done)
            {
                query->findObjectByTypeOnLeastLoadedNodeAsync(objectType, IceGrid::LoadSample::LoadSample1,
                                                              succeed<shared_ptr<Ice::ObjectPrx>>(done), failed(done));
            });
        }
        else
        {
            items = static_cast<double>(a->getAllObjectInfos("object*").size());
            ops.push_back([=](const Done& done)
            {
                a->getAllObjectInfosAsync("object*", succeed<IceGrid::ObjectInfoSeq>(done), failed(done));
            });
        }
    }
    ClosedLoop loop(ops);
    loop.run(r, watch, o.num("warm", 0.2), o.num("secs", 1));
    if(items > 0)
    {
        r.set("items", items);
    }
}

void
runPopulate(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    AdminClient client(communicator, o);
    const size_t window = static_cast<size_t>(o.num("window", 16));
    const size_t objects = static_cast<size_t>(o.num("objects", 0));
    const size_t adapters = static_cast<size_t>(o.num("adapters", 0));
    const size_t first = static_cast<size_t>(o.num("first", 0));
    watch.start();
    auto begin = Clock::now();
    size_t bad = runAll(objects, window, [&](size_t i, const Done& done)
    {
        client.admin->addObjectWithTypeAsync(objectProxy(communicator, "object" + to_string(first + i)), objectType,
                                             [done]() { done(true); }, failed(done));
    });
    r.set("objects_s", objects / since(begin));
    begin = Clock::now();
    auto registry = locatorOf(communicator, o)->getRegistry();
    bad += runAll(adapters, window, [&](size_t i, const Done& done)
    {
        registry->setAdapterDirectProxyAsync("adapter" + to_string(first + i), objectProxy(communicator, "dummy"),
                                             [done]() { done(true); }, failed(done));
    });
    r.set("adapters_s", adapters / since(begin));
    r.set("failed", bad);
    watch.stop(r);
    watch.memory(r);
}

void
runAdd(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    AdminClient client(communicator, o);
    // Its proxy has the endpoints of all replicas, those of the one that was asked first: a slave would only pass the
    // adapters on.
    auto registry = locatorOf(communicator, o)->getRegistry()->ice_endpointSelection(Ice::EndpointSelectionType::Ordered);
    const string op = o.str("op", "object");
    const string prefix = "add" + to_string(getpid()) + "-";
    auto n = make_shared<atomic<int>>(0);
    const size_t clients = static_cast<size_t>(o.num("clients", 1));
    ClosedLoop loop(vector<Operation>(clients, [&, n](const Done& done)
    {
        const string name = prefix + to_string(++*n);
        auto ok = [done]() { done(true); };
        if(op == "object")
        {
            client.admin->addObjectWithTypeAsync(objectProxy(communicator, name), "::Bench::Added", ok, failed(done));
        }
        else if(op == "adapter")
        {
            registry->setAdapterDirectProxyAsync(name, objectProxy(communicator, "dummy"), ok, failed(done));
        }
        else
        {
            client.admin->addApplicationAsync(application(name, 2, 0), ok, failed(done));
        }
    }));
    loop.run(r, watch, o.num("warm", 0.2), o.num("secs", 1));
}

void
runSession(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    vector<Operation> ops;
    for(size_t i = 0; i < static_cast<size_t>(o.num("clients", 1)); ++i)
    {
        // A session is only reachable over the connection that created it.
        const string id = "client" + to_string(i);
        auto registry = locatorOf(communicator, o, i)->getLocalRegistry()->ice_connectionId(id);
        ops.push_back([registry, id](const Done& done)
        {
            registry->createSessionAsync("user", "password", [done, id](shared_ptr<IceGrid::SessionPrx> session)
            {
                session->ice_connectionId(id)->destroyAsync([done]() { done(true); }, failed(done));
            }, failed(done));
        });
    }
    ClosedLoop loop(ops);
    loop.run(r, watch, o.num("warm", 0.2), o.num("secs", 1));
}

// One operation is allocate (waiting for an object to be free) and release.
void
runAlloc(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    AdminClient admin(communicator, o);
    const string name = "alloc";
    admin.admin->addApplication(application(name, 0, static_cast<int>(o.num("pool", 8))));
    const string type = "::Bench::" + name + "-allocatable";
    vector<shared_ptr<IceGrid::SessionPrx>> sessions;
    vector<Operation> ops;
    for(size_t i = 0; i < static_cast<size_t>(o.num("clients", 64)); ++i)
    {
        auto registry = locatorOf(communicator, o, i)->getLocalRegistry()->ice_connectionId("client" + to_string(i));
        auto session = registry->createSession("user", "password")->ice_connectionId("client" + to_string(i));
        session->setAllocationTimeout(10000);
        sessions.push_back(session);
        ops.push_back([session, type](const Done& done)
        {
            session->allocateObjectByTypeAsync(type, [session, done](shared_ptr<Ice::ObjectPrx> p)
            {
                session->releaseObjectAsync(p->ice_getIdentity(), [done]() { done(true); }, failed(done));
            }, failed(done));
        });
    }
    ClosedLoop loop(ops);
    loop.run(r, watch, o.num("warm", 0.2), o.num("secs", 1));
    for(auto& s : sessions)
    {
        s->destroy();
    }
    admin.admin->removeApplication(name);
}

// Lookups one after the other, --pace seconds apart. The caller kills a replica
// meanwhile.
void
runFailover(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    auto locator = locatorOf(communicator, o);
    const int count = static_cast<int>(o.num("count", 1));
    const double secs = o.num("secs", 4);
    const double pace = o.num("pace", 0.001);
    const auto begin = Clock::now();
    auto last = begin;
    double gap = 0;
    double gapAt = 0;
    int ops = 0;
    int errors = 0;
    while(since(begin) < secs)
    {
        try
        {
            locator->findObjectById(Ice::Identity{"object" + to_string(ops % count), ""});
            ++ops;
            const auto now = Clock::now();
            const double d = chrono::duration<double>(now - last).count();
            if(d > gap)
            {
                gap = d;
                gapAt = chrono::duration<double>(last - begin).count();
            }
            last = now;
        }
        catch(const exception&)
        {
            complain(current_exception(), describe);
            ++errors;
        }
        sleepFor(pace);
    }
    r.set("ops", ops);
    r.set("errors", errors);
    r.set("gap_ms", max(gap, since(last)) * 1e3);
    r.set("gap_at_secs", gapAt);
}

void
runAwait(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    auto locator = locatorOf(communicator, o);
    const string object = o.str("object");
    const string adapter = o.str("adapter");
    const double timeout = o.num("timeout", 60);
    const auto begin = Clock::now();
    bool found = false;
    while(!found && since(begin) < timeout)
    {
        try
        {
            found = (object.empty() || locator->findObjectById(Ice::stringToIdentity(object))) &&
                (adapter.empty() || locator->findAdapterById(adapter));
        }
        catch(const exception&)
        {
        }
        if(!found)
        {
            sleepFor(0.003);
        }
    }
    r.set("found", found);
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    r.set("at", ts.tv_sec + ts.tv_nsec / 1e9);
}

}

int
main(int argc, char* argv[])
{
    try
    {
        Options o(argc, argv);
        Report r;
        Ice::CommunicatorHolder holder(makeCommunicator(o));
        const auto communicator = holder.communicator();
        typedef void (*Run)(const Ice::CommunicatorPtr&, const Options&, Report&);
        const map<string, Run> commands =
        {
            {"locate", runLocate}, {"query", runQuery}, {"populate", runPopulate}, {"add", runAdd},
            {"session", runSession}, {"alloc", runAlloc}, {"failover", runFailover}, {"await", runAwait}
        };
        auto p = commands.find(o.command);
        if(p == commands.end())
        {
            throw runtime_error("unknown command " + o.command);
        }
        p->second(communicator, o, r);
        r.print();
        return 0;
    }
    catch(const std::exception& ex)
    {
        cerr << "registry_load: " << describe(ex) << endl;
        return 1;
    }
}
