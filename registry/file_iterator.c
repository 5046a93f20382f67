/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::FileIterator: a file that an admin session reads piece by piece through whoever has it (icegrid-registry
   8.3). It lives as long as its session, or until it is destroyed. One question to the reader at a time, each with a
   deadline; of a node's reader also the end of the node's session.

       OPENING -> READY <-> READING      (gone: nothing reaches it any more) */
#include "nodes.h"
#include "sessions.h"

#include <stdlib.h>

#define MAX_FILES 100 /* of a session */
#define ASK_MS 30000
#define CONNECT_MS 10000

struct reg_file {
    struct ib_list node; /* in session->files */
    struct reg_session *session; /* borrows: the session closes its files */
    struct ib_arena arena; /* of what follows */
    struct iw_identity id;
    struct iw_proxy *reader;
    struct ib_str file, owner;
    uint8_t unreachable; /* enum reg_file_owner */
    struct ir_servant servant;
    bool added; /* to the session's adapter */
    int64_t pos;
    struct ir_request *rq; /* the question now asked; NULL: none */
    struct ir_call *call; /* it is on its way to a registry, … */
    struct reg_node_call *node_call; /* … or to a node */
};

static void unavailable(struct ir_request *rq, const char *reason)
{
    IceGrid_FileNotAvailableException_throw(rq, &(struct IceGrid_FileNotAvailableException){.reason = ib_str(reason)});
}

static void close_file(struct reg_file *f)
{
    struct reg_session *s = f->session;

    ib_list_remove(&f->node);
    s->n_files--;
    if (f->added)
        ir_adapter_remove(s->adapter, &f->id, "");
    if (f->call != NULL)
        ir_call_cancel(f->call);
    reg_node_call_cancel(f->node_call);
    if (f->rq != NULL)
        ir_request_fail(f->rq, IR_OBJECT_NOT_EXIST, NULL);
    ib_arena_fini(&f->arena);
    free(f);
}

void reg_files_close(struct reg_session *s)
{
    while (!ib_list_empty(&s->files))
        close_file(IB_CONTAINER(s->files.next, struct reg_file, node));
}

static struct ir_request *take_request(struct reg_file *f)
{
    struct ir_request *rq = f->rq;

    f->rq = NULL;
    f->call = NULL;
    f->node_call = NULL;
    return rq;
}

