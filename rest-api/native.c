#include "rest-api/native.h"

#include "model/compute.h"
#include "model/node_disks.h"
#include "model/pool.h"
#include "model/use.h"
#include "rest-api/advice.h"
#include "rest-api/drain.h"
#include "rest-api/forecast.h"
#include "rest-api/membership.h"
#include "rest-api/steering.h"

#include <string.h>

/* ---- status ------------------------------------------------------------ */

/* What all nodes share counts once. */
static void write_storage(struct req *r, struct jw *w)
{
    int64_t total = 0, used = 0;
    bool shared = false;
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));) {
        if (n->replicated && shared)
            continue;
        shared |= n->replicated;
        total += n->disk_gb;
        used += n->disk_used_gb;
    }
    jw_obj(w, "storage");
    jw_int(w, "gb", total);
    jw_int(w, "gb_used", used);
    jw_bool(w, "replicated", shared);
    jw_obj_end(w);
}

#define STATES_MAX 16

/* How many are in which state; states that nobody is in are left out. */
struct tally {
    const char *const *names;
    int64_t n[STATES_MAX];
};

static void write_tally(struct jw *w, const char *key, const struct tally *t)
{
    jw_obj(w, key);
    for (int i = 0; i < STATES_MAX; i++)
        if (t->n[i])
            jw_int(w, t->names[i], t->n[i]);
    jw_obj_end(w);
}

static void write_health(struct req *r, struct jw *w)
{
    struct tally nodes = { .names = node_health_names },
                 disks = { .names = node_disk_state_names },
                 servers = { .names = vm_state_names };
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));)
        nodes.n[n->health]++;
    it = snap_all(r->snap, &kind_node_disks);
    for (const struct node_disks *d; (d = snap_next(&it));)
        for (size_t i = 0; i < d->disks.n; i++)
            disks.n[LIST_AT(d->disks, struct node_disk, i)->state]++;
    it = snap_all(r->snap, &kind_server);
    for (const struct server *s; (s = snap_next(&it));)
        servers.n[s->vm_state]++;
    jw_obj(w, "health");
    write_tally(w, "nodes", &nodes);
    write_tally(w, "disks", &disks);
    write_tally(w, "servers", &servers);
    jw_obj_end(w);
}

static enum outcome show_status(struct req *r)
{
    const struct pool *pool = snap_get(r->snap, &kind_pool, "pool");
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "version", CAIRN_VERSION);
    jw_str(&w, "pool", pool ? pool->name : NULL);
    jw_str(&w, "region", pool ? pool->region : NULL);
    jw_int(&w, "revision", snapshot_revision(r->snap));
    write_health(r, &w);
    write_storage(r, &w);
    jw_obj(&w, "records");
    for (int i = 0; i < N_KINDS; i++)
        jw_int(&w, model_kinds[i]->name,
               (int64_t)snap_count(r->snap, model_kinds[i]));
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- nodes ------------------------------------------------------------- */

struct load {
    int64_t servers, vcpus, ram_mb;
};

static struct load load_of(struct req *r, const char *node)
{
    struct load l = { 0 };
    struct snap_iter it = snap_by(r->snap, &kind_server, "node", node);
    for (const struct server *s; (s = snap_next(&it));) {
        l.servers++;
        l.vcpus += s->vcpus;
        l.ram_mb += s->ram_mb;
    }
    return l;
}

static int64_t percent(int64_t thousandths)
{
    return (thousandths + 5) / 10;
}

static void write_known(struct jw *w, const char *key, int64_t value)
{
    if (value < 0)
        jw_null(w, key);
    else
        jw_int(w, key, value);
}

static void write_percent(struct jw *w, const char *key, int64_t thousandths)
{
    write_known(w, key, thousandths < 0 ? thousandths : percent(thousandths));
}

