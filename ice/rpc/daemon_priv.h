/* SPDX-License-Identifier: Apache-2.0 */
/* What the operating system is asked for when a service starts: detaching, users, streams. */
#ifndef IR_DAEMON_PRIV_H
#define IR_DAEMON_PRIV_H

#include <moulin/base/log.h>
#include <moulin/rpc/properties.h>

struct ir_daemon {
    bool wanted, noclose, nochdir;
    const char *pidfile; /* borrows; NULL = none */
    int ready_fd; /* child: tells the waiting parent that the service runs; -1 otherwise */
};

/* Forks and detaches. In the parent: waits until the child says it runs or ends, sets *parent_status and returns 1. In
   the child (and when no daemon is wanted) returns 0. */
int ir_daemon_fork(struct ir_daemon *d, int *parent_status, struct ib_err *err) IB_MUST_CHECK;
/* Child: the service runs. Writes the pid file, lets go of the standard streams, releases the parent. */
int ir_daemon_ready(struct ir_daemon *d, const struct ir_properties *props, struct ib_err *err) IB_MUST_CHECK;
/* Ice.StdOut, Ice.StdErr, Ice.ChangeUser. */
int ir_process_setup(const struct ir_properties *props, struct ib_err *err) IB_MUST_CHECK;
/* Ice.LogFile, Ice.LogFile.SizeMax, Ice.UseSyslog, Ice.SyslogFacility. The caller frees *log, which writes to stderr
   after an error; NULL: no memory. */
int ir_log_open(const struct ir_properties *props, const char *program, struct ib_log **log,
                struct ib_err *err) IB_MUST_CHECK;

#endif
