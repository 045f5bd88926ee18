#include "look.h"

#include "model/compute.h"
#include "model/identity.h"
#include "model/image.h"
#include "model/network.h"
#include "model/pool.h"
#include "model/resize.h"
#include "model/volume.h"

/* ---- references
 * ------------------------------------------------------------------ */

struct reference {
    const struct kind *from;
    const char *path;
    const struct kind *to;
    bool only_quiet; /* may be broken while somebody works on it */
};

static const struct reference references[] = {
    { &kind_subnet, "network_id", &kind_network },
    { &kind_network, "metadata_port_id", &kind_port },
    { &kind_port, "network_id", &kind_network },
    { &kind_port, "fixed_ips.subnet_id", &kind_subnet },
    { &kind_port, "security_group_ids", &kind_security_group },
    { &kind_router, "gateway_network_id", &kind_network },
    { &kind_router, "gateway_port_id", &kind_port },
    { &kind_floating_ip, "network_id", &kind_network },
    { &kind_floating_ip, "floating_port_id", &kind_port },
    { &kind_floating_ip, "port_id", &kind_port },
    { &kind_floating_ip, "router_id", &kind_router },
    { &kind_security_group_rule, "security_group_id", &kind_security_group },
    { &kind_security_group_rule, "remote_group_id", &kind_security_group },
    { &kind_server, "node", &kind_node },
    { &kind_disk, "server_id", &kind_server, true },
    { &kind_volume, "attachments.server_id", &kind_server, true },
    { &kind_volume, "volume_type_id", &kind_volume_type },
    { &kind_snapshot, "volume_id", &kind_volume },
    { &kind_keypair, "user_id", &kind_user },
    { &kind_user, "domain_id", &kind_domain },
    { &kind_project, "domain_id", &kind_domain },
    { &kind_group, "domain_id", &kind_domain },
    { &kind_group_member, "group_id", &kind_group },
    { &kind_group_member, "user_id", &kind_user },
    { &kind_role_inference, "prior_id", &kind_role },
    { &kind_role_inference, "implied_id", &kind_role },
    { &kind_assignment, "role_id", &kind_role },
    { &kind_app_credential, "user_id", &kind_user },
    { &kind_app_credential, "project_id", &kind_project },
    { &kind_app_credential, "role_ids", &kind_role },
    { &kind_endpoint, "service_id", &kind_service },
    { &kind_endpoint, "region_id", &kind_region },
};

struct referring {
    struct look *l;
    const struct reference *ref;
    const struct record *from;
};

static void check_target(void *arg, const char *key)
{
    struct referring *x = arg;
    if (!snap_get(x->l->s, x->ref->to, key))
        world_broken(x->l->w, "no lost record: %s %s has %s %s, which is gone",
                     x->ref->from->name, x->from->id, x->ref->path, key);
}

static void check_references(struct look *l, bool quiet)
{
    for (size_t i = 0; i < ARRAY_SIZE(references); i++) {
        const struct reference *ref = &references[i];
        struct index ix = { ref->path };
        if ((ref->only_quiet && !quiet) ||
            (!look_is_new(l, ref->from) && !look_is_new(l, ref->to)))
            continue;
        struct snap_iter it = snap_all(l->s, ref->from);
        for (const struct record *r; (r = snap_next(&it));) {
            struct referring x = { l, ref, r };
            if (quiet && look_may_be_left(l, r))
                continue;
            index_keys(r, &ix, check_target, &x);
        }
    }
}

static void check_assignments(struct look *l)
{
    static const struct kind *const kinds[] = { &kind_assignment, &kind_user,
                                                &kind_group, &kind_project,
                                                &kind_domain };
    if (!look_any_new(l, kinds, ARRAY_SIZE(kinds)))
        return;
    struct snap_iter it = snap_all(l->s, &kind_assignment);
    for (const struct assignment *a; (a = snap_next(&it));) {
        const struct kind *actor =
            a->actor_type == ACTOR_USER ? &kind_user : &kind_group;
        const struct kind *target =
            a->target_type == TARGET_PROJECT ? &kind_project : &kind_domain;
        if (!snap_get(l->s, actor, a->actor_id) ||
            (a->target_type != TARGET_SYSTEM &&
             !snap_get(l->s, target, a->target_id)))
            world_broken(l->w,
                         "no lost record: assignment %s speaks of what is gone",
                         a->rec.id);
    }
}

