#include "daemon/duty_ref.h"

struct pool_duty *duty_ref_get(struct duty_ref *r)
{
    return atomic_load(&r->duty);
}

bool duty_ref_leads(void *ref)
{
    struct pool_duty *duty = duty_ref_get(ref);
    return duty && pool_duty_leads(duty);
}

int64_t duty_ref_term(void *ref)
{
    struct pool_duty *duty = duty_ref_get(ref);
    return duty ? pool_duty_term(duty) : 0;
}

int64_t duty_ref_lease(void *ref)
{
    struct pool_duty *duty = duty_ref_get(ref);
    return duty ? pool_duty_lease(duty) : 0;
}

bool duty_ref_guard(void *ref, struct txn *txn)
{
    struct pool_duty *duty = duty_ref_get(ref);
    return duty && pool_duty_guard(duty, txn);
}
