#include "model/pool.h"

#include "model/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const placement_policy_names[] = { "spread", "pack",
                                               "fragmentation", NULL };
const char *const node_health_names[] = { "up", "fencing", "fenced",
                                          "quarantined", NULL };
const char *const rebalancing_names[] = { "on", "advise", "off", NULL };

#define T struct pool
static const struct field pool_fields[] = {
    FIELD(T, name, F_STR),
    FIELD(T, region, F_STR),
    FIELD(T, public_url, F_STR),
    FIELD(T, default_domain_id, F_STR),
    FIELD(T, admin_project_id, F_STR),
    FIELD(T, external_network_id, F_STR),
    FIELD(T, created, F_TIME),
    FIELD(T, bootstrapped, F_BOOL),
    FIELD_END,
};
#undef T
KIND(kind_pool, KIND_POOL, "pool", struct pool, pool_fields, NO_INDEXES);

static const struct field amount_fields[] = {
    FIELD(struct amount, name, F_STR),
    FIELD(struct amount, n, F_INT),
    FIELD_END,
};
static const struct schema amount_schema = { sizeof(struct amount),
                                             amount_fields };

#define T struct pool_policy
static const struct field policy_fields[] = {
    FIELD_E(T, placement, placement_policy_names),
    FIELD_L(T, weights, amount_schema),
    FIELD_E(T, rebalancing, rebalancing_names),
    FIELD_L(T, goals, amount_schema),
    FIELD(T, max_moves, F_INT),
    FIELD(T, parallel, F_INT),
    FIELD(T, per_host, F_INT),
    FIELD(T, gain_percent, F_INT),
    FIELD(T, large, F_STR),
    FIELD(T, places, F_INT),
    FIELD(T, reserve, F_INT),
    FIELD_END,
};
#undef T
KIND(kind_pool_policy, KIND_POOL_POLICY, "policy", struct pool_policy,
     policy_fields, NO_INDEXES);

#define T struct node_pages
static const struct field node_pages_fields[] = {
    FIELD(T, kib, F_INT),
    FIELD(T, count, F_INT),
    FIELD_END,
};
#undef T
static const struct schema node_pages_schema = { sizeof(struct node_pages),
                                                 node_pages_fields };

#define T struct node_cell
static const struct field node_cell_fields[] = {
    FIELD(T, id, F_INT),        FIELD(T, cpus, F_STR),
    FIELD(T, ram_mb, F_INT),    FIELD_L(T, pages, node_pages_schema),
    FIELD(T, distances, F_STR), FIELD_END,
};
#undef T
static const struct schema node_cell_schema = { sizeof(struct node_cell),
                                                node_cell_fields };

#define T struct node_share
static const struct field node_share_fields[] = {
    FIELD(T, type, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, instances, F_INT),
    FIELD_END,
};
#undef T
static const struct schema node_share_schema = { sizeof(struct node_share),
                                                 node_share_fields };

#define T struct node_device
static const struct field node_device_fields[] = {
    FIELD(T, address, F_STR),
    { "class", F_STR, offsetof(T, class_), 0, NULL, NULL },
    FIELD(T, model, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, text, F_STR),
    FIELD(T, cell, F_INT),
    FIELD_L(T, shares, node_share_schema),
    FIELD_END,
};
#undef T
static const struct schema node_device_schema = { sizeof(struct node_device),
                                                  node_device_fields };

