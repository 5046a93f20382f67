/* SPDX-License-Identifier: Apache-2.0 */
/* What an idle connection costs the accepting process: opens N connections from a child process, lets each carry one
   request and its answer, and asks the allocator and the kernel what this process holds then. */
#include <moulin/certs/certs.h>
#include <moulin/net/conn.h>

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct bench {
    struct ic_loop *loop;
    struct ic_tls *tls;
    int answered, wanted, started;
    struct iw_endpoint ep;
    struct ic_conn_config cfg;
};

static const uint8_t ping[] = "\1\0\0\0\1o\0\0\x08ice_ping\0\0\6\0\0\0\1\1";

static void die(const char *what, const char *why)
{
    fprintf(stderr, "idle_session: %s: %s\n", what, why);
    exit(1);
}

static void server_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    struct bench *b = arg;
    static const uint8_t reply[] = "\1\0\0\0\0\6\0\0\0\1\1";
    struct ic_out m = {.type = IC_REPLY, .body = {reply, sizeof reply - 1}};
    (void)f;
    if (ic_conn_send(c, &m, NULL) < 0) {
        die("server", "cannot answer");
    }
    b->answered++;
}

static void server_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    (void)arg;
    (void)c;
    die("server: connection closed", why->text);
}

static const struct ic_conn_events server_events = {.on_frame = server_frame, .on_close = server_close};

static void on_accept(void *arg, struct ic_conn *c)
{
    ic_conn_set_events(c, &server_events, arg);
}

static void client_open(struct bench *b);

static void client_active(void *arg, struct ic_conn *c)
{
    (void)arg;
    struct ic_out m = {.type = IC_REQUEST, .body = {ping, sizeof ping - 1}};
    if (ic_conn_send(c, &m, NULL) < 0) {
        die("client", "cannot send");
    }
}

static void client_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    (void)c;
    (void)f;
    struct bench *b = arg;
    if (b->started < b->wanted) {
        client_open(b);
    }
}

static void client_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    (void)arg;
    (void)c;
    die("client: connection closed", why->text);
}

static const struct ic_conn_events client_events = {
    .on_active = client_active, .on_frame = client_frame, .on_close = client_close};

static void client_open(struct bench *b)
{
    b->started++;
    if (!ic_connect(b->loop, &b->ep, b->tls, &b->cfg, &client_events, b)) {
        die("client", "out of memory");
    }
}

/* The child: sixteen handshakes at a time, then it holds everything open until it is killed. */
static void run_client(struct bench *b)
{
    struct ib_err err = {0};
    b->loop = ic_loop_new(&err);
    if (!b->loop) {
        die("client", err.text);
    }
    for (int i = 0; i < 16 && i < b->wanted; i++) {
        client_open(b);
    }
    ic_loop_run(b->loop);
}

