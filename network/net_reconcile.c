#include "network/net_reconcile.h"

#include "common/alloc.h"
#include "common/log.h"
#include "model/network.h"

#include <stdatomic.h>
#include <string.h>

#define KEY         "network/all"
#define BATCH_MAX   100 /* statuses in one transaction */
#define BUSY_US     SECOND_US
#define CONFLICT_US INT64_C(20000) /* somebody was quicker: look again soon */

struct net_reconcile {
    struct cache *cache;
    struct store *store;
    struct net_driver *driver;
    const struct env *env;
    struct reconciler *queue;
    atomic_bool rebuild; /* the next application is one from nothing */
};

/* ---- what it listens to ------------------------------------------------ */

/* The fields that this module itself writes: no reason to apply again. */
static void blank_status(void *record)
{
    const struct kind *kind = ((struct record *)record)->kind;
    const struct field *status = schema_field(&kind->schema, "status");
    const struct field *updated = schema_field(&kind->schema, "updated");
    if (status)
        *(int *)field_ptr(record, status) = 0;
    if (updated)
        *(int64_t *)field_ptr(record, updated) = 0;
}

static bool only_status_changed(const struct record *old,
                                const struct record *now)
{
    if (!old || !now)
        return false;
    _autorecord_ void *a = record_copy(old);
    _autorecord_ void *b = record_copy(now);
    blank_status(a);
    blank_status(b);
    return record_equal(a, b);
}

static void record_changed(void *arg, const struct record *old,
                           const struct record *now)
{
    struct net_reconcile *n = arg;
    switch ((now ? now : old)->kind->number) {
    case KIND_MEMBER:
    case KIND_NETWORK:
    case KIND_SUBNET:
    case KIND_PORT:
    case KIND_ROUTER:
    case KIND_FLOATING_IP:
    case KIND_SECURITY_GROUP:
    case KIND_SECURITY_GROUP_RULE:
        if (!only_status_changed(old, now))
            reconciler_add(n->queue, KEY);
        break;
    default:
        break;
    }
}

static void driver_changed(void *arg)
{
    struct net_reconcile *n = arg;
    reconciler_add(n->queue, KEY);
}

/* ---- what it writes back ----------------------------------------------- */

struct report {
    struct net_reconcile *n;
    struct txn txn;
    size_t in_txn;
    bool conflict; /* a record changed meanwhile */
    struct error err;
};

static void flush(struct report *r)
{
    struct txn_result result;
    if (!r->in_txn || r->err.code)
        return;
    r->in_txn = 0;
    if (store_commit(r->n->store, &r->txn, &result))
        return;
    if (result.status == TXN_CONFLICT)
        r->conflict = true;
    else
        error_copy(&r->err, &result.err);
}

/* Queues the change of a record's status, if it is one. */
static void set_status(struct report *r, const void *record, int status)
{
    const struct kind *kind = ((const struct record *)record)->kind;
    const struct field *f = schema_field(&kind->schema, "status");
    if (*(int *)field_ptr((char *)(uintptr_t)record, f) == status)
        return;
    _autorecord_ void *draft = record_copy(record);
    *(int *)field_ptr(draft, f) = status;
    txn_change_record(&r->txn, draft);
    if (++r->in_txn == BATCH_MAX)
        flush(r);
}

static bool owner_is(const struct port *p, const char *owner)
{
    return p->device_owner && !strcmp(p->device_owner, owner);
}

/* Only a guest's port is plugged in; neutron's own are there or not. */
static void report_port(struct report *r, const struct port *p)
{
    bool plugged = !owner_is(p, OWNER_ROUTER) && !owner_is(p, OWNER_GATEWAY) &&
                   !owner_is(p, OWNER_METADATA);
    if (owner_is(p, OWNER_FLOATINGIP))
        return; /* an address, no port of any switch */
    switch (network_port_state(r->n->driver, p->rec.id)) {
    case PORT_UNKNOWN:
        break;
    case PORT_ABSENT:
        set_status(r, p, NET_DOWN);
        break;
    case PORT_DOWN:
        set_status(r, p, plugged || !p->admin_state_up ? NET_DOWN : NET_ACTIVE);
        break;
    case PORT_UP:
        set_status(r, p, p->admin_state_up ? NET_ACTIVE : NET_DOWN);
        break;
    }
}

