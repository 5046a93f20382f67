// SPDX-License-Identifier: Apache-2.0
// Load generator for the gateway scenarios.
//
//   echo      closed loop of requests     --mode twoway|oneway|batch
//   callback  server to client calls
//   hold      open many sessions, keep them idle
//   churn     connect, create a session, destroy it, disconnect; only connect
//             and disconnect with --session 0
//
// Without --router the same traffic goes straight to --target, which is how the
// direct and plain-proxy reference numbers are taken.
#include <Bench.h>
#include <Glacier2/Glacier2.h>

#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

using namespace std;

namespace
{

// One client: a connection of its own and, through a router, a session on it.
struct Client
{
    shared_ptr<Glacier2::RouterPrx> router;
    shared_ptr<Bench::EchoPrx> echo;
};

shared_ptr<Ice::ObjectPrx>
onConnection(const Ice::CommunicatorPtr& communicator, const string& proxy, size_t i)
{
    return communicator->stringToProxy(proxy)->ice_connectionId("client" + to_string(i));
}

// Heartbeats keep the session alive the way the stock session helper does.
void
keepAlive(const shared_ptr<Ice::Connection>& con, int acmTimeout)
{
    if(con && acmTimeout > 0)
    {
        con->setACM(acmTimeout, Ice::ACMClose::CloseOff, Ice::ACMHeartbeat::HeartbeatAlways);
    }
}

Client
connect(const Ice::CommunicatorPtr& communicator, const Options& o, size_t i)
{
    Client c;
    auto target = onConnection(communicator, o.str("target"), i);
    const string router = o.str("router");
    if(!router.empty())
    {
        c.router = Ice::uncheckedCast<Glacier2::RouterPrx>(onConnection(communicator, router, i));
        c.router->createSession("user", "password");
        keepAlive(c.router->ice_getConnection(), c.router->getACMTimeout());
        target = target->ice_router(c.router);
    }
    c.echo = Ice::uncheckedCast<Bench::EchoPrx>(target);
    c.echo->ice_ping();
    return c;
}

vector<Client>
connectAll(const Ice::CommunicatorPtr& communicator, const Options& o)
{
    vector<Client> clients;
    const size_t count = static_cast<size_t>(o.num("clients", 1));
    for(size_t i = 0; i < count; ++i)
    {
        clients.push_back(connect(communicator, o, i));
    }
    return clients;
}

void
disconnectAll(vector<Client>& clients)
{
    for(auto& c : clients)
    {
        if(c.router)
        {
            c.router->destroySession();
        }
    }
}

void
runEcho(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    auto clients = connectAll(communicator, o);
    const Bench::Bytes payload(static_cast<size_t>(o.num("size", 0)));
    vector<Operation> ops;
    for(auto& c : clients)
    {
        auto echo = c.echo;
        ops.push_back([echo, &payload](const Done& done)
        {
            echo->bounceAsync(payload,
                            [done](Bench::Bytes) { done(true); },
                            [done](exception_ptr ex) { complain(ex); done(false); });
        });
    }
    ClosedLoop loop(ops);
    loop.run(r, watch, o.num("warm", 0.2), o.num("secs", 1));
    disconnectAll(clients);
}

// Oneway requests: each client hands its next message (or batch of 100) to Ice
// when the previous one has been written. The rate counts what the server
// received, so the time to drain whatever was queued on the way is included.
void
runOneway(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    auto clients = connectAll(communicator, o);
    auto counter = Ice::uncheckedCast<Bench::EchoPrx>(communicator->stringToProxy(o.str("counter")));
    const Bench::Bytes payload(static_cast<size_t>(o.num("size", 0)));
    const bool batch = o.str("mode") == "batch";
    const int perOp = batch ? 100 : 1;
    vector<Operation> ops;
    for(auto& c : clients)
    {
        auto echo = batch ? c.echo->ice_batchOneway() : c.echo->ice_oneway();
        ops.push_back([echo, batch, perOp, &payload](const Done& done)
        {
            auto failed = [done](exception_ptr ex) { complain(ex); done(false); };
            auto sent = [done](bool) { done(true); };
            if(batch)
            {
                for(int i = 0; i < perOp; ++i)
                {
                    echo->sink(payload);
                }
                echo->ice_flushBatchRequestsAsync(failed, sent);
            }
            else
            {
                echo->sinkAsync(payload, nullptr, failed, sent);
            }
        });
    }

    // A oneway call written at once reports `sent` from inside the call, so the
    // loop runs in a thread per client rather than from the callback.
    const auto before = counter->sunk();
    const double secs = o.num("secs", 1);
    atomic<uint64_t> issued(0);
    atomic<uint64_t> errors(0);
    watch.start();
    const auto begin = Clock::now();
    vector<thread> threads;
    for(auto& op : ops)
    {
        threads.push_back(thread([&, op]
        {
            mutex m;
            condition_variable cond;
            bool ready = true;
            while(since(begin) < secs)
            {
                {
                    lock_guard<mutex> lock(m);
                    ready = false;
                }
                issued += perOp;
                op([&](bool ok)
                {
                    lock_guard<mutex> lock(m);
                    ready = true;
                    errors += ok ? 0 : 1;
                    cond.notify_one();
                });
                unique_lock<mutex> lock(m);
                if(!cond.wait_for(lock, chrono::seconds(30), [&] { return ready; }))
                {
                    throw runtime_error("oneway request not sent in 30 s");
                }
            }
        }));
    }
    for(auto& t : threads)
    {
        t.join();
    }
    const double sendSecs = since(begin);
    auto received = counter->sunk() - before;
    auto last = Clock::now();
    while(static_cast<uint64_t>(received) < issued && since(last) < 3)
    {
        sleepFor(0.005);
        const auto now = counter->sunk() - before;
        if(now != received)
        {
            received = now;
            last = Clock::now();
        }
    }
    const double total = chrono::duration<double>(last - begin).count();
    watch.stop(r);
    watch.memory(r);
    r.set("ops", received);
    r.set("secs", total);
    r.set("ops_s", received / total);
    r.set("drain_secs", total - sendSecs);
    r.set("lost", issued - received);
    r.set("errors", errors);
    disconnectAll(clients);
}

class ReceiverI : public Bench::Receiver
{
public:
    explicit ReceiverI(atomic<uint64_t>& count) : _count(count) {}
    void data(Bench::Bytes, const Ice::Current&) override { ++_count; }

private:
    atomic<uint64_t>& _count;
};

void
runCallback(const Ice::CommunicatorPtr& communicator, const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    auto clients = connectAll(communicator, o);
    const int size = static_cast<int>(o.num("size", 0));
    const int window = static_cast<int>(o.num("window", 16));
    atomic<uint64_t> count(0);
    auto adapter = communicator->createObjectAdapter("");
    vector<shared_ptr<Ice::ObjectPrx>> targets;
    for(size_t i = 0; i < clients.size(); ++i)
    {
        Client& c = clients[i];
        Ice::Identity id;
        id.name = "receiver" + to_string(i) + "-" + to_string(getpid());
        id.category = c.router ? c.router->getCategoryForClient() : "";
        adapter->add(make_shared<ReceiverI>(count), id);
        if(c.router)
        {
            c.router->ice_getConnection()->setAdapter(adapter);
            targets.push_back(c.router->getServerProxy()->ice_identity(id));
        }
        else
        {
            c.echo->ice_getConnection()->setAdapter(adapter);
            targets.push_back(communicator->stringToProxy(communicator->identityToString(id)));
        }
    }
    for(size_t i = 0; i < clients.size(); ++i)
    {
        clients[i].echo->startPush(targets[i], size, window);
    }
    sleepFor(o.num("warm", 0.2));
    watch.start();
    const auto begin = Clock::now();
    const uint64_t before = count;
    sleepFor(o.num("secs", 1));
    const double secs = since(begin);
    const uint64_t ops = count - before;
    watch.stop(r);
    watch.memory(r);
    for(size_t i = 0; i < clients.size(); ++i)
    {
        clients[i].echo->stopPush(targets[i]);
    }
    sleepFor(0.1);
    r.set("ops", ops);
    r.set("secs", secs);
    r.set("ops_s", ops / secs);
    disconnectAll(clients);
}

// Session churn and idle sessions speak the protocol themselves over blocking
// sockets: the stock client library never resumes a TLS session, and opening a
// connection costs it more CPU time than it costs the server being measured.
class RawConnection
{
public:
    // Connects and completes the TLS handshake, resuming `session` if given.
    RawConnection(SSL_CTX* ctx, const Options& o, SSL_SESSION* session = nullptr) :
        _category(o.str("instance", "Glacier2")), _fd(socket(AF_INET, SOCK_STREAM, 0)), _ssl(SSL_new(ctx)), _id(0)
    {
        try
        {
            struct sockaddr_in addr = sockaddr_in();
            addr.sin_family = AF_INET;
            addr.sin_port = htons(static_cast<uint16_t>(o.num("port", 0)));
            inet_pton(AF_INET, o.str("host", "127.0.0.1").c_str(), &addr.sin_addr);
            int on = 1;
            setsockopt(_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            struct timeval limit = { 30, 0 };
            setsockopt(_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
            check(::connect(_fd, reinterpret_cast<struct sockaddr*>(&addr), sizeof(addr)) == 0, "connect");
            SSL_set_fd(_ssl, _fd);
            if(session)
            {
                SSL_set_session(_ssl, session);
            }
            check(SSL_connect(_ssl) == 1, "TLS handshake");
            string body;
            check(read(body) == ValidateConnection, "validate connection");
        }
        catch(...)
        {
            release();
            throw;
        }
    }

    ~RawConnection()
    {
        try
        {
            write(CloseConnection, "");
            SSL_shutdown(_ssl);
        }
        catch(const exception&)
        {
        }
        release();
    }

    RawConnection(const RawConnection&) = delete;
    void operator=(const RawConnection&) = delete;

    bool resumed() const { return SSL_session_reused(_ssl) != 0; }
    SSL_SESSION* session() const { return SSL_get1_session(_ssl); }

    void createSession()
    {
        string params;
        putString(params, "user");
        putString(params, "password");
        call("createSession", params);
    }

    void refreshSession() { call("refreshSession", ""); }
    void destroySession() { call("destroySession", ""); }
    void heartbeat() { write(ValidateConnection, ""); }

private:
    enum Type { Request = 0, Reply = 2, ValidateConnection = 3, CloseConnection = 4 };

    void release()
    {
        SSL_free(_ssl);
        close(_fd);
    }

    static void check(bool ok, const char* what)
    {
        if(!ok)
        {
            throw runtime_error(string("failed: ") + what);
        }
    }

    static void putInt(string& s, int32_t v)
    {
        for(int i = 0; i < 4; ++i)
        {
            s += static_cast<char>(static_cast<uint32_t>(v) >> (8 * i));
        }
    }

    static void putString(string& s, const string& v)
    {
        s += static_cast<char>(v.size());
        s += v;
    }

    void write(Type type, const string& body)
    {
        string m("IceP\x01\x00\x01\x00", 8);
        m += static_cast<char>(type);
        m += '\0';
        putInt(m, static_cast<int32_t>(body.size() + 14));
        m += body;
        check(SSL_write(_ssl, m.data(), static_cast<int>(m.size())) == static_cast<int>(m.size()), "write");
    }

    void readFully(char* to, size_t size)
    {
        while(size > 0)
        {
            const int n = SSL_read(_ssl, to, static_cast<int>(size));
            check(n > 0, "read");
            to += n;
            size -= static_cast<size_t>(n);
        }
    }

    int read(string& body)
    {
        char header[14];
        readFully(header, sizeof(header));
        uint32_t size = 0;
        for(int i = 0; i < 4; ++i)
        {
            size |= static_cast<uint32_t>(static_cast<unsigned char>(header[10 + i])) << (8 * i);
        }
        check(size >= sizeof(header) && size < 65536, "message size");
        body.resize(size - sizeof(header));
        if(!body.empty())
        {
            readFully(&body[0], body.size());
        }
        return header[8];
    }

    void call(const char* operation, const string& params)
    {
        string body;
        putInt(body, ++_id);
        putString(body, "router");
        putString(body, _category);
        body += '\0';                   // no facet
        putString(body, operation);
        body += '\0';                   // normal mode
        body += '\0';                   // no context
        putInt(body, static_cast<int32_t>(params.size() + 6));
        body += "\x01\x01";             // encoding 1.1
        body += params;
        write(Request, body);
        string reply;
        int type;
        while((type = read(reply)) == ValidateConnection) {} // a heartbeat
        check(type == Reply && reply.size() > 4 && reply[4] == 0, operation);
    }

    const string _category;
    const int _fd;
    SSL* const _ssl;
    int32_t _id;
};

SSL_CTX*
makeContext()
{
    SSL_CTX* ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
    return ctx;
}

// Connect, create and destroy a session, disconnect; each thread in a loop.
void
runChurn(const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    const size_t clients = static_cast<size_t>(o.num("clients", 8));
    const bool resume = o.num("resume", 0) != 0;
    const bool session = o.num("session", 1) != 0;
    atomic<bool> measure(false);
    atomic<bool> stop(false);
    atomic<uint64_t> errors(0);
    atomic<uint64_t> resumed(0);
    vector<vector<float>> latency(clients);
    vector<thread> threads;
    SSL_CTX* const ctx = makeContext();
    for(size_t i = 0; i < clients; ++i)
    {
        threads.push_back(thread([&, i]
        {
            SSL_SESSION* saved = nullptr;
            for(int failures = 0; !stop && failures < 20;)
            {
                try
                {
                    const auto begin = Clock::now();
                    bool again;
                    {
                        RawConnection con(ctx, o, saved);
                        again = con.resumed();
                        if(session)
                        {
                            con.createSession();
                            con.destroySession();
                        }
                        if(resume)
                        {
                            SSL_SESSION_free(saved);
                            saved = con.session();
                        }
                    }
                    if(measure)
                    {
                        resumed += again ? 1 : 0;
                        latency[i].push_back(static_cast<float>(since(begin) * 1e6));
                    }
                    failures = 0;
                }
                catch(const exception&)
                {
                    complain(current_exception());
                    ++errors;
                    ++failures;
                }
            }
            SSL_SESSION_free(saved);
        }));
    }
    sleepFor(o.num("warm", 0.2));
    watch.start();
    const auto begin = Clock::now();
    measure = true;
    sleepFor(o.num("secs", 1));
    measure = false;
    const double elapsed = since(begin);
    watch.stop(r);
    watch.memory(r);
    stop = true;
    for(auto& t : threads)
    {
        t.join();
    }
    SSL_CTX_free(ctx);
    vector<float> all;
    for(auto& v : latency)
    {
        all.insert(all.end(), v.begin(), v.end());
    }
    r.set("ops", all.size());
    r.set("secs", elapsed);
    r.set("ops_s", all.size() / elapsed);
    r.set("resumed", all.empty() ? 0 : double(resumed) / all.size());
    r.set("errors", errors);
    latencies(r, all);
}

// Open --sessions sessions (only connections with --session 0), send nothing
// but a heartbeat every --heartbeat seconds for --secs, sampling the server.
void
runHold(const Options& o, Report& r)
{
    Watch watch(o.str("watch"));
    const size_t total = static_cast<size_t>(o.num("sessions", 1000));
    const bool session = o.num("session", 1) != 0;
    const double interval = o.num("heartbeat", 5);
    const double before = watch.rss();
    SSL_CTX* const ctx = makeContext();
    vector<unique_ptr<RawConnection>> connections(total);
    vector<Clock::time_point> next(total);
    const chrono::duration<double> period(interval);
    atomic<size_t> lost(0);

    // f on one connection; a connection that fails is dropped and counted.
    auto guarded = [&](const function<void(size_t)>& f, size_t i)
    {
        try
        {
            f(i);
        }
        catch(const exception&)
        {
            complain(current_exception());
            connections[i].reset();
            ++lost;
        }
    };

    // f on every connection, from several threads.
    const size_t workers = 16;
    auto forAll = [&](const function<void(size_t)>& f)
    {
        vector<thread> threads;
        for(size_t w = 0; w < workers; ++w)
        {
            threads.push_back(thread([&, w]
            {
                for(size_t i = w; i < total; i += workers)
                {
                    guarded(f, i);
                }
            }));
        }
        for(auto& t : threads)
        {
            t.join();
        }
    };
    auto beat = [&](size_t i)
    {
        if(connections[i] && Clock::now() >= next[i])
        {
            connections[i]->heartbeat();
            next[i] = Clock::now() + chrono::duration_cast<Clock::duration>(period);
        }
    };

    watch.start();
    auto begin = Clock::now();
    forAll([&](size_t i)
    {
        connections[i].reset(new RawConnection(ctx, o));
        if(session)
        {
            connections[i]->createSession();
        }
        next[i] = Clock::now() + chrono::duration_cast<Clock::duration>(period);
        // Keep the older ones of this thread alive.
        for(size_t j = i % workers; j < i; j += workers)
        {
            guarded(beat, j);
        }
    });
    const double opened = static_cast<double>(total - lost);
    r.set("open_secs", since(begin));
    r.set("open_cpu_ms", watch.cpu() / max(1.0, opened) * 1e3);
    r.set("failed", lost);

    sleepFor(0.5);
    watch.start();
    begin = Clock::now();
    while(since(begin) < o.num("secs", 5))
    {
        forAll(beat);
        sleepFor(0.05);
    }
    const double idle = since(begin);
    watch.stop(r);
    watch.memory(r);
    r.set("idle_secs", idle);
    r.set("idle_cpu_us_s", watch.cpu() / idle / max(1.0, opened) * 1e6);
    r.set("rss_before_kb", before);
    r.set("kb_per_session", (watch.rss() - before) / max(1.0, opened));

    atomic<size_t> alive(0);
    forAll([&](size_t i)
    {
        if(connections[i])
        {
            session ? connections[i]->refreshSession() : connections[i]->heartbeat();
            ++alive;
        }
    });
    r.set("alive", alive);
    begin = Clock::now();
    forAll([&](size_t i)
    {
        if(connections[i] && session)
        {
            connections[i]->destroySession();
        }
        connections[i].reset();
    });
    r.set("close_secs", since(begin));
    SSL_CTX_free(ctx);
    sleepFor(1);
    r.set("rss_after_kb", watch.rss());
}

}

int
main(int argc, char* argv[])
{
    try
    {
        Options o(argc, argv);
        Report r;
        if(o.command == "churn")
        {
            runChurn(o, r);
        }
        else if(o.command == "hold")
        {
            runHold(o, r);
        }
        else
        {
            Ice::CommunicatorHolder communicator(makeCommunicator(o));
            const string mode = o.str("mode", "twoway");
            if(o.command == "echo" && mode == "twoway")
            {
                runEcho(communicator.communicator(), o, r);
            }
            else if(o.command == "echo")
            {
                runOneway(communicator.communicator(), o, r);
            }
            else if(o.command == "callback")
            {
                runCallback(communicator.communicator(), o, r);
            }
            else
            {
                throw runtime_error("unknown command " + o.command);
            }
        }
        r.print();
        return 0;
    }
    catch(const std::exception& ex)
    {
        cerr << "gateway_load: " << ex.what() << endl;
        return 1;
    }
}
