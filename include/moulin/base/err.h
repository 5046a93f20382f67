/* SPDX-License-Identifier: Apache-2.0 */
/* Errors. A function that can fail returns 0 or a negative IB_E… of err.def; what a person will read
   goes into an optional struct ib_err, filled by whoever found the fault, prefixed on the way up. */
#ifndef MOULIN_BASE_ERR_H
#define MOULIN_BASE_ERR_H

#include <stdarg.h>

enum ib_errno {
    IB_OK = 0,
    IB_E_BASE_ = -10000,
#define X(sym, exc, text) IB_E##sym,
#include <moulin/base/err.def>
#undef X
    IB_E_MAX_
};

/* For large locals on the way of every message: releases zero what is not initialised, and these are always written
   before they are read. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define IB_UNINIT __attribute__((uninitialized))
#endif
#endif
#ifndef IB_UNINIT
#define IB_UNINIT
#endif
#define IB_MUST_CHECK __attribute__((warn_unused_result))
#define IB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

struct ib_err {
    int code; /* IB_E… */
    char text[512]; /* one line, or several as Ice prints them; never a secret */
};

/* Both fill *err (which may be NULL) and return code, so that callers can "return ib_err_set(…)".
   ib_err_wrap puts "prefix: " before the text that is there already. */
int ib_err_set(struct ib_err *err, int code, const char *fmt, ...) IB_PRINTF(3, 4);
int ib_err_wrap(struct ib_err *err, const char *fmt, ...) IB_PRINTF(2, 3);

const char *ib_err_text(int code); /* "connection refused" */
const char *ib_err_ice_name(int code); /* "ConnectionRefusedException", without "::Ice::" */

#endif