/* ---- claims
 * ------------------------------------------------------------------------ */

static const struct record *owner_of(struct look *l, const struct claim *c)
{
    char kind[64];
    const char *slash = c->owner ? strchr(c->owner, '/') : NULL;
    if (!slash)
        return NULL;
    snprintf(kind, sizeof(kind), "%.*s", (int)(slash - c->owner), c->owner);
    const struct kind *k = model_kind_named(kind);
    return k ? snap_get(l->s, k, slash + 1) : NULL;
}

static bool port_holds(const struct port *p, const char *claim)
{
    char id[STORE_KEY_MAX];
    if (is(claim, claim_id(id, "mac/%s/%s", p->network_id, p->mac_address)))
        return true;
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        if (is(claim, claim_id(id, "ip/%s/%s", ip->subnet_id, ip->ip_address)))
            return true;
    }
    return false;
}

static void check_claims(struct look *l)
{
    struct snap_iter it = snap_all(l->s, &kind_claim);
    for (const struct claim *c; (c = snap_next(&it));) {
        const struct record *owner = owner_of(l, c);
        bool address = strncmp(c->rec.id, "ip/", 3) == 0 ||
                       strncmp(c->rec.id, "mac/", 4) == 0;
        if (!owner)
            world_broken(l->w, "claims: %s is held by %s, which is gone",
                         c->rec.id, c->owner ? c->owner : "nobody");
        else if (address && (owner->kind != &kind_port ||
                             !port_holds((const void *)owner, c->rec.id)))
            world_broken(l->w, "claims: %s is held by %s, which has it not",
                         c->rec.id, c->owner);
    }
}

static void check_claimed(struct look *l, const struct port *p,
                          const char *claim)
{
    char key[STORE_KEY_MAX];
    const struct claim *c = snap_get(l->s, &kind_claim, claim);
    if (!c || !is(c->owner, record_key(p, key)))
        world_broken(l->w, "no address twice: port %s has %s, claimed by %s",
                     p->rec.id, claim, c ? c->owner : "nobody");
}

static void check_ports(struct look *l)
{
    char id[STORE_KEY_MAX];
    if (!look_is_new(l, &kind_port) && !look_is_new(l, &kind_claim))
        return;
    struct snap_iter it = snap_all(l->s, &kind_port);
    for (const struct port *p; (p = snap_next(&it));) {
        check_claimed(l, p,
                      claim_id(id, "mac/%s/%s", p->network_id, p->mac_address));
        for (size_t i = 0; i < p->fixed_ips.n; i++) {
            const struct fixed_ip *ip =
                LIST_AT(p->fixed_ips, struct fixed_ip, i);
            check_claimed(
                l, p, claim_id(id, "ip/%s/%s", ip->subnet_id, ip->ip_address));
        }
    }
}

/* ---- quota
 * ------------------------------------------------------------------------- */

struct count {
    char id[80]; /* usage record */
    const char *name;
    int64_t n;
};

struct counts {
    struct count v[2048];
    size_t n;
};

static void count(struct counts *cs, const char *service, const char *project,
                  const char *name, int64_t n)
{
    char id[80];
    if (!project || !*project)
        return;
    snprintf(id, sizeof(id), "%s/%s", service, project);
    for (size_t i = 0; i < cs->n; i++)
        if (is(cs->v[i].name, name) && is(cs->v[i].id, id)) {
            cs->v[i].n += n;
            return;
        }
    if (cs->n == ARRAY_SIZE(cs->v))
        return;
    struct count *c = &cs->v[cs->n++];
    memcpy(c->id, id, sizeof(c->id));
    c->name = name;
    c->n = n;
}

static void count_each(struct look *l, struct counts *cs,
                       const struct kind *kind, const char *service,
                       const char *name)
{
    const struct field *f = schema_field(&kind->schema, "project_id");
    struct snap_iter it = snap_all(l->s, kind);
    for (const struct record *r; (r = snap_next(&it));)
        count(cs, service, *(const char **)field_ptr(r, f), name, 1);
}

