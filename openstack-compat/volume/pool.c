/* What cinder tells of the pool: zones, services, attachments. */
#include "openstack-compat/volume/cinder.h"

#include <string.h>

#define NODE_SILENT_US (60 * SECOND_US)

static const char *zone_of(const struct node *n)
{
    return n->availability_zone ? n->availability_zone : "nova";
}

static bool zone_named_before(struct req *r, const struct node *upto)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it)) && n != upto;)
        if (strcmp(zone_of(n), zone_of(upto)) == 0)
            return true;
    return false;
}

enum outcome cinder_zones(struct req *r)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "availabilityZoneInfo");
    for (const struct node *n; (n = snap_next(&it));) {
        if (zone_named_before(r, n))
            continue;
        jw_obj(&w, NULL);
        jw_str(&w, "zoneName", zone_of(n));
        jw_obj(&w, "zoneState");
        jw_bool(&w, "available", true);
        jw_obj_end(&w);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static void write_service(struct req *r, struct jw *w, const struct node *n)
{
    jw_obj(w, NULL);
    jw_str(w, "binary", "cinder-volume");
    jw_strf(w, "host", "%s@local", n->rec.id);
    jw_str(w, "zone", zone_of(n));
    jw_str(w, "status", "enabled");
    jw_str(w, "state", r->now - n->seen < NODE_SILENT_US ? "up" : "down");
    cinder_write_time(w, "updated_at", n->seen);
    jw_null(w, "disabled_reason");
    jw_bool(w, "frozen", false);
    jw_null(w, "active_backend_id");
    jw_null(w, "replication_status");
    jw_obj_end(w);
}

enum outcome cinder_services(struct req *r)
{
    const char *binary = req_query(r, "binary");
    struct snap_iter it = snap_all(r->snap, &kind_node);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "services");
    for (const struct node *n; (n = snap_next(&it));)
        if (!binary || strcmp(binary, "cinder-volume") == 0)
            write_service(r, &w, n);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- attachments, read only: nova makes them --------------------------- */

static void write_attachment(struct jw *w, const char *key,
                             const struct volume *v,
                             const struct volume_attachment *a, bool detail)
{
    jw_obj(w, key);
    jw_str(w, "id", a->attachment_id);
    jw_str(w, "volume_id", v->rec.id);
    jw_str(w, "instance", a->server_id);
    jw_str(w, "status", a->attached ? "attached" : "reserved");
    if (detail) {
        cinder_write_time(w, "attached_at", a->attached);
        jw_null(w, "detached_at");
        jw_str(w, "attach_mode", v->readonly ? "ro" : "rw");
        jw_obj(w, "connection_info");
        jw_obj_end(w);
    }
    jw_obj_end(w);
}

static bool wanted(const char *asked, const char *have)
{
    return !asked || (have && strcmp(asked, have) == 0);
}

static void write_attachments_of(struct req *r, struct jw *w,
                                 const struct volume *v, bool detail)
{
    const char *server = req_query(r, "instance_id");
    for (size_t i = 0; i < v->attachments.n; i++) {
        const struct volume_attachment *a =
            LIST_AT(v->attachments, struct volume_attachment, i);
        if (wanted(server, a->server_id))
            write_attachment(w, NULL, v, a, detail);
    }
}

static enum outcome list_attachments(struct req *r, bool detail)
{
    const char *all = req_query(r, "all_tenants");
    bool everybody = false;
    if (all && r->auth.is_admin)
        parse_bool(all, &everybody);
    struct snap_iter it =
        everybody ? snap_all(r->snap, &kind_volume)
                  : snap_by(r->snap, &kind_volume, "project_id",
                            r->auth.project_id ? r->auth.project_id : "");
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "attachments");
    for (const struct volume *v; (v = snap_next(&it));)
        if (wanted(req_query(r, "volume_id"), v->rec.id))
            write_attachments_of(r, &w, v, detail);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome cinder_attachments(struct req *r)
{
    return list_attachments(r, false);
}

enum outcome cinder_attachments_detail(struct req *r)
{
    return list_attachments(r, true);
}

enum outcome cinder_attachment_show(struct req *r)
{
    struct snap_iter it = snap_all(r->snap, &kind_volume);
    for (const struct volume *v; (v = snap_next(&it));) {
        if (!req_may_see(r, v->project_id))
            continue;
        for (size_t i = 0; i < v->attachments.n; i++) {
            const struct volume_attachment *a =
                LIST_AT(v->attachments, struct volume_attachment, i);
            if (!wanted(r->param[0], a->attachment_id))
                continue;
            struct jw w = req_json(r);
            jw_obj(&w, NULL);
            write_attachment(&w, "attachment", v, a, true);
            jw_obj_end(&w);
            return req_reply(r, 200);
        }
    }
    return req_fail(r, ERR_NOT_FOUND,
                    "Volume attachment could not be found with filter: "
                    "attachment_id = %.80s.",
                    r->param[0]);
}
