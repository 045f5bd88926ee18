#include "rest-api/membership.h"

#include "model/node_disks.h"
#include "model/pool.h"
#include "rest-api/drain.h"
#include "rest-api/node_inside.h"

#include <string.h>

/* Asks the privileged side; then answers with what it said. */
static enum outcome call(struct req *r, const char *op, const char *json,
                         int status)
{
    if (r->step == 0)
        return req_wait(
            r, (struct wait){ .type = WAIT_CALL, .op = op, .json = json }, 1);
    if (!r->waited.ok) {
        error_copy(&r->err, &r->waited.err);
        return req_failed(r);
    }
    if (r->waited.text.len) {
        _autojson_ json_t *v = json_loads(buf_str(&r->waited.text), 0, NULL);
        const char *secret =
            json_string_value(json_object_get(v, "join_secret"));
        struct jw w = req_json(r);
        jw_obj(&w, NULL);
        jw_str(&w, "join_secret", secret);
        jw_obj_end(&w);
    }
    return req_reply(r, status);
}

/* The id in the path as JSON; "" when it is none that could exist. */
static const char *id_json(struct req *r)
{
    const char *id = r->param[0];
    bool odd = strlen(id) > 64 ||
               strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                          "0123456789._-") != strlen(id);
    return req_strf(r, "{\"id\":\"%s\"}", odd ? "" : id);
}

enum outcome membership_list_secrets(struct req *r)
{
    char a[TIME_TEXT_MAX];
    struct snap_iter it = snap_all(r->snap, &kind_join_secret);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "join_secrets");
    for (const struct join_secret_record *s; (s = snap_next(&it));) {
        jw_obj(&w, NULL);
        jw_str(&w, "id", s->rec.id);
        jw_bool(&w, "once", s->once);
        jw_str(&w, "created", time_format(s->created, TIME_Z, a));
        jw_str(&w, "expires",
               s->expires ? time_format(s->expires, TIME_Z, a) : NULL);
        jw_str(&w, "used_by", s->used_by);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome membership_create_secret(struct req *r)
{
    const json_t *once = json_object_get(r->body, "once");
    const json_t *seconds = json_object_get(r->body, "seconds");
    if ((once && !json_is_boolean(once)) ||
        (seconds && !json_is_integer(seconds)))
        return req_fail(r, ERR_INVALID,
                        "'once' is true or false, 'seconds' a number.");
    return call(r, "join_secret.create",
                req_strf(r, "{\"once\":%s,\"seconds\":%lld}",
                         json_is_true(once) ? "true" : "false",
                         (long long)json_integer_value(seconds)),
                201);
}

enum outcome membership_revoke_secret(struct req *r)
{
    return call(r, "join_secret.revoke", id_json(r), 204);
}

enum outcome membership_remove_node(struct req *r)
{
    return call(r, "member.remove", id_json(r), 204);
}

/* null: there is nothing to tell. */
static void write_time(struct jw *w, const char *name, int64_t at)
{
    char text[TIME_TEXT_MAX];
    jw_str(w, name, at ? time_format(at, TIME_Z, text) : NULL);
}

/* What the pool thinks of it, see docs/recovery.md. */
static void write_health(struct jw *w, const struct node *n)
{
    bool up = n->health == HEALTH_UP;
    jw_str(w, "health", node_health_names[n->health]);
    jw_str(w, "health_why", up ? NULL : n->health_why);
    write_time(w, "health_since", n->health_since);
    jw_int(w, "fence", n->fence);
    jw_bool(w, "maintenance", n->maintenance);
    write_time(w, "storage_lost", n->storage_lost);
    write_time(w, "stopped", n->stopped);
}

enum outcome membership_show_node(struct req *r)
{
    char a[TIME_TEXT_MAX];
    const struct node *n = snap_get(r->snap, &kind_node, r->param[0]);
    const struct member *m = snap_get(r->snap, &kind_member, r->param[0]);
    if (!n && !m)
        return req_fail(r, ERR_NOT_FOUND, "There is no node '%.60s'.",
                        r->param[0]);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "name", r->param[0]);
    jw_str(&w, "address", m ? m->address : n->address);
    jw_str(&w, "node_id", m ? m->node_id : NULL);
    jw_str(&w, "joined", m ? time_format(m->joined, TIME_Z, a) : NULL);
    jw_str(&w, "join_secret", m ? m->secret : NULL);
    jw_str(&w, "seen", n ? time_format(n->seen, TIME_Z, a) : NULL);
    if (n) {
        write_health(&w, n);
        drain_write(r, &w, n);
    }
    jw_bool(&w, "disabled", n && n->disabled);
    jw_str(&w, "disabled_reason", n ? n->disabled_reason : NULL);
    jw_int(&w, "vcpus", n ? n->vcpus : 0);
    jw_int(&w, "ram_mb", n ? n->ram_mb : 0);
    jw_int(&w, "disk_gb", n ? n->disk_gb : 0);
    jw_bool(&w, "kvm", n && n->kvm);
    if (n)
        write_node_inside(r, &w, n);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- disks ------------------------------------------------------------- */

static void write_disk(struct jw *w, const char *node,
                       const struct node_disk *d)
{
    jw_obj(w, NULL);
    jw_str(w, "node", node);
    jw_str(w, "path", d->path);
    jw_int(w, "size_gb", d->size_gb);
    jw_str(w, "state", node_disk_state_names[d->state]);
    jw_str(w, "reason", d->reason);
    jw_str(w, "osd", d->osd);
    jw_int(w, "used_gb", d->used_gb);
    jw_int(w, "groups", d->groups);
    jw_bool(w, "slow", d->slow);
    jw_bool(w, "leave", d->leave);
    jw_obj_end(w);
}

enum outcome membership_list_disks(struct req *r)
{
    struct snap_iter it = snap_all(r->snap, &kind_node_disks);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "disks");
    for (const struct node_disks *n; (n = snap_next(&it));)
        for (size_t i = 0; i < n->disks.n; i++)
            write_disk(&w, n->rec.id, LIST_AT(n->disks, struct node_disk, i));
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome membership_remove_disk(struct req *r)
{
    return call(r, "disk.remove", id_json(r), 202);
}

enum outcome membership_keep_disk(struct req *r)
{
    return call(r, "disk.keep", id_json(r), 202);
}
