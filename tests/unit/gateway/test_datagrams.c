/* SPDX-License-Identifier: Apache-2.0 */
/* Where the gateway sends datagrams for clients: not to addresses that a name hides, and to so many endpoints at a
 * time. */
#include "stage.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int receiver(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void send_to(struct stage *s, struct client *c, const char *host, int port)
{
    const struct iw_endpoint ep = {.type = IW_EP_UDP, .host = ib_str(host), .port = port, .mcast_ttl = -1};
    const struct ib_str name = ib_arena_printf(&s->arena, "x%d", port); /* what has a route keeps it */
    struct iw_proxy prx = {.id = {.name = name, .category = IB_STR("e")}, .protocol = {1, 0}};
    struct request rq = {.name = ib_cstr(name), .category = "e", .operation = "op", .n_context = 1};
    prx.mode = IW_DATAGRAM;
    prx.encoding = IW_ENCODING_1_1;
    prx.n_endpoints = 1;
    prx.endpoints = (struct iw_endpoint *)(uintptr_t)&ep;
    rq.context[0] = (struct ir_context_entry){IB_STR("_fwd"), IB_STR("d")};
    assert_int_equal(add_proxy(s, c, &prx).outcome, IR_SUCCESS);
    (void)forward(s, c, &rq);
}

static bool told(const char *path, const char *what)
{
    char text[8192];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    (void)fclose(f);
    return strstr(text, what);
}

static bool arrives(struct stage *s, int fd)
{
    char message[256];
    int64_t end = ib_clock_ms() + 5000;
    while (recv(fd, message, sizeof(message), 0) < 0) {
        if (ib_clock_ms() > end) {
            return false;
        }
        (void)ic_loop_run_once(s->loop, 20);
    }
    return true;
}

/* The rule is about addresses, the proxy has a name: what it stands for is judged when it is resolved. */
static void resolved_names(void **state)
{
    char path[] = "/tmp/moulin-log-XXXXXX", log[64];
    const char *const properties[] = {"Glacier2.Filter.Address.Reject=127.0.0.0/8 [::1]",
                                      "Glacier2.Client.Trace.Reject=1", log, NULL};
    struct stage s;
    struct client c;
    char message[256];
    int port, fd = receiver(&port), file = mkstemp(path);
    (void)state;
    assert_true(file >= 0);
    (void)close(file);
    (void)snprintf(log, sizeof(log), "Ice.LogFile=%s", path);
    stage_open(&s, NULL, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    send_to(&s, &c, "localhost", port);
    assert_true(arrives(&s, fd));
    client_close(&s, &c);
    stage_close(&s);
    stage_open(&s, properties, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    send_to(&s, &c, "localhost", port);
    int64_t end = ib_clock_ms() + 5000;
    while (!told(path, "refusing to connect") && ib_clock_ms() < end) {
        (void)ic_loop_run_once(s.loop, 20);
    }
    assert_true(told(path, "refusing to connect"));
    send_to(&s, &c, "localhost", port);
    stage_round(&s);
    assert_int_equal(recv(fd, message, sizeof(message), 0), -1);
    client_close(&s, &c);
    stage_close(&s);
    (void)unlink(path);
    (void)close(fd);
}

static unsigned descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d)) {
        n++;
    }
    (void)closedir(d);
    return n;
}

static void many_endpoints(void **state)
{
    struct stage s;
    struct client c;
    int port, fd = receiver(&port);
    (void)state;
    stage_open(&s, NULL, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    unsigned before = descriptors();
    for (int i = 0; i < 400; i++) {
        send_to(&s, &c, "127.0.0.1", 20000 + i);
    }
    stage_round(&s);
    assert_in_range(descriptors() - before, 200, 300);
    send_to(&s, &c, "localhost", port);
    assert_true(arrives(&s, fd));
    client_close(&s, &c);
    stage_close(&s);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolved_names),
        cmocka_unit_test(many_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