static void count_sizes(struct look *l, struct counts *cs)
{
    struct snap_iter it = snap_all(l->s, &kind_server);
    for (const struct server *s; (s = snap_next(&it));) {
        count(cs, "compute", s->project_id, "instances", 1);
        const struct charge has = resize_charge(l->s, s);
        count(cs, "compute", s->project_id, "cores", has.vcpus);
        count(cs, "compute", s->project_id, "ram", has.ram_mb);
    }
    it = snap_all(l->s, &kind_volume);
    for (const struct volume *v; (v = snap_next(&it));)
        count(cs, "volume", v->project_id, "gigabytes", v->size_gb);
    it = snap_all(l->s, &kind_snapshot);
    for (const struct volume_snapshot *v; (v = snap_next(&it));)
        count(cs, "volume", v->project_id, "gigabytes", v->size_gb);
}

static void count_all(struct look *l, struct counts *cs)
{
    static const struct {
        const struct kind *kind;
        const char *service, *name;
    } kinds[] = {
        { &kind_network, "network", "network" },
        { &kind_subnet, "network", "subnet" },
        { &kind_port, "network", "port" },
        { &kind_router, "network", "router" },
        { &kind_floating_ip, "network", "floatingip" },
        { &kind_security_group, "network", "security_group" },
        { &kind_security_group_rule, "network", "security_group_rule" },
        { &kind_server_group, "compute", "server_groups" },
        { &kind_volume, "volume", "volumes" },
        { &kind_snapshot, "volume", "snapshots" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        count_each(l, cs, kinds[i].kind, kinds[i].service, kinds[i].name);
    count_sizes(l, cs);
}

static int64_t counted(const struct counts *cs, const char *id,
                       const char *name)
{
    for (size_t i = 0; i < cs->n; i++)
        if (is(cs->v[i].name, name) && is(cs->v[i].id, id))
            return cs->v[i].n;
    return 0;
}

static void check_usage(struct look *l)
{
    static const struct kind *const kinds[] = {
        &kind_usage,        &kind_network,
        &kind_subnet,       &kind_port,
        &kind_router,       &kind_floating_ip,
        &kind_server_group, &kind_security_group,
        &kind_volume,       &kind_security_group_rule,
        &kind_snapshot,     &kind_server
    };
    static struct counts cs;
    if (!look_any_new(l, kinds, ARRAY_SIZE(kinds)))
        return;
    cs.n = 0;
    count_all(l, &cs);
    for (size_t i = 0; i < cs.n; i++) {
        const struct usage *u = snap_get(l->s, &kind_usage, cs.v[i].id);
        int64_t used = u ? amount_get(&u->amounts, cs.v[i].name, 0) : 0;
        if (used != cs.v[i].n)
            world_broken(l->w,
                         "no quota drift: %s has %lld %s, its usage says %lld",
                         cs.v[i].id, (long long)cs.v[i].n, cs.v[i].name,
                         (long long)used);
    }
    struct snap_iter it = snap_all(l->s, &kind_usage);
    for (const struct usage *u; (u = snap_next(&it));)
        for (size_t i = 0; i < u->amounts.n; i++) {
            const struct amount *a = LIST_AT(u->amounts, struct amount, i);
            if (a->n != counted(&cs, u->rec.id, a->name))
                world_broken(l->w,
                             "no quota drift: usage of %s says %lld %s, there "
                             "are %lld",
                             u->rec.id, (long long)a->n, a->name,
                             (long long)counted(&cs, u->rec.id, a->name));
        }
}

/* ---- public ----------------------------------------------------------------
 */

void check_records(struct look *l, bool quiet)
{
    check_references(l, quiet);
    check_assignments(l);
    check_claims(l);
    check_ports(l);
    check_usage(l);
}

static bool waits_for_node(const struct server *s)
{
    return !s->node && s->vm_state == VM_BUILDING && s->goal != GOAL_DELETED;
}

void check_together(struct look *l)
{
    struct snap_iter it = snap_all(l->s, &kind_server);
    for (const struct server *s; (s = snap_next(&it));) {
        if (!s->min_count || !waits_for_node(s))
            continue;
        struct snap_iter mates =
            snap_by(l->s, &kind_server, "reservation_id", s->reservation_id);
        for (const struct server *m; (m = snap_next(&mates));)
            if (m->node)
                world_broken(l->w,
                             "a request is placed at once: %s waits, %s is "
                             "on %s",
                             s->rec.id, m->rec.id, m->node);
    }
}
