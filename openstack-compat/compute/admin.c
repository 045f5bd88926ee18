/* The pool as nova shows it: zones, services, hypervisors, aggregates. */
#include "openstack-compat/compute/nova.h"

#include <stdlib.h>
#include <string.h>

/* A node is up while its daemon gives signs of life. */
#define NODE_SILENT_US (60 * SECOND_US)

bool nova_node_up(const struct req *r, const struct node *n)
{
    return n->health == HEALTH_UP && r->now - n->seen < NODE_SILENT_US;
}

static const char *zone_of(const struct node *n)
{
    return n->availability_zone ? n->availability_zone : "nova";
}

/* ---- availability zones ------------------------------------------------ */

static void write_zone_hosts(struct req *r, struct jw *w, const char *zone)
{
    char when[TIME_TEXT_MAX];
    struct snap_iter it = snap_all(r->snap, &kind_node);
    jw_obj(w, "hosts");
    for (const struct node *n; (n = snap_next(&it));) {
        if (strcmp(zone_of(n), zone) != 0)
            continue;
        jw_obj(w, n->rec.id);
        jw_obj(w, "nova-compute");
        jw_bool(w, "available", nova_node_up(r, n));
        jw_bool(w, "active", !n->disabled);
        jw_str(w, "updated_at", time_format(n->seen, TIME_MICRO, when));
        jw_obj_end(w);
        jw_obj_end(w);
    }
    jw_obj_end(w);
}

static bool zone_seen_before(struct req *r, const struct node *upto)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it)) && n != upto;)
        if (strcmp(zone_of(n), zone_of(upto)) == 0)
            return true;
    return false;
}

/* As nova: a zone is there while one of its hosts takes servers. */
static bool zone_open(struct req *r, const char *zone)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));)
        if (!n->disabled && strcmp(zone_of(n), zone) == 0)
            return true;
    return false;
}