static size_t resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long total = 0, pages = 0;
    if (!f || fscanf(f, "%lu %lu", &total, &pages) != 2) {
        die("/proc/self/statm", "unreadable");
    }
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t allocated(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static struct ic_tls *tls_new(const char *dir, const char *name, const char *protocol)
{
    char cert[64], key[64];
    struct ib_err err = {0};
    snprintf(cert, sizeof cert, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    struct ic_tls_config cfg = {.default_dir = dir,
                                .cert_file = *name ? cert : NULL,
                                .key_file = *name ? key : NULL,
                                .cas = "ca.pem",
                                .protocols = protocol,
                                .verify_peer = 1,
                                .verify_depth_max = 3,
                                .security_level = -1};
    struct ic_tls *t = ic_tls_new(&cfg, &err);
    if (!t) {
        die("TLS", err.text);
    }
    return t;
}

static void make_certs(const char *dir)
{
    static const char *const hosts[] = {"127.0.0.1"};
    const struct certs_request all[] = {
        {.kind = CERTS_CA, .dir = dir, .subject = "Bench CA", .days = 2},
        {.kind = CERTS_SERVER, .dir = dir, .name = "server", .hosts = hosts, .n_hosts = 1, .days = 2},
        {.kind = CERTS_CLIENT, .dir = dir, .name = "client", .days = 2},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct ib_err err = {0};
        if (certs_make(&all[i], &err) < 0) {
            die("certificates", err.text);
        }
    }
}

static void measure(const char *dir, const char *label, int type, const char *protocol, const char *client, int n)
{
    struct ib_err err = {0};
    struct bench b = {.wanted = n};
    b.cfg = (struct ic_conn_config){.message_size_max = 1 << 20,
                                    .connect_timeout_ms = 60000,
                                    .timeout_ms = 60000,
                                    .close_timeout_ms = 60000,
                                    .acm = {60, IC_CLOSE_INVOCATION, IC_HEARTBEAT_DISPATCH},
                                    .compression_level = 1};
    b.ep = (struct iw_endpoint){.type = (int16_t)type, .host = IB_STR("127.0.0.1"), .resource = IB_STR("/")};
    b.loop = ic_loop_new(&err);
    struct ic_tls *tls = tls_new(dir, "server", protocol);
    struct ic_listener *l = ic_listen(b.loop, &b.ep, tls, &b.cfg, on_accept, &b, &err);
    if (!l) {
        die("listen", err.text);
    }
    ic_listener_start(l);
    b.ep.port = ic_listener_endpoint(l)->port;
    b.tls = tls_new(dir, client, protocol);
    size_t heap = allocated(), rss = resident();
    pid_t child = fork();
    if (child == 0) {
        run_client(&b);
    }
    while (child > 0 && b.answered < n) {
        ic_loop_run_once(b.loop, 1000);
    }
    for (int i = 0; i < 20; i++) { /* what is still on its way: tickets, deferred calls */
        ic_loop_run_once(b.loop, 10);
    }
    printf("| %-34s | %6d | %9.0f | %9.0f |\n", label, n, (double)(allocated() - heap) / n,
           ((double)resident() - (double)rss) / n);
    fflush(stdout);
    kill(child, SIGKILL);
    _exit(0); /* nothing of this run may be reused by the next one */
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 2000;
    char dir[] = "/tmp/moulin-idle-XXXXXX";
    struct rlimit files;
    if (n < 1 || getrlimit(RLIMIT_NOFILE, &files) < 0 || (rlim_t)n + 50 > files.rlim_max) {
        die("usage: idle_session [CONNECTIONS]", "more connections than files may be open (ulimit -Hn)");
    }
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (!mkdtemp(dir)) {
        die("directory", "cannot be made");
    }
    make_certs(dir);
    printf("| connection                         | number | heap B/conn | RSS B/conn |\n|---|---|---|---|\n");
    const struct {
        const char *label, *protocol, *client;
        int type;
    } runs[] = {
        {"tcp", "TLS1_3", "", IW_EP_TCP},          {"ws", "TLS1_3", "", IW_EP_WS},
        {"ssl, TLS 1.3", "TLS1_3", "", IW_EP_SSL}, {"ssl, TLS 1.3, client certificate", "TLS1_3", "client", IW_EP_SSL},
        {"ssl, TLS 1.2", "TLS1_2", "", IW_EP_SSL}, {"wss, TLS 1.3", "TLS1_3", "", IW_EP_WSS},
    };
    fflush(stdout);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            measure(dir, runs[i].label, runs[i].type, runs[i].protocol, runs[i].client, n);
        }
        waitpid(pid, NULL, 0);
    }
    static const char *const files_made[] = {"ca.pem",     "ca.key",     "server.pem",
                                             "server.key", "client.pem", "client.key"};
    for (size_t i = 0; i < sizeof files_made / sizeof *files_made; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, files_made[i]);
        unlink(path);
    }
    rmdir(dir);
    return 0;
}
