/*
 * duty_ref - who leads, for those who must be able to ask before the duty is
 * there: until then nobody does.
 *
 * The controllers are made first and ask from when the first records come;
 * pool_duty.h, which knows the answer, is opened after them.
 *
 * Ownership: of the one who opened the duty.  Threads: any.
 */
#ifndef CAIRN_DAEMON_DUTY_REF_H
#define CAIRN_DAEMON_DUTY_REF_H

#include "daemon/pool_duty.h"

#include <stdatomic.h>

struct duty_ref {
    _Atomic(struct pool_duty *) duty;
};

/* NULL: not yet. */
struct pool_duty *duty_ref_get(struct duty_ref *r);

/* As the pool_duty_... of that name; `ref` is a struct duty_ref. */
bool duty_ref_leads(void *ref);
int64_t duty_ref_term(void *ref);
int64_t duty_ref_lease(void *ref);
bool duty_ref_guard(void *ref, struct txn *txn);

#endif
