/* SPDX-License-Identifier: Apache-2.0 */
/* Messages from a peer to a runtime with the echo servants, over an in-process connection: request headers, batches,
   replies nobody waits for, dispatch, answers, and the protocol trace of all of them. Input: the message's type, then
   its body. The peer answers every callback; whatever came, the next connection must work. */
#include "fuzz.h"

#include "echo_servant.h"

#include <moulin/rpc/call.h>
#include <slice/registry.h>

struct world {
    struct ic_loop *loop;
    struct ir_runtime *rt;
    struct ir_adapter *adapter;
    struct echo echo;
    const struct iw_endpoint *ep;
    struct ic_conn *peer;
    bool active;
    unsigned answers;
};

static void on_active(void *arg, struct ic_conn *c)
{
    (void)c;
    ((struct world *)arg)->active = true;
}

static void on_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    (void)c;
    ((struct world *)arg)->answers += f->type == IC_REPLY;
}

static void on_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    (void)c;
    (void)why;
    ((struct world *)arg)->peer = NULL;
}

static void world_init(struct world *w)
{
    static const char *const lines[] = {"Ice.LogFile=/dev/null", "Ice.Trace.Protocol=1", "Ice.Trace.Network=3",
                                        "Ice.Warn.Dispatch=2", "Ice.Warn.Connections=1"};
    struct ib_err err;
    struct ir_properties *p = ir_properties_new();
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        FUZZ_CHECK(p && ir_properties_parse_line(p, lines[i], "fuzz") == 0);
    w->loop = ic_loop_new(&err);
    w->rt = ir_runtime_new(w->loop, p, &slice_registry, &err);
    FUZZ_CHECK(w->rt);
    w->adapter = ir_adapter_new_with(w->rt, "A", &(struct ir_adapter_options){.endpoints = "tcp -h 127.0.0.1"}, &err);
    FUZZ_CHECK(w->adapter && echo_init(&w->echo, w->rt, w->adapter) == 0);
    ir_adapter_activate(w->adapter, NULL, NULL);
    size_t n;
    w->ep = ir_adapter_endpoints(w->adapter, &n);
}

static void run(struct world *w)
{
    for (int i = 0; i < 20; i++)
        ic_loop_run_once(w->loop, 0);
}

static void peer_connect(struct world *w)
{
    static const struct ic_conn_events events = {.on_active = on_active, .on_frame = on_frame, .on_close = on_close};
    static const struct ic_conn_config config = {
        .message_size_max = 1 << 20, .connect_timeout_ms = -1, .timeout_ms = -1, .close_timeout_ms = -1};
    w->active = false;
    w->peer = ic_connect(w->loop, w->ep, NULL, &config, &events, w);
    FUZZ_CHECK(w->peer);
    run(w);
    FUZZ_CHECK(w->active);
}

static void peer_send(struct world *w, uint8_t type, struct ib_span body)
{
    struct ic_out m = {.type = type, .head = body};
    FUZZ_CHECK(ic_conn_send(w->peer, &m, NULL) == 0);
    run(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char ping[] = "\1\0\0\0\1o\0\0\x08ice_ping\1\0\6\0\0\0\1\1";
    static struct world w;
    if (!size)
        return 0;
    if (!w.loop)
        world_init(&w);
    if (!w.peer)
        peer_connect(&w);
    peer_send(&w, data[0] % 3, (struct ib_span){data + 1, size - 1});
    echo_fini(&w.echo); /* wakes who sleeps */
    run(&w);
    if (!w.peer)
        peer_connect(&w);
    w.answers = 0;
    peer_send(&w, IC_REQUEST, (struct ib_span){(const uint8_t *)ping, sizeof(ping) - 1});
    FUZZ_CHECK(w.answers >= 1);
    return 0;
}
