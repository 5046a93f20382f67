/* SPDX-License-Identifier: Apache-2.0 */
/* One rule of Glacier2.Filter.Address.Accept or .Reject, compiled (glacier2-router 10.6):

     rule    = address [ ":" ports ]           ports = "*" | group | "[" group "]"
     address = IPv4 | "[" IPv6 "]" | name      exactly this host, in any spelling
             | network "/" bits                CIDR: 10.0.0.0/8, fd00::/8, [fd00::]/8
             | { text | "*" | "[" group "]" }  "*": any text, perhaps none; "[" group "]": one number, all its digits
     group   = number [ "-" number ] { "," … }

   A pattern has to match the whole host. Matching takes time proportional to the host's length times the rule's. */
#ifndef GATEWAY_ADDRESS_RULE_H
#define GATEWAY_ADDRESS_RULE_H

#include <moulin/base/arena.h>

#include "host.h"

struct gw_range {
    unsigned low, high;
};

struct gw_group {
    size_t n;
    struct gw_range *v;
};

enum gw_piece_kind { GW_TEXT, GW_ANY, GW_NUMBER };

struct gw_piece {
    enum gw_piece_kind kind;
    struct ib_str text; /* GW_TEXT */
    struct gw_group numbers; /* GW_NUMBER */
};

enum gw_rule_kind { GW_RULE_NETWORK, GW_RULE_PATTERN };

struct gw_address_rule {
    struct ib_str source; /* as written */
    enum gw_rule_kind kind;
    struct gw_address network;
    unsigned bits; /* of 128 */
    size_t n_pieces;
    struct gw_piece *pieces;
    struct gw_group ports; /* n 0: any */
};

/* Borrows text, which like the pieces must live in the arena. err gets what is wrong with it and where. IB_ECONFIG. */
int gw_address_rule_parse(struct ib_str text, struct ib_arena *arena, struct gw_address_rule *out,
                          struct ib_err *err) IB_MUST_CHECK;

/* How sure a rule must be. A host that has two spellings (127.1) has to match in both to be let in, and is kept out
   when one of them matches. */
enum gw_match { GW_MATCH_ALL_SPELLINGS, GW_MATCH_ANY_SPELLING };
bool gw_address_rule_matches(const struct gw_address_rule *r, const struct gw_host *host, int port, enum gw_match how);

#endif
