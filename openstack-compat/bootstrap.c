#include "openstack-compat/bootstrap.h"

#include "common/ip.h"
#include "model/compute.h"
#include "model/volume.h"
#include "openstack-compat/identity/names.h"
#include "openstack-compat/network/defaults.h"
#include "rest-api/password.h"
#include "rest-api/route.h"
#include "rest-api/token.h"

#include <stdio.h>
#include <string.h>

#define TOKEN_KEYS_KEEP 3

struct boot {
    const struct bootstrap_opts *opts;
    const struct env *env;
    struct snapshot *snap;
    struct txn *txn;
    int64_t now;
    const char *region;
    char admin_role[33], member_role[33], reader_role[33];
    char admin_project[33];
    char external_network[UUID_SIZE];
};

static const char *or_else(const char *s, const char *dflt)
{
    return s ? s : dflt;
}

/* ---- roles, projects, users -------------------------------------------- */

static void make_role(struct boot *b, const char *name, char id[33])
{
    env_hex_id(b->env, id);
    _autorecord_ struct role *role = record_new(&kind_role, id);
    role->name = rec_str(role, name);
    name_take(b->txn, role, "", name);
    txn_change_record(b->txn, role);
}

static void make_inference(struct boot *b, const char *prior,
                           const char *implied)
{
    char id[80];
    snprintf(id, sizeof(id), "%s/%s", prior, implied);
    _autorecord_ struct role_inference *x =
        record_new(&kind_role_inference, id);
    x->prior_id = rec_str(x, prior);
    x->implied_id = rec_str(x, implied);
    txn_change_record(b->txn, x);
}

static void make_roles(struct boot *b)
{
    make_role(b, "admin", b->admin_role);
    make_role(b, "member", b->member_role);
    make_role(b, "reader", b->reader_role);
    make_inference(b, b->admin_role, b->member_role);
    make_inference(b, b->member_role, b->reader_role);
}

static void make_domain(struct boot *b)
{
    _autorecord_ struct domain *d = record_new(&kind_domain, "default");
    d->name = rec_str(d, "Default");
    d->description = rec_str(d, "The default domain");
    d->enabled = true;
    name_take(b->txn, d, "", d->name);
    txn_change_record(b->txn, d);
}

/* `usage` of the default security group is charged by the caller. */
static void make_project(struct boot *b, const char *name,
                         const char *description, char id[33])
{
    env_hex_id(b->env, id);
    _autorecord_ struct project *p = record_new(&kind_project, id);
    p->domain_id = rec_str(p, "default");
    p->name = rec_str(p, name);
    p->description = rec_str(p, description);
    p->enabled = true;
    name_take(b->txn, p, "default", name);
    txn_change_record(b->txn, p);
    security_group_default_records(b->txn, b->env, id);
}

static bool make_user(struct boot *b, const char *name, const char *password,
                      const char *project_id, char id[33], struct error *err)
{
    char hash[PASSWORD_HASH_MAX];
    unsigned cost = b->opts->password_cost;
    if (!password_hash(b->env, cost ? cost : PASSWORD_COST, password, hash,
                       err))
        return error_prefix(err, "user %s", name);
    env_hex_id(b->env, id);
    _autorecord_ struct user *u = record_new(&kind_user, id);
    u->domain_id = rec_str(u, "default");
    u->name = rec_str(u, name);
    u->default_project_id = rec_str(u, project_id);
    u->password_hash = rec_str(u, hash);
    u->password_changed = b->now;
    u->enabled = true;
    name_take(b->txn, u, "default", name);
    txn_change_record(b->txn, u);
    return true;
}

static void assign(struct boot *b, const char *user_id, int target_type,
                   const char *target_id, const char *role_id)
{
    char id[128];
    snprintf(id, sizeof(id), "%s/%s/%s", user_id, target_id, role_id);
    _autorecord_ struct assignment *a = record_new(&kind_assignment, id);
    a->actor_type = ACTOR_USER;
    a->actor_id = rec_str(a, user_id);
    a->target_type = target_type;
    a->target_id = rec_str(a, target_id);
    a->role_id = rec_str(a, role_id);
    txn_change_record(b->txn, a);
}