static enum outcome list_zones(struct req *r, bool hosts)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "availabilityZoneInfo");
    for (const struct node *n; (n = snap_next(&it));) {
        if (zone_seen_before(r, n))
            continue;
        jw_obj(&w, NULL);
        jw_str(&w, "zoneName", zone_of(n));
        jw_obj(&w, "zoneState");
        jw_bool(&w, "available", zone_open(r, zone_of(n)));
        jw_obj_end(&w);
        if (hosts)
            write_zone_hosts(r, &w, zone_of(n));
        else
            jw_null(&w, "hosts");
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome zone_list(struct req *r)
{
    return list_zones(r, false);
}

enum outcome zone_detail(struct req *r)
{
    return list_zones(r, true);
}

/* ---- services ---------------------------------------------------------- */

static void write_service(struct req *r, struct jw *w, const char *key,
                          const struct node *n)
{
    char when[TIME_TEXT_MAX];
    jw_obj(w, key);
    if (r->mv >= MV(2, 53))
        jw_str(w, "id", n->hypervisor_id);
    else
        jw_int(w, "id", n->rec.create_rev);
    jw_str(w, "binary", "nova-compute");
    jw_str(w, "host", n->rec.id);
    jw_str(w, "zone", zone_of(n));
    jw_str(w, "status", n->disabled ? "disabled" : "enabled");
    jw_str(w, "state", nova_node_up(r, n) ? "up" : "down");
    jw_str(w, "updated_at", time_format(n->seen, TIME_MICRO, when));
    jw_str(w, "disabled_reason", n->disabled_reason);
    if (r->mv >= MV(2, 11))
        jw_bool(w, "forced_down", false);
    jw_obj_end(w);
}

enum outcome nova_service_list(struct req *r)
{
    const char *host = req_query(r, "host"), *binary = req_query(r, "binary");
    struct snap_iter it = snap_all(r->snap, &kind_node);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "services");
    for (const struct node *n; (n = snap_next(&it));)
        if ((!host || strcmp(host, n->rec.id) == 0) &&
            (!binary || strcmp(binary, "nova-compute") == 0))
            write_service(r, &w, NULL, n);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static bool read_status(struct req *r, struct node *n)
{
    const char *status = json_string_value(json_object_get(r->body, "status"));
    const char *reason;
    if (!nova_string(r, r->body, "disabled_reason", 1, 255, &reason))
        return false;
    if (json_object_get(r->body, "forced_down"))
        return error_set(&r->err, ERR_NOT_IMPLEMENTED,
                         "forced_down is not built yet.");
    if (!status ||
        (strcmp(status, "enabled") != 0 && strcmp(status, "disabled") != 0))
        return error_set(&r->err, ERR_INVALID,
                         "status must be enabled or disabled");
    n->disabled = strcmp(status, "disabled") == 0;
    n->disabled_reason = n->disabled ? rec_str(n, reason) : NULL;
    return true;
}

enum outcome nova_service_update(struct req *r)
{
    const struct node *was =
        snap_find(r->snap, &kind_node, "hypervisor_id", r->param[0]);
    if (!was)
        return req_fail(r, ERR_NOT_FOUND, "Service %.64s could not be found.",
                        r->param[0]);
    _autorecord_ struct node *n = record_copy(was);
    if (!read_status(r, n))
        return req_failed(r);
    txn_change_record(&r->txn, n);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_service(r, &w, "service", n);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* What older versions call enable, disable, disable-log-reason and
 * force-down: host and binary stand in the body. */
enum outcome nova_service_update_named(struct req *r)
{
    const char *verb = r->param[0], *host, *binary, *reason;
    bool enable = strcmp(verb, "enable") == 0;
    bool log_reason = strcmp(verb, "disable-log-reason") == 0;
    if (strcmp(verb, "force-down") == 0)
        return req_fail(r, ERR_NOT_IMPLEMENTED, "force-down is not built yet.");
    if (!enable && !log_reason && strcmp(verb, "disable") != 0)
        return req_fail(r, ERR_NOT_FOUND, "Unknown action %.40s", verb);
    if (!nova_string(r, r->body, "host", 1, 255, &host) ||
        !nova_string(r, r->body, "binary", 1, 255, &binary) ||
        !nova_string(r, r->body, "disabled_reason", 1, 255, &reason))
        return req_failed(r);
    if (!host || !binary || (log_reason && !reason))
        return req_fail(r, ERR_INVALID, "host and binary%s are expected.",
                        log_reason ? " and disabled_reason" : "");
    const struct node *was = snap_get(r->snap, &kind_node, host);
    if (!was || strcmp(binary, "nova-compute") != 0)
        return req_fail(r, ERR_NOT_FOUND,
                        "Could not find binary %.64s on host "
                        "%.64s.",
                        binary, host);
    _autorecord_ struct node *n = record_copy(was);
    n->disabled = !enable;
    n->disabled_reason = log_reason ? rec_str(n, reason) : NULL;
    txn_change_record(&r->txn, n);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "service");
    jw_str(&w, "host", host);
    jw_str(&w, "binary", binary);
    jw_str(&w, "status", enable ? "enabled" : "disabled");
    if (log_reason)
        jw_str(&w, "disabled_reason", n->disabled_reason);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- hypervisors ------------------------------------------------------- */

struct use {
    int64_t servers, vcpus, ram_mb, disk_gb;
};

static struct use use_of(struct req *r, const char *node)
{
    struct use u = { 0 };
    struct snap_iter it = snap_by(r->snap, &kind_server, "node", node);
    for (const struct server *s; (s = snap_next(&it));) {
        u.servers++;
        u.vcpus += s->vcpus;
        u.ram_mb += s->ram_mb;
        u.disk_gb += (s->image_id ? s->disk_gb : 0) + s->ephemeral_gb +
                     (s->swap_mb + 1023) / 1024;
    }
    return u;
}

static void write_use(struct jw *w, const struct node *n, struct use u)
{
    jw_int(w, "vcpus", n->vcpus);
    jw_int(w, "vcpus_used", u.vcpus);
    jw_int(w, "memory_mb", n->ram_mb);
    jw_int(w, "memory_mb_used", u.ram_mb + n->ram_reserved_mb);
    jw_int(w, "free_ram_mb", n->ram_mb - n->ram_reserved_mb - u.ram_mb);
    jw_int(w, "local_gb", n->disk_gb);
    jw_int(w, "local_gb_used", u.disk_gb);
    jw_int(w, "free_disk_gb", n->disk_gb - u.disk_gb);
    jw_int(w, "disk_available_least", n->disk_gb - n->disk_used_gb);
    jw_int(w, "running_vms", u.servers);
    jw_int(w, "current_workload", 0);
}

/* ?with_servers=true (2.53 on) */
static void write_servers(struct req *r, struct jw *w, const struct node *n)
{
    bool asked = false;
    const char *text = req_query(r, "with_servers");
    if (r->mv < MV(2, 53) || !text || !parse_bool(text, &asked) || !asked)
        return;
    struct snap_iter it = snap_by(r->snap, &kind_server, "node", n->rec.id);
    jw_arr(w, "servers");
    for (const struct server *s; (s = snap_next(&it));) {
        jw_obj(w, NULL);
        jw_str(w, "uuid", s->rec.id);
        jw_str(w, "name", s->domain_name ? s->domain_name : s->name);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static const char *shown_id(struct req *r, const struct node *n)
{
    return r->mv >= MV(2, 53) && n->hypervisor_id
               ? n->hypervisor_id
               : req_strf(r, "%lld", (long long)n->rec.create_rev);
}

static const char *shown_json_id(struct req *r, const struct node *n)
{
    return r->mv >= MV(2, 53) ? req_strf(r, "\"%s\"", shown_id(r, n))
                              : shown_id(r, n);
}

/* As the command of that name begins its line: "12:00:01 up 3 days,  4:05". */
static const char *uptime(struct req *r, const struct node *n)
{
    int64_t up = (n->seen - n->booted) / SECOND_US;
    int64_t day = n->seen / SECOND_US % 86400;
    if (!n->booted || !nova_node_up(r, n))
        return NULL;
    return req_strf(r, "%02d:%02d:%02d up %d days, %2d:%02d", (int)(day / 3600),
                    (int)(day / 60 % 60), (int)(day % 60), (int)(up / 86400),
                    (int)(up / 3600 % 24), (int)(up / 60 % 60));
}

static void write_hypervisor(struct req *r, struct jw *w, const char *key,
                             const struct node *n, bool detail)
{
    jw_obj(w, key);
    if (r->mv >= MV(2, 53))
        jw_str(w, "id", n->hypervisor_id);
    else
        jw_int(w, "id", n->rec.create_rev);
    jw_str(w, "hypervisor_hostname", n->rec.id);
    jw_str(w, "state", nova_node_up(r, n) ? "up" : "down");
    jw_str(w, "status", n->disabled ? "disabled" : "enabled");
    write_servers(r, w, n);
    if (detail) {
        jw_str(w, "hypervisor_type", n->hypervisor_type);
        jw_int(w, "hypervisor_version", n->hypervisor_version);
        jw_str(w, "host_ip", n->address);
        if (r->mv < MV(2, 88)) {
            write_use(w, n, use_of(r, n->rec.id));
            if (r->mv >= MV(2, 28))
                jw_raw(w, "cpu_info", n->cpu_info ? n->cpu_info : "{}");
            else
                jw_str(w, "cpu_info", n->cpu_info ? n->cpu_info : "{}");
        } else {
            jw_str(w, "uptime", uptime(r, n));
        }
        jw_obj(w, "service");
        if (r->mv >= MV(2, 53))
            jw_str(w, "id", n->hypervisor_id);
        else
            jw_int(w, "id", n->rec.create_rev);
        jw_str(w, "host", n->rec.id);
        jw_str(w, "disabled_reason", n->disabled_reason);
        jw_obj_end(w);
    }
    jw_obj_end(w);
}

static enum outcome list_hypervisors(struct req *r, bool detail,
                                     const char *pattern)
{
    struct window page;
    size_t found = 0;
    if (!window_open(r, &page))
        return req_failed(r);
    struct snap_iter it = snap_all(r->snap, &kind_node);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "hypervisors");
    for (const struct node *n; (n = snap_next(&it));)
        if ((!pattern || strstr(n->rec.id, pattern)) && ++found &&
            window_takes(&page, shown_id(r, n)))
            write_hypervisor(r, &w, NULL, n, detail);
    jw_arr_end(&w);
    jw_obj_end(&w);
    if (pattern && !found)
        return req_fail(r, ERR_NOT_FOUND,
                        "No hypervisor matching '%.64s' could be found.",
                        pattern);
    return window_closed(r, &page) ? req_reply(r, 200) : req_failed(r);
}

static const char *asked_pattern(struct req *r)
{
    return r->mv >= MV(2, 53) ? req_query(r, "hypervisor_hostname_pattern")
                              : NULL;
}

enum outcome hypervisor_list(struct req *r)
{
    return list_hypervisors(r, false, asked_pattern(r));
}

enum outcome hypervisor_detail(struct req *r)
{
    return list_hypervisors(r, true, asked_pattern(r));
}

/* .../{pattern}/search, up to 2.52 */
enum outcome hypervisor_search(struct req *r)
{
    return list_hypervisors(r, false, r->param[0]);
}

/* By UUID (2.53 on), or by the number that older versions show. */
static const struct node *find_node(struct req *r, const char *id)
{
    if (r->mv >= MV(2, 53))
        return snap_find(r->snap, &kind_node, "hypervisor_id", id);
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));)
        if (n->rec.create_rev == strtoll(id, NULL, 10))
            return n;
    return NULL;
}