static void write_guest_use(struct jw *w, const struct guest_use *g)
{
    jw_obj(w, NULL);
    jw_str(w, "id", g->id);
    jw_int(w, "vcpu_thousandths", g->vcpu);
    jw_int(w, "steal_percent", percent(g->steal));
    jw_int(w, "ram_mb", g->memory);
    jw_int(w, "disk_kib_s", g->disk);
    jw_int(w, "net_kib_s", g->net);
    write_percent(w, "memory_pressure_percent", g->mem_stall);
    write_percent(w, "io_pressure_percent", g->io_stall);
    write_known(w, "swap_kib_s", g->swap);
    write_known(w, "dirty_mib_s", g->dirty);
    jw_obj_end(w);
}

/* Measured and smoothed; nothing before there are figures, null what is not
 * measured there. */
static void write_use(struct jw *w, const struct node_use *u)
{
    char when[TIME_TEXT_MAX];
    if (!u) {
        jw_null(w, "use");
        return;
    }
    jw_obj(w, "use");
    jw_str(w, "measured", time_format(u->measured, TIME_Z, when));
    jw_int(w, "cpu_percent", percent(u->cpu));
    jw_int(w, "steal_percent", percent(u->steal));
    jw_int(w, "ram_mb", u->memory);
    write_percent(w, "cpu_pressure_percent", u->cpu_pressure);
    write_percent(w, "memory_pressure_percent", u->memory_pressure);
    write_percent(w, "io_pressure_percent", u->io_pressure);
    write_known(w, "swap_kib_s", u->swap);
    write_known(w, "disk_kib_s", u->disk);
    write_known(w, "net_kib_s", u->net);
    write_known(w, "link_kib_s", u->link);
    jw_arr(w, "servers");
    for (size_t i = 0; i < u->guests.n; i++)
        write_guest_use(w, LIST_AT(u->guests, struct guest_use, i));
    jw_arr_end(w);
    jw_obj_end(w);
}

static void write_node(struct req *r, struct jw *w, const struct node *n)
{
    char when[TIME_TEXT_MAX];
    struct load l = load_of(r, n->rec.id);
    jw_obj(w, NULL);
    jw_str(w, "name", n->rec.id);
    jw_str(w, "address", n->address);
    jw_str(w, "zone", n->availability_zone ? n->availability_zone : "nova");
    jw_str(w, "hypervisor", n->hypervisor_type);
    jw_bool(w, "kvm", n->kvm);
    jw_str(w, "kvm_reason", n->kvm_reason);
    jw_str(w, "health", node_health_names[n->health]);
    jw_bool(w, "maintenance", n->maintenance);
    jw_bool(w, "disabled", n->disabled);
    jw_int(w, "vcpus", n->vcpus);
    jw_int(w, "vcpus_used", l.vcpus);
    jw_int(w, "ram_mb", n->ram_mb);
    jw_int(w, "ram_mb_used", l.ram_mb);
    jw_int(w, "disk_gb", n->disk_gb);
    jw_int(w, "disk_gb_used", n->disk_used_gb);
    jw_int(w, "servers", l.servers);
    write_use(w, snap_get(r->snap, &kind_node_use, n->rec.id));
    jw_str(w, "seen", time_format(n->seen, TIME_Z, when));
    jw_obj_end(w);
}

static enum outcome list_nodes(struct req *r)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "nodes");
    for (const struct node *n; (n = snap_next(&it));)
        write_node(r, &w, n);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- records ----------------------------------------------------------- */

static void write_record(struct jw *w, const char *key,
                         const struct record *record)
{
    jw_obj(w, key);
    jw_str(w, "id", record->id);
    jw_int(w, "mod_revision", record->mod_rev);
    jw_int(w, "create_revision", record->create_rev);
    record_encode_fields(record, w, true);
    jw_obj_end(w);
}

static const struct kind *kind_of(struct req *r)
{
    const struct kind *kind = model_kind_named(r->param[0]);
    if (!kind)
        error_set(&r->err, ERR_NOT_FOUND, "There is no kind '%.40s'.",
                  r->param[0]);
    return kind;
}