static bool make_admin(struct boot *b, struct error *err)
{
    char user[33];
    make_project(b, "admin", "The administrator's project", b->admin_project);
    if (!make_user(b, "admin", b->opts->admin_password, b->admin_project, user,
                   err))
        return false;
    assign(b, user, TARGET_PROJECT, b->admin_project, b->admin_role);
    assign(b, user, TARGET_DOMAIN, "default", b->admin_role);
    assign(b, user, TARGET_SYSTEM, "all", b->admin_role);
    return true;
}

static bool make_demo(struct boot *b, struct error *err)
{
    static const struct amount amounts[] = { SECURITY_GROUP_DEFAULT_AMOUNTS };
    char user[33], project[33];
    if (!b->opts->demo_password)
        return true;
    make_project(b, "demo", "A project to try things in", project);
    if (!make_user(b, "demo", b->opts->demo_password, project, user, err))
        return false;
    assign(b, user, TARGET_PROJECT, project, b->member_role);
    return quota_charge(b->txn, b->snap, "network", project, amounts,
                        ARRAY_SIZE(amounts), err);
}

/* ---- catalogue --------------------------------------------------------- */

static void make_endpoint(struct boot *b, const struct service_api *api,
                          const char *service_id, const char *interface)
{
    char id[33];
    env_hex_id(b->env, id);
    _autorecord_ struct endpoint *e = record_new(&kind_endpoint, id);
    e->service_id = rec_str(e, service_id);
    e->region_id = rec_str(e, b->region);
    e->interface = rec_str(e, interface);
    e->url = rec_strf(e, "%s%s%s", b->opts->public_url, api->prefix,
                      or_else(api->url_tail, ""));
    e->enabled = true;
    txn_change_record(b->txn, e);
}

/* Not there yet: with one endpoint an interface. */
static void make_service(struct boot *b, const struct service_api *api,
                         const char *type)
{
    char id[33];
    if (snap_find(b->snap, &kind_service, "type", type))
        return;
    env_hex_id(b->env, id);
    _autorecord_ struct service *s = record_new(&kind_service, id);
    s->type = rec_str(s, type);
    s->name = rec_str(s, api->name);
    s->enabled = true;
    txn_change_record(b->txn, s);
    make_endpoint(b, api, id, "public");
    make_endpoint(b, api, id, "internal");
    make_endpoint(b, api, id, "admin");
}

/* Cinder is looked for under two names by the clients of the field. */
static bool is_volume(const char *type)
{
    return strcmp(type, "volume") == 0 || strcmp(type, "volumev3") == 0 ||
           strcmp(type, "block-storage") == 0;
}

static void make_catalogue(struct boot *b)
{
    for (size_t i = 0; api_services[i]; i++) {
        const struct service_api *api = api_services[i];
        if (!*api->prefix || api->style == STYLE_NATIVE)
            continue;
        if (is_volume(api->type)) {
            make_service(b, api, "volumev3");
            make_service(b, api, "block-storage");
        } else {
            make_service(b, api, api->type);
        }
    }
}

static void make_region(struct boot *b)
{
    _autorecord_ struct region *region = record_new(&kind_region, b->region);
    txn_change_record(b->txn, region);
}

/* ---- flavors and volume types ------------------------------------------ */

/* Nova's and cinder's names are claimed as "<kind>/<name>". */
static void take_name(struct boot *b, const void *record, const char *name)
{
    const struct record *rec = record;
    char id[STORE_KEY_MAX], key[STORE_KEY_MAX];
    claim_take(b->txn, claim_id(id, "%s/%s", rec->kind->name, name),
               record_key(record, key));
}