enum outcome hypervisor_show(struct req *r)
{
    const struct node *n = find_node(r, r->param[0]);
    if (!n)
        return req_fail(r, ERR_NOT_FOUND,
                        "Hypervisor with ID '%.64s' could not be found.",
                        r->param[0]);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_hypervisor(r, &w, "hypervisor", n, true);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* .../uptime, up to 2.87 */
enum outcome hypervisor_uptime(struct req *r)
{
    const struct node *n = find_node(r, r->param[0]);
    if (!n)
        return req_fail(r, ERR_NOT_FOUND,
                        "Hypervisor with ID '%.64s' could not be found.",
                        r->param[0]);
    const char *text = uptime(r, n);
    if (!text)
        return req_fail(r, ERR_INVALID, "Host %s is not up.", n->rec.id);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "hypervisor");
    jw_raw(&w, "id", shown_json_id(r, n));
    jw_str(&w, "hypervisor_hostname", n->rec.id);
    jw_str(&w, "state", "up");
    jw_str(&w, "status", n->disabled ? "disabled" : "enabled");
    jw_str(&w, "uptime", text);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome hypervisor_statistics(struct req *r)
{
    struct node sum = { 0 };
    struct use use = { 0 };
    int64_t count = 0;
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it)); count++) {
        struct use u = use_of(r, n->rec.id);
        sum.vcpus += n->vcpus;
        sum.ram_mb += n->ram_mb;
        sum.ram_reserved_mb += n->ram_reserved_mb;
        sum.disk_gb += n->disk_gb;
        sum.disk_used_gb += n->disk_used_gb;
        use.servers += u.servers;
        use.vcpus += u.vcpus;
        use.ram_mb += u.ram_mb;
        use.disk_gb += u.disk_gb;
    }
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "hypervisor_statistics");
    jw_int(&w, "count", count);
    write_use(&w, &sum, use);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- aggregates -------------------------------------------------------- */