static void report_ports(struct report *r, const struct snapshot *s)
{
    struct snap_iter i = snap_all(s, &kind_port);
    for (const struct port *p; (p = snap_next(&i));)
        report_port(r, p);
}

/* Networks, routers, floating IPs: they work when all was applied, which only
 * who applied it knows. */
static void report_others(struct report *r, const struct snapshot *s)
{
    const void *it;
    struct snap_iter i = snap_all(s, &kind_network);
    while ((it = snap_next(&i)))
        set_status(r, it, NET_ACTIVE);
    i = snap_all(s, &kind_router);
    while ((it = snap_next(&i)))
        set_status(r, it, NET_ACTIVE);
    i = snap_all(s, &kind_floating_ip);
    for (const struct floating_ip *f; (f = snap_next(&i));)
        set_status(r, f, f->port_id && f->router_id ? NET_ACTIVE : NET_DOWN);
}

/* ---- the reconciler ---------------------------------------------------- */

static bool apply(struct net_reconcile *n, const struct snapshot *s,
                  struct error *err)
{
    if (!atomic_exchange(&n->rebuild, false))
        return network_apply(n->driver, s, err);
    log_info("network", "making all networks anew");
    if (network_rebuild(n->driver, s, err))
        return true;
    atomic_store(&n->rebuild, true);
    return false;
}

static enum reconcile_verdict reconcile(void *self, const char *key,
                                        int64_t *delay_us, struct error *err)
{
    struct net_reconcile *n = self;
    struct report r = { .n = n, .txn = TXN_INIT };
    _autosnap_ struct snapshot *s = cache_snapshot(n->cache);
    struct error apply_err = { 0 };
    bool writes = network_writes(n->driver); /* before: it may end meanwhile */
    bool applied = apply(n, s, &apply_err);
    report_ports(&r, s);
    if (applied && writes)
        report_others(&r, s);
    flush(&r);
    txn_reset(&r.txn);
    if (!applied && apply_err.code == ERR_BUSY && !r.err.code) {
        *delay_us = BUSY_US; /* or as soon as the driver has news */
        return RECONCILE_AGAIN;
    }
    if (!applied || r.err.code) {
        error_copy(err, applied ? &r.err : &apply_err);
        return RECONCILE_RETRY;
    }
    *delay_us = r.conflict ? CONFLICT_US : NET_AUDIT_US;
    return RECONCILE_AGAIN;
}

struct net_reconcile *net_reconcile_new(struct cache *cache,
                                        struct store *store,
                                        struct net_driver *driver,
                                        const struct env *env, unsigned workers)
{
    struct net_reconcile *n = xcalloc(1, sizeof(*n));
    n->cache = cache;
    n->store = store;
    n->driver = driver;
    n->env = env;
    n->queue = reconciler_new("network", reconcile, n, env, workers);
    cache_listen(cache, record_changed, n);
    network_watch(driver, driver_changed, n);
    return n;
}

void net_reconcile_start(struct net_reconcile *n)
{
    reconciler_add(n->queue, KEY);
}

bool net_reconcile_rebuild(struct net_reconcile *n)
{
    if (!network_writes(n->driver))
        return false;
    atomic_store(&n->rebuild, true);
    reconciler_add(n->queue, KEY);
    return true;
}

void net_reconcile_free(struct net_reconcile *n)
{
    if (!n)
        return;
    network_watch(n->driver, NULL, NULL);
    reconciler_stop(n->queue);
    free(n);
}

struct reconciler *net_reconcile_queue(struct net_reconcile *n)
{
    return n->queue;
}