static void make_flavors(struct boot *b)
{
    static const struct {
        const char *id, *name;
        int vcpus, ram_mb, disk_gb;
    } flavors[] = {
        { "0", "cairn.nano", 1, 128, 1 }, { "1", "m1.tiny", 1, 512, 1 },
        { "2", "m1.small", 1, 2048, 20 }, { "3", "m1.medium", 2, 4096, 40 },
        { "4", "m1.large", 4, 8192, 80 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(flavors); i++) {
        _autorecord_ struct flavor *f = record_new(&kind_flavor, flavors[i].id);
        f->name = rec_str(f, flavors[i].name);
        f->vcpus = flavors[i].vcpus;
        f->ram_mb = flavors[i].ram_mb;
        f->disk_gb = flavors[i].disk_gb;
        f->rxtx_factor = 1;
        f->created = b->now;
        take_name(b, f, f->name);
        txn_change_record(b->txn, f);
    }
}

static void make_volume_type(struct boot *b, const char *name,
                             const char *description, bool is_default)
{
    char id[UUID_SIZE];
    env_uuid(b->env, id);
    _autorecord_ struct volume_type *t = record_new(&kind_volume_type, id);
    t->name = rec_str(t, name);
    t->description = rec_str(t, description);
    t->is_default = is_default;
    t->created = b->now;
    map_put(t, &t->extra_specs, SPEC_STORAGE, name);
    take_name(b, t, t->name);
    txn_change_record(b->txn, t);
}

/* `replicated` only where there is such a storage. */
static void make_volume_types(struct boot *b)
{
    if (b->opts->replicated)
        make_volume_type(b, "replicated",
                         "The pool's storage: safe when a disk or a node "
                         "fails",
                         true);
    make_volume_type(b, "local",
                     "The own disk of one node, for those who replicate above",
                     !b->opts->replicated);
}

/* ---- the external network ---------------------------------------------- */

static void make_network(struct boot *b)
{
    env_uuid(b->env, b->external_network);
    _autorecord_ struct network *n =
        record_new(&kind_network, b->external_network);
    n->project_id = rec_str(n, b->admin_project);
    n->name = rec_str(n, "public");
    n->description = rec_str(n, "Addresses that the world outside reaches");
    n->admin_state_up = true;
    n->external = true;
    n->is_default = true;
    n->port_security_enabled = true;
    n->mtu = 1500;
    n->provider_type = rec_str(n, "flat");
    n->physical_network =
        rec_str(n, or_else(b->opts->external_physnet, "physnet1"));
    n->status = NET_ACTIVE;
    n->created = n->updated = b->now;
    txn_change_record(b->txn, n);
}

/* The whole subnet but its own, the gateway's and the broadcast address. */
static void fill_pool(struct subnet *s, struct cidr c)
{
    char text[IP_TEXT_MAX];
    struct ip gateway, first = ip_add(cidr_network(c), 1);
    struct ip last = ip_add(cidr_last(c), c.ip.version == 4 ? -1 : 0);
    if (s->gateway_ip && ip_parse(s->gateway_ip, &gateway) &&
        ip_compare(gateway, first) == 0)
        first = ip_add(first, 1);
    struct ip_range *range = list_add(s, &s->pools, sizeof(*range));
    range->start = rec_str(s, ip_format(first, text));
    range->end = rec_str(s, ip_format(last, text));
}

static bool check_external(const struct bootstrap_opts *o, struct cidr *c,
                           struct error *err)
{
    struct ip ip;
    const char *const addresses[] = { o->external_gateway, o->external_first,
                                      o->external_last };
    if (!cidr_parse(o->external_cidr, c))
        return error_set(err, ERR_INVALID,
                         "external network: '%.64s' is not a prefix",
                         o->external_cidr);
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
        if (addresses[i] &&
            (!ip_parse(addresses[i], &ip) || !cidr_contains(*c, ip)))
            return error_set(err, ERR_INVALID,
                             "external network: '%.64s' is no address of "
                             "%.64s",
                             addresses[i], o->external_cidr);
    return true;
}

static bool make_external(struct boot *b, struct error *err)
{
    const struct bootstrap_opts *o = b->opts;
    struct cidr c;
    char id[UUID_SIZE], text[CIDR_TEXT_MAX];
    if (!o->external_cidr)
        return true;
    if (!check_external(o, &c, err))
        return false;
    make_network(b);
    env_uuid(b->env, id);
    _autorecord_ struct subnet *s = record_new(&kind_subnet, id);
    s->project_id = rec_str(s, b->admin_project);
    s->network_id = rec_str(s, b->external_network);
    s->name = rec_str(s, "public-subnet");
    s->ip_version = c.ip.version;
    s->cidr = rec_str(s, cidr_format(c, text));
    s->gateway_ip = rec_str(s, o->external_gateway);
    if (o->external_first && o->external_last) {
        struct ip_range *range = list_add(s, &s->pools, sizeof(*range));
        range->start = rec_str(s, o->external_first);
        range->end = rec_str(s, o->external_last);
    } else {
        fill_pool(s, c);
    }
    s->created = s->updated = b->now;
    txn_change_record(b->txn, s);
    return true;
}

/* Once for all that the admin project gets. */
static bool charge_admin(struct boot *b, struct error *err)
{
    int64_t networks = b->opts->external_cidr ? 1 : 0;
    const struct amount amounts[] = { { "network", networks },
                                      { "subnet", networks },
                                      SECURITY_GROUP_DEFAULT_AMOUNTS };
    return quota_charge(b->txn, b->snap, "network", b->admin_project, amounts,
                        ARRAY_SIZE(amounts), err);
}

/* ---- the whole --------------------------------------------------------- */

static void make_pool(struct boot *b)
{
    const struct bootstrap_opts *o = b->opts;
    const struct pool *was = snap_get(b->snap, &kind_pool, "pool");
    _autorecord_ struct pool *p =
        was ? record_copy(was) : record_new(&kind_pool, "pool");
    p->name = rec_str(p, or_else(o->pool_name, "cairn"));
    p->region = rec_str(p, b->region);
    p->public_url = rec_str(p, o->public_url);
    p->default_domain_id = rec_str(p, "default");
    p->admin_project_id = rec_str(p, b->admin_project);
    if (o->external_cidr)
        p->external_network_id = rec_str(p, b->external_network);
    p->created = b->now;
    p->bootstrapped = true;
    txn_change_record(b->txn, p);
}

static bool first_content(struct boot *b, struct error *err)
{
    if (!b->opts->admin_password || !*b->opts->admin_password)
        return error_set(err, ERR_INVALID,
                         "the pool's first administrator needs a password");
    make_domain(b);
    make_roles(b);
    make_region(b);
    if (!make_admin(b, err) || !make_demo(b, err) || !make_external(b, err) ||
        !charge_admin(b, err))
        return false;
    make_catalogue(b);
    make_flavors(b);
    make_volume_types(b);
    if (!snap_count(b->snap, &kind_token_key))
        tokens_rotate(b->txn, b->snap, b->env, TOKEN_KEYS_KEEP);
    make_pool(b);
    return true;
}

/* Endpoints below the old public URL follow it to the new one. */
static void move_endpoints(struct boot *b, const struct pool *pool)
{
    const char *old = pool->public_url;
    size_t len = old ? strlen(old) : 0;
    if (!len || strcmp(old, b->opts->public_url) == 0)
        return;
    struct snap_iter it = snap_all(b->snap, &kind_endpoint);
    for (const struct endpoint *e; (e = snap_next(&it));) {
        if (strncmp(e->url, old, len) != 0 ||
            (e->url[len] && e->url[len] != '/'))
            continue;
        _autorecord_ struct endpoint *now = record_copy(e);
        now->url = rec_strf(now, "%s%s", b->opts->public_url, e->url + len);
        txn_change_record(b->txn, now);
    }
    _autorecord_ struct pool *moved = record_copy(pool);
    moved->public_url = rec_str(moved, b->opts->public_url);
    txn_change_record(b->txn, moved);
}

bool bootstrap(struct store *store, struct snapshot *snap,
               const struct bootstrap_opts *opts, struct error *err)
{
    const struct pool *pool = snap_get(snap, &kind_pool, "pool");
    bool ready = pool && pool->bootstrapped;
    struct txn_result result;
    _autotxn_ struct txn txn = TXN_INIT;
    struct boot b = {
        .opts = opts,
        .env = opts->env,
        .snap = snap,
        .txn = &txn,
        .now = env_now(opts->env),
        .region = ready ? pool->region : or_else(opts->region, "RegionOne"),
    };
    if (!opts->public_url || !strstr(opts->public_url, "://"))
        return error_set(err, ERR_INVALID,
                         "the pool's public URL must be like https://address");
    if (ready) {
        move_endpoints(&b, pool);
        make_catalogue(&b);
    } else if (!first_content(&b, err)) {
        return false;
    }
    if (txn_empty(&txn) || store_commit(store, &txn, &result))
        return true;
    error_copy(err, &result.err);
    return error_prefix(err, "first content of the pool");
}