static void write_aggregate(struct req *r, struct jw *w, const char *key,
                            const struct aggregate *a)
{
    char when[TIME_TEXT_MAX];
    jw_obj(w, key);
    jw_int(w, "id", strtoll(a->rec.id, NULL, 10));
    if (r->mv >= MV(2, 41))
        jw_str(w, "uuid", a->uuid);
    jw_str(w, "name", a->name);
    jw_str(w, "availability_zone", map_get(&a->metadata, "availability_zone"));
    jw_arr(w, "hosts");
    for (size_t i = 0; i < a->hosts.n; i++)
        jw_str(w, NULL, a->hosts.v[i]);
    jw_arr_end(w);
    nova_write_map(w, "metadata", &a->metadata);
    jw_str(w, "created_at", time_format(a->created, TIME_MICRO, when));
    jw_str(w, "updated_at",
           a->updated ? time_format(a->updated, TIME_MICRO, when) : NULL);
    jw_null(w, "deleted_at");
    jw_bool(w, "deleted", false);
    jw_obj_end(w);
}

enum outcome aggregate_list(struct req *r)
{
    struct snap_iter it = snap_all(r->snap, &kind_aggregate);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "aggregates");
    for (const struct aggregate *a; (a = snap_next(&it));)
        write_aggregate(r, &w, NULL, a);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static const struct aggregate *get_aggregate(struct req *r)
{
    const struct aggregate *a = snap_get(r->snap, &kind_aggregate, r->param[0]);
    if (!a)
        error_set(&r->err, ERR_NOT_FOUND, "Aggregate %.40s could not be found.",
                  r->param[0]);
    return a;
}