static enum outcome list_records(struct req *r)
{
    const struct kind *kind = kind_of(r);
    struct page page;
    struct page_spec spec = { .kind = kind };
    if (!kind || !page_collect(r, &spec, &page))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "records");
    for (size_t i = 0; i < page.n; i++)
        write_record(&w, NULL, page.v[i]);
    jw_arr_end(&w);
    jw_str(&w, "next",
           page.more && page.n ? req_strf(r, "/cairn/v1/records/%s%s",
                                          kind->name, page_next_query(r, &page))
                               : NULL);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome show_record(struct req *r)
{
    const struct kind *kind = kind_of(r);
    const void *record = kind ? snap_get(r->snap, kind, r->param[1]) : NULL;
    if (!kind)
        return req_failed(r);
    if (!record)
        return req_fail(r, ERR_NOT_FOUND, "There is no %s '%.80s'.", kind->name,
                        r->param[1]);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_record(&w, "record", record);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- network ----------------------------------------------------------- */

static enum outcome rebuild_network(struct req *r)
{
    if (r->step == 0)
        return req_wait(r,
                        (struct wait){ .type = WAIT_CALL,
                                       .op = "network.rebuild",
                                       .json = "{}" },
                        1);
    if (!r->waited.ok) {
        error_copy(&r->err, &r->waited.err);
        return req_failed(r);
    }
    return req_reply(r, 202);
}

static const struct route routes[] = {
    { "GET", "/v1/status", show_status, POLICY_ADMIN },
    { "GET", "/v1/nodes", list_nodes, POLICY_ADMIN },
    { "GET", "/v1/records/{kind}", list_records, POLICY_ADMIN },
    { "GET", "/v1/records/{kind}/{id}", show_record, POLICY_ADMIN },
    { "POST", "/v1/network/rebuild", rebuild_network, POLICY_ADMIN,
      ROUTE_NO_BODY },
    { "GET", "/v1/servers/{id}/placement", advice_server, POLICY_READER },
    { "POST", "/v1/placement/explain", advice_explain, POLICY_READER },
    { "POST", "/v1/placement/what-if", forecast_what_if, POLICY_ADMIN },
    { "GET", "/v1/plan", forecast_plan, POLICY_ADMIN },
    { "GET", "/v1/policy", steering_show, POLICY_ADMIN },
    { "PUT", "/v1/policy", steering_change, POLICY_ADMIN },
    { "GET", "/v1/nodes/{name}", membership_show_node, POLICY_ADMIN },
    { "DELETE", "/v1/nodes/{name}", membership_remove_node, POLICY_ADMIN,
      ROUTE_NO_BODY },
    { "GET", "/v1/disks", membership_list_disks, POLICY_ADMIN },
    { "DELETE", "/v1/disks/{osd}", membership_remove_disk, POLICY_ADMIN,
      ROUTE_NO_BODY },
    { "POST", "/v1/disks/{osd}/keep", membership_keep_disk, POLICY_ADMIN,
      ROUTE_NO_BODY },
    { "GET", "/v1/join-secrets", membership_list_secrets, POLICY_ADMIN },
    { "POST", "/v1/join-secrets", membership_create_secret, POLICY_ADMIN,
      ROUTE_ANY_BODY },
    { "DELETE", "/v1/join-secrets/{id}", membership_revoke_secret, POLICY_ADMIN,
      ROUTE_NO_BODY },
    { "PATCH", "/v1/nodes/{name}", steering_change_node, POLICY_ADMIN },
    { "POST", "/v1/nodes/{name}/drain", drain_begin, POLICY_ADMIN },
    { "DELETE", "/v1/nodes/{name}/drain", drain_end, POLICY_ADMIN },
    ROUTE_END,
};

const struct service_api native_api = {
    .prefix = "/cairn",
    .type = "cairn",
    .name = "cairn",
    .style = STYLE_NATIVE,
    .url_tail = "/v1",
    .routes = routes,
};
