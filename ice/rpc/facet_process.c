/* SPDX-License-Identifier: Apache-2.0 */
/* Admin facet "Process": ends the process, writes to its standard streams (ice-protocol 19.2). */
#include "admin_priv.h"

#include <slice/Ice/Process_rpc.h>
#include <stdio.h>

static void process_shutdown(void *self, struct ir_request *rq, const struct Ice_Process_shutdown_in *in)
{
    struct ir_admin *admin = self;

    (void)in;
    Ice_Process_shutdown_reply(rq, NULL);
    if (admin->on_shutdown != NULL)
        admin->on_shutdown(admin->arg);
}

static void process_write(void *self, struct ir_request *rq, const struct Ice_Process_writeMessage_in *in)
{
    FILE *f = in->fd == 1 ? stdout : in->fd == 2 ? stderr : NULL;

    (void)self;
    if (f != NULL) {
        fwrite(ib_cstr(in->message), 1, in->message.n, f);
        fputc('\n', f);
        fflush(f);
    }
    Ice_Process_writeMessage_reply(rq, NULL);
}

const struct Ice_Process_servant ir_facet_process = {.shutdown = process_shutdown, .writeMessage = process_write};