/* False when memory is short. */
static bool ask(struct reg_file *f, const struct iw_op *op, const void *in, ir_reply_fn fn)
{
    static const struct ir_call_options options = {.timeout_ms = ASK_MS, .connect_timeout_ms = CONNECT_MS};
    struct reg *reg = f->session->sessions->reg;

    if (f->unreachable == REG_FILE_OF_NODE)
        f->node_call = reg_node_call(reg, f->owner, f->reader, op, ASK_MS, in, fn, f);
    else
        f->call = ir_call(reg->rt, f->reader, op, &options, in, fn, f);
    return f->call != NULL || f->node_call != NULL;
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */

static void got_lines(void *arg, const struct ir_result *r)
{
    struct reg_file *f = arg;
    struct ir_request *rq = take_request(f);
    const struct IceGrid_FileReader_read_out *out = IceGrid_FileReader_read_result(r);
    const struct IceGrid_FileNotAvailableException *ex = IceGrid_FileNotAvailableException_caught(r);
    char text[300];

    if (out != NULL) {
        f->pos = out->newPos;
        IceGrid_FileIterator_read_reply(rq,
                                        &(struct IceGrid_FileIterator_read_out){.lines = out->lines, .ret = out->ret});
    } else {
        unavailable(rq, ex != NULL ? ib_cstr(ex->reason) : ir_result_text(r, text, sizeof(text)));
    }
}

static void read_lines(void *self, struct ir_request *rq, const struct IceGrid_FileIterator_read_in *in)
{
    struct reg_file *f = self;
    const struct IceGrid_FileReader_read_in question = {.filename = f->file, .pos = f->pos, .size = in->size};

    reg_session_seen(f->session);
    if (f->rq != NULL) {
        unavailable(rq, "the file is being read by an earlier request");
        return;
    }
    f->rq = rq;
    if (!ask(f, &IceGrid_FileReader_read_op, &question, got_lines))
        unavailable(take_request(f), "out of memory");
}

static void destroy(void *self, struct ir_request *rq, const struct IceGrid_FileIterator_destroy_in *in)
{
    struct reg_file *f = self;
    const struct reg_filter_change change = {.ids = &f->id, .n_ids = 1};

    (void)in;
    reg_filter_tell(f->session, false, &change, NULL, NULL);
    close_file(f);
    IceGrid_FileIterator_destroy_reply(rq, NULL);
}

static bool may_call(void *self, struct ir_request *rq, const struct iw_op *op)
{
    const struct reg_file *f = self;

    return reg_session_may_call(f->session, rq, op);
}

static const struct IceGrid_FileIterator_servant vtable = {.read = read_lines, .destroy = destroy};

/* --- opening -------------------------------------------------------------------------------------------------------
 */

/* Router and session have had their turn while the filters were told: the file is found again by its request. */
struct opening {
    struct reg_session *session; /* ref */
    struct ir_request *rq;
    struct iw_identity id;
};

static void told(void *arg, bool ok)
{
    const struct opening *o = arg;
    struct reg_session *session = o->session; /* o goes with its request */
    struct iw_proxy *prx = ir_adapter_direct_proxy(o->session->adapter, &o->id, ir_request_arena(o->rq));

    if (o->session->gone)
        ir_request_fail(o->rq, IR_OBJECT_NOT_EXIST, NULL);
    else if (!ok || prx == NULL)
        unavailable(o->rq, ok ? "out of memory" : "the router did not take the file's identity into its filters");
    else /* the seven operations answer alike */
        IceGrid_AdminSession_openRegistryStdErr_reply(
            o->rq, &(struct IceGrid_AdminSession_openRegistryStdErr_out){.ret = prx});
    reg_session_unref(session);
}

static void opened(struct reg_file *f, struct ir_request *rq, int64_t pos)
{
    struct opening *o = IB_ARENA_NEW(ir_request_arena(rq), struct opening);
    const struct reg_filter_change change = {.ids = &f->id, .n_ids = 1};

    f->pos = pos;
    f->servant =
        (struct ir_servant){.iface = &IceGrid_FileIterator_iface, .vtable = &vtable, .self = f, .before = may_call};
    if (o == NULL || (o->id.name = ib_arena_str(ir_request_arena(rq), f->id.name)).p == NULL ||
        ir_adapter_add(f->session->adapter, &f->id, "", &f->servant) != 0) {
        close_file(f);
        unavailable(rq, "out of memory");
        return;
    }
    f->added = true;
    o->session = reg_session_ref(f->session);
    o->rq = rq;
    o->id.category = f->id.category;
    reg_filter_tell(f->session, true, &change, told, o);
}

static void unreachable(const struct reg_file *f, struct ir_request *rq, const struct ir_result *r)
{
    char text[300];
    struct ib_str reason = ib_str(ir_result_text(r, text, sizeof(text)));

    if (f->unreachable == REG_FILE_OF_REGISTRY)
        IceGrid_RegistryUnreachableException_throw(
            rq, &(struct IceGrid_RegistryUnreachableException){.name = f->owner, .reason = reason});
    else
        IceGrid_NodeUnreachableException_throw(
            rq, &(struct IceGrid_NodeUnreachableException){.name = f->owner, .reason = reason});
}

static void got_offset(void *arg, const struct ir_result *r)
{
    struct reg_file *f = arg;
    struct ir_request *rq = take_request(f);
    const struct IceGrid_FileReader_getOffsetFromEnd_out *out = IceGrid_FileReader_getOffsetFromEnd_result(r);
    const struct IceGrid_FileNotAvailableException *ex = IceGrid_FileNotAvailableException_caught(r);

    if (out != NULL) {
        opened(f, rq, out->ret);
        return;
    }
    if (ex != NULL)
        unavailable(rq, ib_cstr(ex->reason));
    else
        unreachable(f, rq, r);
    close_file(f);
}

static struct reg_file *new_file(struct reg_session *s, const struct reg_file_wish *wish)
{
    struct reg_file *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return NULL;
    ib_arena_init(&f->arena, 0);
    f->session = s;
    f->unreachable = (uint8_t)wish->unreachable;
    f->id = reg_uuid_identity(s->sessions->reg->cfg.instance, &f->arena);
    f->reader = iw_proxy_copy(wish->reader, &f->arena);
    f->file = ib_arena_strz(&f->arena, wish->file);
    f->owner = ib_arena_str(&f->arena, wish->owner);
    ib_list_append(&s->files, &f->node);
    s->n_files++;
    if (f->id.name.p != NULL && f->reader != NULL && f->file.p != NULL && f->owner.p != NULL)
        return f;
    close_file(f);
    return NULL;
}

void reg_file_open(struct reg_session *s, struct ir_request *rq, const struct reg_file_wish *wish)
{
    const struct IceGrid_FileReader_getOffsetFromEnd_in in = {ib_str(wish->file), wish->count};
    struct reg_file *f;

    if (s->n_files >= MAX_FILES) {
        unavailable(rq, "too many open files in this session: destroy the iterators that are not needed");
        return;
    }
    f = new_file(s, wish);
    if (f != NULL) {
        f->rq = rq;
        if (ask(f, &IceGrid_FileReader_getOffsetFromEnd_op, &in, got_offset))
            return;
        f->rq = NULL;
        close_file(f);
    }
    unavailable(rq, "out of memory");
}
