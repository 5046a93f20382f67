/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of clients and administrators from the inside: what session.c, allocation.c, the session managers and the
   administrator's servants share. A session made directly lives and dies with its connection; one made through a
   session manager does not (icegrid-registry 7.2).

       ALIVE -> GONE      (gone: nothing reaches it any more; its memory goes with the last reference) */
#ifndef REG_SESSIONS_H
#define REG_SESSIONS_H

#include <moulin/auth/verifier.h>
#include <moulin/net/loop.h>

#include "registry.h"
#include "slices.h"
#include <slice/Glacier2/Session_rpc.h>

struct reg_sessions;
struct reg_observers;
struct reg_alloc;
struct reg_alloc_request;
struct reg_routes;

enum reg_session_kind { REG_CLIENT_SESSION, REG_ADMIN_SESSION, REG_SESSION_KINDS };

struct reg_session {
    uint32_t refs;
    bool gone;
    uint8_t kind; /* enum reg_session_kind */
    struct reg_sessions *sessions;
    struct ib_list node; /* in sessions->all */
    struct ib_arena arena; /* of the strings and proxies below */
    struct ib_str user;
    struct iw_identity id;
    const struct iw_proxy *proxy;
    struct ir_adapter *adapter; /* that the session's objects are on */
    struct ir_servant servant;
    struct reg_session_conn *conn; /* NULL: made through a session manager */
    struct ib_list conn_node; /* in conn->sessions */
    struct iw_proxy *control; /* of the router; NULL without */
    bool filters; /* the router's filters are kept up to date */
    int timeout_s; /* 0: never ends by itself */
    int64_t seen_ms;

    /* client sessions: allocation.c */
    int32_t allocation_timeout_ms;
    struct ib_list owned; /* reg_alloc_object.owned */
    struct ib_list waiting; /* reg_alloc_request.mine */
    size_t n_waiting;

    /* admin sessions */
    struct iw_identity admin_id;
    struct ir_servant admin;
    struct reg_observers *observers; /* owns; NULL without */
    struct ib_list files; /* own: struct reg_file, see file_iterator.c */
    size_t n_files;
    struct ib_str callback_category; /* empty: not made yet */
    struct ir_servant callbacks; /* default servant of that category */
};

/* A connection that made sessions. */
struct reg_session_conn {
    struct ir_conn *conn; /* key */
    struct reg_sessions *sessions;
    struct ib_list mine; /* reg_session.conn_node */
    size_t n;
    struct ir_conn_hook hook;
    UT_hash_handle hh;
};

enum reg_verifier { REG_VERIFY_CLIENT, REG_VERIFY_ADMIN, REG_VERIFY_CLIENT_SSL, REG_VERIFY_ADMIN_SSL, REG_VERIFIERS };

struct reg_sessions {
    struct reg *reg;
    struct ib_list all;
    size_t n;
    struct reg_session_conn *conns; /* hash */
    struct auth_helper *helper; /* owns */
    struct auth_verifier *verifiers[REG_VERIFIERS]; /* own; NULL: not configured */
    struct reg_alloc *alloc; /* owns */
    struct reg_routes *routes; /* owns */
    struct reg_session *lock; /* who updates; NULL: nobody */
    struct ic_timer reaper;
    int64_t reaper_ms; /* its period while it is armed */
    struct ir_servant registry, managers[4];
    bool manager_added[4];
};

extern const struct reg_part reg_sessions_part;

/* An orderly stop begins: all sessions end, whoever waits in one is told. */
void reg_sessions_end(struct reg *reg);

/* --- session.c --- */

struct reg_session_wish {
    enum reg_session_kind kind;
    struct ib_str user;
    struct ir_adapter *adapter;
    struct ir_conn *conn; /* ties the session to it; NULL: does not */
    const struct iw_proxy *control;
    bool filters;
    int timeout_s;
};
/* NULL and err: IB_ELIMIT, IB_ENOMEM. */
struct reg_session *reg_session_new(struct reg_sessions *ss, const struct reg_session_wish *wish, struct ib_err *err);
/* Ends it: objects go to whoever waits, the lock is freed. Harmless on one that is gone. */
void reg_session_destroy(struct reg_session *s);
struct reg_session *reg_session_ref(struct reg_session *s);
void reg_session_unref(struct reg_session *s);
void reg_session_seen(struct reg_session *s);
/* ir_servant.before of everything that belongs to a session. */
bool reg_session_may_call(void *self, struct ir_request *rq, const struct iw_op *op);
/* For servants whose self is the session. */
extern const struct IceGrid_Session_servant reg_session_vtable;
extern const struct IceGrid_AdminSession_servant reg_admin_session_vtable;
extern const struct IceGrid_Admin_servant reg_admin_vtable;

