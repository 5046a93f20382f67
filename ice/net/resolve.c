/* SPDX-License-Identifier: Apache-2.0 */
/* Name resolution by libevent's resolver; numeric hosts take a short way. */
#include "resolve.h"

#include <event2/dns.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ic_resolve {
    struct ic_loop *loop;
    ic_resolve_fn fn;
    void *arg;
    struct evdns_getaddrinfo_request *query; /* NULL when answered or numeric */
    struct addrinfo *list; /* owns */
    bool canceled, starting;
    struct ib_err *err; /* owns */
    struct ic_deferred answer;
};

static void resolve_end(struct ic_resolve *r)
{
    ic_loop_undefer(r->loop, &r->answer);
    ic_resolve_free(r->list);
    free(r->err);
    free(r);
}

static void on_answer(void *arg)
{
    struct ic_resolve *r = arg;
    struct addrinfo *list = r->list;
    r->list = NULL;
    struct ib_err nomem = {IB_ENOMEM, "out of memory"};
    const struct ib_err *err = list ? NULL : r->err ? r->err : &nomem;
    r->fn(r->arg, list, err);
    resolve_end(r);
}

static void fail(struct ic_resolve *r, const char *why)
{
    r->err = malloc(sizeof *r->err);
    if (r->err) {
        ib_err_set(r->err, IB_EDNS, "%s", why);
    }
}

static void on_query(int rc, struct evutil_addrinfo *list, void *arg)
{
    struct ic_resolve *r = arg;
    r->query = NULL;
    if (r->canceled) {
        if (list) {
            evutil_freeaddrinfo(list);
        }
        if (!r->starting) {
            resolve_end(r);
        }
        return;
    }
    if (rc == 0 && list) {
        r->list = list;
    } else {
        fail(r, evutil_gai_strerror(rc));
    }
    ic_loop_defer(r->loop, &r->answer, on_answer, r);
}

static struct evdns_base *resolver(struct ic_loop *loop)
{
    if (!loop->dns) {
        loop->dns = evdns_base_new(loop->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (loop->dns) {
            /* Neither file need exist: names of /etc/hosts resolve without a name server and the other way round. */
            evdns_base_load_hosts(loop->dns, "/etc/hosts");
            evdns_base_resolv_conf_parse(loop->dns, DNS_OPTION_SEARCH | DNS_OPTION_NAMESERVERS | DNS_OPTION_MISC,
                                         "/etc/resolv.conf");
        }
    }
    return loop->dns;
}

struct ic_resolve *ic_resolve(struct ic_loop *loop, const char *host, int port, ic_resolve_fn fn, void *arg)
{
    struct ic_resolve *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->loop = loop;
    r->fn = fn;
    r->arg = arg;
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    hints.ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV;
    const char *name = *host ? host : "127.0.0.1";
    if (evutil_getaddrinfo(name, service, &hints, &r->list) == 0) {
        ic_loop_defer(loop, &r->answer, on_answer, r);
        return r;
    }
    struct evdns_base *dns = resolver(loop);
    if (!dns) {
        fail(r, "no resolver");
        ic_loop_defer(loop, &r->answer, on_answer, r);
        return r;
    }
    hints.ai_flags = EVUTIL_AI_NUMERICSERV;
    r->starting = true;
    struct evdns_getaddrinfo_request *query = evdns_getaddrinfo(dns, name, service, &hints, on_query, r);
    r->starting = false;
    if (!r->answer.queued) { /* otherwise it was answered at once */
        r->query = query;
    }
    return r;
}

void ic_resolve_cancel(struct ic_resolve *r)
{
    if (r->query) {
        r->canceled = true; /* on_query comes once more and frees r */
        evdns_getaddrinfo_cancel(r->query);
        return;
    }
    resolve_end(r);
}

void ic_resolve_free(struct addrinfo *list)
{
    if (list) {
        evutil_freeaddrinfo(list);
    }
}
