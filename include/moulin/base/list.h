/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive circular doubly linked list. An initialised node that is in no list points at itself. */
#ifndef MOULIN_BASE_LIST_H
#define MOULIN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ib_list {
    struct ib_list *prev, *next;
};

static inline void ib_list_init(struct ib_list *l)
{
    l->prev = l->next = l;
}

static inline bool ib_list_empty(const struct ib_list *l)
{
    return l->next == l;
}

static inline void ib_list_append(struct ib_list *head, struct ib_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Leaves the node pointing at itself, so removing twice is harmless. */
static inline void ib_list_remove(struct ib_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    ib_list_init(node);
}

#define IB_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define IB_LIST_FOREACH(node, head) for (struct ib_list *node = (head)->next; node != (head); node = node->next)
/* The body may remove node. */
#define IB_LIST_FOREACH_SAFE(node, head)                                                                               \
    for (struct ib_list *node = (head)->next, *node##_next = node->next; node != (head);                               \
         node = node##_next, node##_next = node->next)

#endif
