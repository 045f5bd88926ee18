#include "storage/ceph_leave.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

/* Nothing is moved away from it any more: it cannot be read. */
static enum ceph_leave leave_dead(const struct ceph_leave_facts *f)
{
    if (f->in)
        return CEPH_OUT;
    return f->safe || f->whole ? CEPH_PURGE : CEPH_MOVING;
}

static enum ceph_leave leave_asked(const struct ceph_leave_facts *f)
{
    if (f->in)
        return f->room ? CEPH_OUT : CEPH_STAY_FULL;
    if (!f->safe)
        return CEPH_MOVING;
    return f->up ? CEPH_STOP : CEPH_PURGE;
}

enum ceph_leave ceph_leave_next(const struct ceph_leave_facts *f)
{
    if (f->gone && !f->up)
        return leave_dead(f);
    if (f->asked)
        return leave_asked(f);
    return f->leaving && f->up && !f->in ? CEPH_BACK : CEPH_STAY;
}

static const struct ceph_pool_facts *own_pool(const struct ceph_facts *f)
{
    for (size_t i = 0; i < f->n_pools; i++)
        if (strcmp(f->pools[i].name, f->pool) == 0)
            return &f->pools[i];
    return NULL;
}

bool ceph_leave_has_room(const struct ceph_facts *facts, int osd)
{
    struct ceph_facts without = *facts;
    const struct ceph_pool_facts *pool = own_pool(facts);
    struct ceph_osd_facts *osds = xcalloc(facts->n_osds + 1, sizeof(*osds));
    if (facts->n_osds)
        memcpy(osds, facts->osds, facts->n_osds * sizeof(*osds));
    for (size_t i = 0; i < facts->n_osds; i++)
        osds[i].in &= osds[i].id != osd;
    without.osds = osds;
    bool room =
        !pool || ceph_plan_domains(&without, pool->domain) >= pool->size;
    free(osds);
    return room;
}