#define T struct node
static const struct field node_fields[] = {
    FIELD(T, hypervisor_id, F_STR),
    FIELD(T, address, F_STR),
    FIELD(T, storage_address, F_STR),
    FIELD(T, availability_zone, F_STR),
    FIELD(T, hypervisor_type, F_STR),
    FIELD(T, hypervisor_version, F_INT),
    FIELD(T, cpu_info, F_JSON),
    FIELD(T, machine, F_STR),
    FIELD(T, vcpus, F_INT),
    FIELD(T, ram_mb, F_INT),
    FIELD(T, ram_reserved_mb, F_INT),
    FIELD(T, disk_gb, F_INT),
    FIELD(T, disk_used_gb, F_INT),
    FIELD(T, bandwidth_mbps, F_INT),
    FIELD_L(T, cells, node_cell_schema),
    FIELD_L(T, devices, node_device_schema),
    FIELD(T, pinned_cpus, F_STR),
    FIELD(T, cpu_overcommit, F_REAL),
    FIELD(T, ram_overcommit, F_REAL),
    FIELD(T, rack, F_STR),
    FIELD(T, traits, F_STRS),
    FIELD_L(T, resources, amount_schema),
    FIELD(T, replicated, F_BOOL),
    FIELD(T, kvm, F_BOOL),
    FIELD(T, kvm_reason, F_STR),
    FIELD(T, disabled, F_BOOL),
    FIELD(T, disabled_reason, F_STR),
    FIELD(T, draining, F_BOOL),
    FIELD(T, maintenance, F_BOOL),
    FIELD_E(T, health, node_health_names),
    FIELD(T, health_since, F_TIME),
    FIELD(T, health_why, F_STR),
    FIELD(T, fence, F_INT),
    FIELD(T, cleaned, F_INT),
    FIELD(T, storage_lost, F_TIME),
    FIELD(T, stopped, F_TIME),
    FIELD(T, booted, F_TIME),
    FIELD(T, started, F_TIME),
    FIELD(T, seen, F_TIME),
    FIELD(T, created, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_node, KIND_NODE, "node", struct node, node_fields,
     INDEXES({ "hypervisor_id" }));

#define T struct member
static const struct field member_fields[] = {
    FIELD(T, node_id, F_STR),
    FIELD(T, address, F_STR),
    FIELD(T, secret, F_STR),
    FIELD(T, joined, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_member, KIND_MEMBER, "member", struct member, member_fields,
     INDEXES({ "node_id" }));

#define T struct join_secret_record
static const struct field join_secret_fields[] = {
    FIELD_S(T, key, F_STR),
    FIELD(T, once, F_BOOL),
    FIELD(T, expires, F_TIME),
    FIELD(T, created, F_TIME),
    FIELD(T, used, F_TIME),
    FIELD(T, used_by, F_STR),
    FIELD_END,
};
#undef T
KIND(kind_join_secret, KIND_JOIN_SECRET, "join_secret",
     struct join_secret_record, join_secret_fields, NO_INDEXES);

static const struct field claim_fields[] = {
    FIELD(struct claim, owner, F_STR),
    FIELD_END,
};
KIND(kind_claim, KIND_CLAIM, "claim", struct claim, claim_fields,
     INDEXES({ "owner" }));

static const struct field counter_fields[] = {
    FIELD(struct counter, last, F_INT),
    FIELD_END,
};
KIND(kind_counter, KIND_COUNTER, "counter", struct counter, counter_fields,
     NO_INDEXES);

static const struct field usage_fields[] = {
    FIELD_L(struct usage, amounts, amount_schema),
    FIELD_END,
};
KIND(kind_usage, KIND_USAGE, "usage", struct usage, usage_fields, NO_INDEXES);

static const struct field quota_fields[] = {
    FIELD_L(struct quota, limits, amount_schema),
    FIELD_END,
};
KIND(kind_quota, KIND_QUOTA, "quota", struct quota, quota_fields, NO_INDEXES);

/* ---- claims ------------------------------------------------------------ */

char *claim_id(char out[STORE_KEY_MAX], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(out, STORE_KEY_MAX - sizeof("claim/"), fmt, args);
    va_end(args);
    return out;
}

void claim_take(struct txn *t, const char *id, const char *owner_key)
{
    _autorecord_ struct claim *c = record_new(&kind_claim, id);
    c->owner = rec_str(c, owner_key);
    txn_change_record(t, c);
}

void claim_release(struct txn *t, const char *id)
{
    char key[STORE_KEY_MAX];
    snprintf(key, sizeof(key), "claim/%s", id);
    txn_delete(t, key);
}

/* ---- counters ---------------------------------------------------------- */

/* The last one that this transaction gives out already; 0: it gives none. */
static int64_t given_out(const struct txn *t, const char *id)
{
    char key[STORE_KEY_MAX];
    snprintf(key, sizeof(key), "counter/%s", id);
    for (size_t i = t->n_writes; i-- > 0;)
        if (strcmp(t->writes[i].key, key) == 0) {
            _autorecord_ const struct counter *c = record_decode(
                &kind_counter, id, t->writes[i].value, t->writes[i].len, NULL);
            return c->last;
        }
    return 0;
}

int64_t counter_next(struct txn *t, const struct snapshot *s, const char *id)
{
    const struct counter *was = snap_get(s, &kind_counter, id);
    _autorecord_ struct counter *c =
        was ? record_copy(was) : record_new(&kind_counter, id);
    int64_t given = given_out(t, id);
    c->last = 1 + (given ? given : c->last);
    txn_change_record(t, c);
    return c->last;
}

/* ---- quota ------------------------------------------------------------- */

/* Nova's, Cinder's and Neutron's own defaults. */
const struct quota_default quota_defaults[] = {
    { "compute", "instances", 10 },
    { "compute", "cores", 20 },
    { "compute", "ram", 51200 },
    { "compute", "server_groups", 10 },
    { "volume", "volumes", 10 },
    { "volume", "gigabytes", 1000 },
    { "volume", "snapshots", 10 },
    { "network", "network", 100 },
    { "network", "subnet", 100 },
    { "network", "port", 500 },
    { "network", "router", 10 },
    { "network", "floatingip", 50 },
    { "network", "security_group", 10 },
    { "network", "security_group_rule", 100 },
    { NULL, NULL, 0 },
};

static struct amount *amount_find(const struct list *amounts, const char *name)
{
    for (size_t i = 0; i < amounts->n; i++)
        if (strcmp(LIST_AT(*amounts, struct amount, i)->name, name) == 0)
            return LIST_AT(*amounts, struct amount, i);
    return NULL;
}

int64_t amount_get(const struct list *amounts, const char *name, int64_t absent)
{
    const struct amount *a = amount_find(amounts, name);
    return a ? a->n : absent;
}

void amount_set(void *record, struct list *amounts, const char *name, int64_t n)
{
    struct amount *a = amount_find(amounts, name);
    if (!a) {
        a = list_add(record, amounts, sizeof(*a));
        a->name = rec_str(record, name);
    }
    a->n = n;
}

static int64_t default_limit(const char *service, const char *name)
{
    for (const struct quota_default *d = quota_defaults; d->name; d++)
        if (strcmp(d->service, service) == 0 && strcmp(d->name, name) == 0)
            return d->limit;
    return -1;
}

static char *project_key(char out[STORE_KEY_MAX], const char *service,
                         const char *project_id)
{
    snprintf(out, STORE_KEY_MAX, "%s/%s", service, project_id);
    return out;
}

int64_t quota_limit(const struct snapshot *s, const char *service,
                    const char *project_id, const char *name)
{
    char id[STORE_KEY_MAX];
    const struct quota *q =
        snap_get(s, &kind_quota, project_key(id, service, project_id));
    int64_t limit = default_limit(service, name);
    return q ? amount_get(&q->limits, name, limit) : limit;
}

int64_t quota_used(const struct snapshot *s, const char *service,
                   const char *project_id, const char *name)
{
    char id[STORE_KEY_MAX];
    const struct usage *u =
        snap_get(s, &kind_usage, project_key(id, service, project_id));
    return u ? amount_get(&u->amounts, name, 0) : 0;
}

static bool charge_one(struct usage *u, const struct snapshot *s,
                       const char *service, const char *project_id,
                       const struct amount *more, struct error *err)
{
    int64_t used = amount_get(&u->amounts, more->name, 0);
    int64_t limit = quota_limit(s, service, project_id, more->name);
    if (more->n > 0 && limit >= 0 && used + more->n > limit)
        return error_set(err, ERR_QUOTA,
                         "Quota exceeded for %s: Requested %lld, but already "
                         "used %lld of %lld %s",
                         more->name, (long long)more->n, (long long)used,
                         (long long)limit, more->name);
    amount_set(u, &u->amounts, more->name, used + more->n);
    return true;
}

/* The usage record as this transaction leaves it so far: a draft. */
static struct usage *usage_draft(const struct txn *t, const struct snapshot *s,
                                 const char *id)
{
    const struct usage *was = snap_get(s, &kind_usage, id);
    char key[sizeof("usage/") + STORE_KEY_MAX];
    snprintf(key, sizeof(key), "usage/%s", id);
    for (size_t i = 0; i < t->n_writes; i++) {
        const struct write *w = &t->writes[i];
        if (strcmp(w->key, key) != 0 || !w->value)
            continue;
        struct usage *u =
            record_decode(&kind_usage, id, w->value, w->len, NULL);
        u->rec.mod_rev = was ? was->rec.mod_rev : 0;
        u->rec.create_rev = was ? was->rec.create_rev : 0;
        return u;
    }
    return was ? record_copy(was) : record_new(&kind_usage, id);
}

bool quota_charge(struct txn *t, const struct snapshot *s, const char *service,
                  const char *project_id, const struct amount *amounts,
                  size_t n, struct error *err)
{
    char id[STORE_KEY_MAX];
    _autorecord_ struct usage *u =
        usage_draft(t, s, project_key(id, service, project_id));
    for (size_t i = 0; i < n; i++)
        if (!charge_one(u, s, service, project_id, &amounts[i], err))
            return false;
    txn_change_record(t, u);
    return true;
}

bool pool_is_replicated(const struct snapshot *s)
{
    struct snap_iter it = snap_all(s, &kind_node);
    for (const struct node *n; (n = snap_next(&it));)
        if (n->replicated)
            return true;
    return false;
}