static enum outcome reply_aggregate(struct req *r, const struct aggregate *a)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_aggregate(r, &w, "aggregate", a);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome aggregate_show(struct req *r)
{
    const struct aggregate *a = get_aggregate(r);
    return a ? reply_aggregate(r, a) : req_failed(r);
}

/* The zone that another aggregate puts the host into; or NULL. */
static const char *zone_elsewhere(struct req *r, const struct aggregate *a,
                                  const char *host)
{
    struct snap_iter it = snap_by(r->snap, &kind_aggregate, "hosts", host);
    for (const struct aggregate *o; (o = snap_next(&it));) {
        const char *zone = map_get(&o->metadata, "availability_zone");
        if (zone && strcmp(o->rec.id, a->rec.id) != 0)
            return zone;
    }
    return NULL;
}

/* A node is in one zone at most: that of its aggregates.  NULL: none. */
static bool set_zone(struct req *r, const struct aggregate *a, const char *host,
                     const char *zone)
{
    const struct node *was = snap_get(r->snap, &kind_node, host);
    const char *elsewhere = zone_elsewhere(r, a, host);
    if (!was)
        return error_set(&r->err, ERR_NOT_FOUND,
                         "Compute host %.64s could not be found.", host);
    if (zone && elsewhere && strcmp(elsewhere, zone) != 0)
        return error_set(&r->err, ERR_CONFLICT,
                         "Host %.64s is in availability zone %s already.", host,
                         elsewhere);
    if (!zone)
        zone = elsewhere;
    if (strcmp(zone ? zone : "nova", zone_of(was)) == 0)
        return true;
    if (snap_find(r->snap, &kind_server, "node", host))
        return error_set(&r->err, ERR_CONFLICT,
                         "Host %.64s has servers: its availability zone cannot "
                         "change.",
                         host);
    _autorecord_ struct node *n = record_copy(was);
    n->availability_zone = rec_str(n, zone);
    txn_change_record(&r->txn, n);
    return true;
}

static const char *own_zone(const struct aggregate *a)
{
    return map_get(&a->metadata, "availability_zone");
}

/* After the metadata changed: its hosts follow. */
static bool zones_follow(struct req *r, const struct aggregate *a,
                         const char *was)
{
    const char *zone = own_zone(a);
    if (zone == was || (zone && was && strcmp(zone, was) == 0))
        return true;
    for (size_t i = 0; i < a->hosts.n; i++)
        if (!set_zone(r, a, a->hosts.v[i], zone))
            return false;
    return true;
}

static bool name_free(struct req *r, const char *name, const char *own_id)
{
    const struct aggregate *o =
        snap_find(r->snap, &kind_aggregate, "name", name);
    return !o || (own_id && strcmp(o->rec.id, own_id) == 0) ||
           error_set(&r->err, ERR_EXISTS, "Aggregate %.80s already exists.",
                     name);
}

static int64_t next_number(struct req *r)
{
    int64_t most = 0;
    struct snap_iter it = snap_all(r->snap, &kind_aggregate);
    for (const struct aggregate *a; (a = snap_next(&it));) {
        int64_t n = strtoll(a->rec.id, NULL, 10);
        most = n > most ? n : most;
    }
    return most + 1;
}