/* --- allocation.c --- */

struct reg_alloc *reg_alloc_new(struct reg_sessions *ss);
void reg_alloc_free(struct reg_alloc *a); /* after the last session is gone */
/* All answer rq, at once or later. */
void reg_allocate_by_id(struct reg_session *s, struct ir_request *rq, const struct iw_identity *id);
void reg_allocate_by_type(struct reg_session *s, struct ir_request *rq, struct ib_str type);
void reg_release(struct reg_session *s, struct ir_request *rq, const struct iw_identity *id);
void reg_alloc_session_gone(struct reg_session *s); /* cancels what it waits for, gives back what it has */

/* --- session_server.c: servers of activation "session" --- */

bool reg_is_session_server(const struct reg_server *server); /* NULL: false */
struct reg_session_hold {
    void (*then)(void *arg);
    void *arg;
};
/* The user of the session that got the server; then is called when its node has it, or cannot have it. hold is the
   caller's until then. At once for other servers. */
void reg_session_server_hold(struct reg *reg, const struct reg_server *server, struct ib_str user,
                             struct reg_session_hold *hold);
void reg_session_server_release(struct reg *reg, struct ib_str id);
/* traces.c: allocated, released */
void reg_trace_allocation(const struct reg_session *s, const struct iw_identity *id, const char *what);

/* --- filters of a router's session (icegrid-registry 7.4) --- */

struct reg_filter_change {
    const struct iw_identity *ids;
    size_t n_ids;
    const struct ib_str *adapters, *categories;
    size_t n_adapters, n_categories;
};
/* Adds to (or removes from) the session's filters; then is called when the router has answered, or at once when the
   session has none. ok false: the router could not be told. The change is copied. */
void reg_filter_tell(struct reg_session *s, bool add, const struct reg_filter_change *change,
                     void (*then)(void *arg, bool ok), void *arg);

/* --- observers.c --- */

/* Replaces all five subscriptions; a NULL proxy ends one. With conn the calls go over it. */
int reg_observers_set(struct reg_session *s, struct iw_proxy *const prx[REG_TOPIC_MAX],
                      struct ir_conn *conn) IB_MUST_CHECK;
void reg_observers_free(struct reg_observers *o); /* NULL is fine */

/* --- file_iterator.c: files that an administrator reads, here or elsewhere --- */

enum reg_file_owner { REG_FILE_OF_REGISTRY, REG_FILE_OF_NODE };
struct reg_file_wish {
    const struct iw_proxy *reader; /* IceGrid::FileReader */
    const char *file; /* its name there */
    int32_t count; /* where to begin: icegrid-registry 8.3 */
    struct ib_str owner; /* the registry's or node's name */
    enum reg_file_owner unreachable; /* whose …UnreachableException tells that the reader does not answer */
};
/* Answers rq, one of the seven open… operations, at once or later. The wish is copied. */
void reg_file_open(struct reg_session *s, struct ir_request *rq, const struct reg_file_wish *wish);
void reg_files_close(struct reg_session *s); /* all of the session's */

/* --- admin_files.c: who has the file --- */

#define REG_OPEN_OP(op)                                                                                                \
    void reg_##op(void *self, struct ir_request *rq, const struct IceGrid_AdminSession_##op##_in *in)
REG_OPEN_OP(openServerLog);
REG_OPEN_OP(openServerStdErr);
REG_OPEN_OP(openServerStdOut);
REG_OPEN_OP(openNodeStdErr);
REG_OPEN_OP(openNodeStdOut);
REG_OPEN_OP(openRegistryStdErr);
REG_OPEN_OP(openRegistryStdOut);

/* --- admin_nodes.c --- */

/* Named in a deployed application? */
bool reg_node_is_known(struct reg *reg, struct ib_str name);

/* --- admin_routes.c --- */

int reg_routes_start(struct reg_sessions *ss, struct ib_err *err) IB_MUST_CHECK;
void reg_routes_stop(struct reg_sessions *ss);

/* --- registry_servant.c, session_manager.c: the objects that make sessions --- */

int reg_registry_servant_start(struct reg_sessions *ss, struct ib_err *err) IB_MUST_CHECK;
void reg_registry_servant_stop(struct reg_sessions *ss);
int reg_session_managers_start(struct reg_sessions *ss, struct ib_err *err) IB_MUST_CHECK;
void reg_session_managers_stop(struct reg_sessions *ss);

#endif
