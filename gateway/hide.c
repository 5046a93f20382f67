/* SPDX-License-Identifier: Apache-2.0 */
/* Moulin.Gateway.HideErrors: explanations of failures tell a client of hosts, proxies and programs behind the router.
   Hidden, they keep the type of the exception, which programs decide by, and lose the rest. */
#include "router.h"

#include <ctype.h>

#define TYPE_MAX 200

static bool is_type_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == ':';
}

/* "::Module::Name" in the first line, as Ice's runtimes begin their explanations; "" without. */
static struct ib_str find_type(struct ib_str text)
{
    for (size_t i = 0; i + 2 < text.n && text.p[i] != '\n'; i++) {
        bool begins = i == 0 || text.p[i - 1] == ' ';
        if (!begins || memcmp(text.p + i, "::", 2) != 0 || !isalpha((unsigned char)text.p[i + 2])) {
            continue;
        }
        size_t n = 2;
        while (i + n < text.n && n < TYPE_MAX && is_type_char(text.p[i + n])) {
            n++;
        }
        while (text.p[i + n - 1] == ':') {
            n--;
        }
        for (size_t k = 3; k + 2 < n; k++) {
            if (memcmp(text.p + i + k, "::", 2) == 0) {
                return (struct ib_str){text.p + i, n};
            }
        }
    }
    return IB_STR("");
}

void gw_hide_failure(struct ir_request *rq, const struct ib_err *err)
{
    struct ib_arena *a = ir_request_arena(rq);
    const char *name = ib_err_ice_name(err->code);
    const struct ib_str logged = ib_arena_printf(a, "::Ice::%s:\n%s", name, err->text);
    const struct ib_str told = ib_arena_printf(a, "::Ice::%s:\nthe request could not be delivered", name);
    ir_request_fail_quietly(rq, IR_UNKNOWN_LOCAL, logged, false, ib_cstr(told));
}

bool gw_hide_status(struct ir_request *rq, uint8_t status, struct ib_span body)
{
    struct iw_in in = iw_in(body);
    if (status < IR_UNKNOWN_LOCAL || status > IR_UNKNOWN) {
        return false;
    }
    const struct ib_str said = iw_in_str(&in), type = find_type(said);
    const struct ib_str text = ib_arena_printf(ir_request_arena(rq), "%.*s%sthe server failed", (int)type.n,
                                               ib_cstr(type), type.n ? ":\n" : "");
    ir_request_fail_quietly(rq, (enum ir_status)status, said, true, ib_cstr(text));
    return true;
}