enum outcome aggregate_create(struct req *r)
{
    static const char *const known[] = { "name", "availability_zone", NULL };
    const json_t *body = req_envelope(r, "aggregate");
    const char *name, *zone;
    if (!body || !nova_only(r, body, known) ||
        !nova_string(r, body, "name", 1, 255, &name) ||
        !nova_string(r, body, "availability_zone", 1, 255, &zone))
        return req_failed(r);
    if (!name)
        return req_fail(r, ERR_INVALID, "'name' is a required property");
    if (!name_free(r, name, NULL))
        return req_failed(r);
    _autorecord_ struct aggregate *a = record_new(
        &kind_aggregate, req_strf(r, "%lld", (long long)next_number(r)));
    a->name = rec_str(a, name);
    a->uuid = rec_str(a, req_uuid(r));
    a->created = r->now;
    if (zone)
        map_put(a, &a->metadata, "availability_zone", zone);
    txn_change_record(&r->txn, a);
    return reply_aggregate(r, a);
}

enum outcome aggregate_update(struct req *r)
{
    static const char *const known[] = { "name", "availability_zone", NULL };
    const struct aggregate *was = get_aggregate(r);
    const json_t *body = was ? req_envelope(r, "aggregate") : NULL;
    const char *name, *zone;
    if (!body || !nova_only(r, body, known) ||
        !nova_string(r, body, "name", 1, 255, &name) ||
        !nova_string(r, body, "availability_zone", 1, 255, &zone) ||
        (name && !name_free(r, name, was->rec.id)))
        return req_failed(r);
    _autorecord_ struct aggregate *a = record_copy(was);
    if (name)
        a->name = rec_str(a, name);
    if (zone)
        map_put(a, &a->metadata, "availability_zone", zone);
    else if (json_object_get(body, "availability_zone"))
        map_remove(&a->metadata, "availability_zone");
    if (!zones_follow(r, a, own_zone(was)))
        return req_failed(r);
    a->updated = r->now;
    txn_change_record(&r->txn, a);
    return reply_aggregate(r, a);
}

enum outcome aggregate_delete(struct req *r)
{
    const struct aggregate *a = get_aggregate(r);
    if (!a)
        return req_failed(r);
    if (a->hosts.n)
        return req_fail(r, ERR_INVALID,
                        "Cannot remove aggregate %s: host list is not empty.",
                        a->rec.id);
    txn_delete_record(&r->txn, a);
    return req_reply(r, 200);
}

static bool change_hosts(struct req *r, struct aggregate *a, const char *host,
                         bool add)
{
    if (strs_has(&a->hosts, host) == add)
        return error_set(&r->err, add ? ERR_CONFLICT : ERR_NOT_FOUND,
                         "Aggregate %s %s host %.64s.", a->rec.id,
                         add ? "already has" : "has no", host);
    if (!set_zone(r, a, host, add ? own_zone(a) : NULL))
        return false;
    if (add)
        strs_add(a, &a->hosts, host);
    else
        strs_remove(&a->hosts, host);
    return true;
}

static bool change_metadata(struct req *r, struct aggregate *a,
                            const json_t *items)
{
    const char *key, *zone = own_zone(a);
    json_t *value;
    json_object_foreach((json_t *)items, key, value)
    {
        if (json_is_null(value))
            map_remove(&a->metadata, key);
        else if (!json_is_string(value) || utf8_length(key) > 255 ||
                 utf8_length(json_string_value(value)) > 255)
            return error_set(&r->err, ERR_INVALID,
                             "metadata: strings of at most 255 are expected");
        else
            map_put(a, &a->metadata, key, json_string_value(value));
    }
    return zones_follow(r, a, zone);
}

enum outcome aggregate_action(struct req *r)
{
    const struct aggregate *was = get_aggregate(r);
    const json_t *add = json_object_get(r->body, "add_host");
    const json_t *remove = json_object_get(r->body, "remove_host");
    const json_t *metadata =
        json_object_get(json_object_get(r->body, "set_metadata"), "metadata");
    const char *host =
        json_string_value(json_object_get(add ? add : remove, "host"));
    if (!was)
        return req_failed(r);
    if (!host && !json_is_object(metadata))
        return req_fail(r, ERR_INVALID,
                        "add_host, remove_host or set_metadata is expected.");
    _autorecord_ struct aggregate *a = record_copy(was);
    if (!(host ? change_hosts(r, a, host, add != NULL)
               : change_metadata(r, a, metadata)))
        return req_failed(r);
    a->updated = r->now;
    txn_change_record(&r->txn, a);
    return reply_aggregate(r, a);
}
