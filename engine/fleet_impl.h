/* fleet_impl - what the parts of the fleet share: fleet.c (hosts, names, the
 * whole) and fleet_guests.c (guests, groups, classes).  Of no use outside. */
#ifndef CAIRN_ENGINE_FLEET_IMPL_H
#define CAIRN_ENGINE_FLEET_IMPL_H

#include "engine/fleet.h"

#define FLEET_NONE      UINT32_MAX
#define FLEET_SLOTS_MIN 64

/* `*p` is room for `size` entries; makes it room for `wanted`, zeroed. */
void fleet_widen(void *p, size_t entry, uint32_t size, uint32_t wanted);

/* The slots of its guests, `guests` of them. */
static inline uint32_t *fleet_slots(struct fleet_host *h)
{
    return h->size ? h->far : h->near;
}

/* Something about this host is not what it was. */
static inline void fleet_touch(struct fleet *f, uint32_t host)
{
    f->journal[f->sequence % FLEET_JOURNAL] = host;
    f->hosts[host].changed = ++f->sequence;
}

#endif
