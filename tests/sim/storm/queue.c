/* SPDX-License-Identifier: Apache-2.0 */
/* One queue of events and one random number generator: the same seed, the same world. */
#include "queue.h"

#include <stdlib.h>

static struct event *heap;
static struct open_call *open_calls;
static uint64_t next_order, next_id;

uint32_t world_random(struct world *w, uint32_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return below ? (uint32_t)(w->random >> 11) % below : 0;
}

static struct event *merge(struct event *a, struct event *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->at < a->at || (b->at == a->at && b->order < a->order)) {
        struct event *t = a;
        a = b;
        b = t;
    }
    struct event *right = a->right;
    a->right = a->left;
    a->left = merge(right, b);
    return a;
}

struct event *queue_push(struct world *w, enum kind kind, int node, int64_t in)
{
    struct event *ev = calloc(1, sizeof *ev);
    if (!ev)
        abort();
    ev->kind = kind;
    ev->node = node;
    ev->at = w->now + in;
    ev->order = next_order++;
    ev->life = w->nodes[node].life;
    heap = merge(heap, ev);
    return ev;
}

void queue_put_back(struct event *ev, int64_t at)
{
    ev->at = at;
    ev->order = next_order++;
    ev->left = ev->right = NULL;
    heap = merge(heap, ev);
}

void queue_free_call(struct call *c)
{
    if (c)
        free(c->content);
    free(c);
}

void queue_free(struct event *ev)
{
    queue_free_call(ev->call);
    free(ev);
}

struct event *queue_pop(void)
{
    struct event *ev = heap;
    if (ev) {
        heap = merge(ev->left, ev->right);
        ev->left = ev->right = NULL;
    }
    return ev;
}

uint64_t queue_open(struct open_call o)
{
    struct open_call *copy = malloc(sizeof *copy);
    if (!copy)
        abort();
    *copy = o;
    copy->id = ++next_id;
    copy->next = open_calls;
    open_calls = copy;
    return copy->id;
}

bool queue_take(uint64_t id, struct open_call *out)
{
    for (struct open_call **p = &open_calls; *p; p = &(*p)->next) {
        if ((*p)->id != id)
            continue;
        struct open_call *o = *p;
        *out = *o;
        *p = o->next;
        free(o);
        return true;
    }
    return false;
}

void queue_clear(void)
{
    for (struct event *ev; (ev = queue_pop());)
        queue_free(ev);
    while (open_calls) {
        struct open_call *o = open_calls;
        open_calls = o->next;
        free(o);
    }
}
