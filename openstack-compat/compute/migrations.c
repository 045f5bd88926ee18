/* Live migration, evacuation, and the list of moves: os-migrateLive, evacuate,
 * servers/{id}/ migrations, os-migrations. */
#include "openstack-compat/compute/server_actions.h"

#include "engine/rescue.h"
#include "model/migration.h"
#include "model/pool.h"

#include <string.h>

/* ---- os-migrateLive -------------------------------------------------------
 */

static bool read_host(struct req *r, const struct server *s, const json_t *arg,
                      const char **host)
{
    if (!nova_string(r, arg, "host", 1, 255, host))
        return false;
    if (!json_object_get(arg, "host"))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for field/attribute os-migrateLive: "
                         "'host' is a required property");
    if (!*host)
        return true;
    if (!snap_get(r->snap, &kind_node, *host))
        return error_set(&r->err, ERR_INVALID,
                         "Compute host %s could not be found.", *host);
    return strcmp(*host, s->node) != 0 ||
           error_set(&r->err, ERR_INVALID,
                     "Unable to migrate instance (%s) to current host (%s).",
                     s->rec.id, *host);
}

static bool has_own_disk(struct req *r, const struct server *s)
{
    struct snap_iter it = snap_by(r->snap, &kind_disk, "server_id", s->rec.id);
    for (const struct disk *d; (d = snap_next(&it));)
        if (d->state != DISK_LEAVING && !disk_is_shared(d))
            return true;
    return false;
}

/* What is on a node of its own is copied: so "auto" and true mean the same,
 * and false can be a mistake. */
static bool read_block(struct req *r, const struct server *s, const json_t *arg)
{
    const json_t *v = json_object_get(arg, "block_migration");
    const char *text = json_string_value(v);
    bool is_auto = r->mv >= MV(2, 25) && text && strcmp(text, "auto") == 0;
    bool no = json_is_false(v) || (text && strcasecmp(text, "false") == 0);
    bool yes = json_is_true(v) || (text && strcasecmp(text, "true") == 0);
    if (!is_auto && !no && !yes)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for field/attribute block_migration: "
                         "true, false%s is expected.",
                         r->mv >= MV(2, 25) ? " or 'auto'" : "");
    return !no || !has_own_disk(r, s) ||
           error_set(&r->err, ERR_INVALID,
                     "%s is not on shared storage: Live migration can not be "
                     "used without shared storage except a booted from volume "
                     "VM which does not have a local disk.",
                     s->rec.id);
}

static bool read_live(struct req *r, const struct server *s, const json_t *arg,
                      const char **host)
{
    static const char *const oldest[] = { "host", "block_migration",
                                          "disk_over_commit", NULL };
    static const char *const forced[] = { "host", "block_migration", "force",
                                          NULL };
    static const char *const plain[] = { "host", "block_migration", NULL };
    const char *const *known = r->mv < MV(2, 25)   ? oldest
                               : r->mv < MV(2, 30) ? plain
                               : r->mv < MV(2, 68) ? forced
                                                   : plain;
    return nova_only(r, arg, known) && read_block(r, s, arg) &&
           read_host(r, s, arg, host);
}

enum outcome action_migrate_live(struct req *r, const struct server *was,
                                 const json_t *arg)
{
    const char *host = NULL;
    if (!r->auth.is_admin)
        return req_fail(r, ERR_FORBIDDEN,
                        "Policy doesn't allow os_compute_api:"
                        "os-migrate-server:migrate_live to be performed.");
    if (!action_may_start(r, was, IN(VM_ACTIVE) | IN(VM_PAUSED),
                          "os-migrateLive") ||
        !read_live(r, was, arg, &host))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    _autorecord_ struct migration *m = migration_begin(
        &r->txn, r->snap, s, req_uuid(r), MIGRATION_LIVE, r->now, &r->err);
    if (!m)
        return req_failed(r);
    m->user_id = rec_str(m, r->auth.user_id);
    m->project_id = rec_str(m, r->auth.project_id);
    m->requested_host = rec_str(m, host);
    server_note(r, s, "live-migration");
    txn_change_record(&r->txn, m);
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

/* ---- evacuate --------------------------------------------------------------
 */

static bool read_evacuate(struct req *r, const struct server *s,
                          const json_t *arg, const char **host)
{
    static const char *const oldest[] = { "host", "onSharedStorage",
                                          "adminPass", NULL };
    static const char *const forced[] = { "host", "force", "adminPass", NULL };
    static const char *const plain[] = { "host", "adminPass", NULL };
    const char *const *known = r->mv < MV(2, 14) ? oldest
                               : r->mv >= MV(2, 29) && r->mv < MV(2, 68)
                                   ? forced
                                   : plain;
    if (!nova_only(r, arg, known) || !nova_string(r, arg, "host", 1, 255, host))
        return false;
    if (*host && !snap_get(r->snap, &kind_node, *host))
        return error_set(&r->err, ERR_NOT_FOUND,
                         "Compute host %s could not be found.", *host);
    return !*host || strcmp(*host, s->node) != 0 ||
           error_set(&r->err, ERR_INVALID,
                     "The target host can't be the same one.");
}

/* Only what has failed for certain is evacuated, and only what is whole
 * without it: nova would make an empty disk anew. */
static bool may_evacuate(struct req *r, const struct server *s)
{
    const struct node *n = snap_get(r->snap, &kind_node, s->node);
    if (!n || n->health == HEALTH_UP || n->health == HEALTH_QUARANTINED)
        return error_set(&r->err, ERR_INVALID,
                         "Compute service of %s is still in use.", s->node);
    if (n->health == HEALTH_FENCING)
        return error_set(&r->err, ERR_CONFLICT,
                         "Node %s is just being fenced: its servers start "
                         "elsewhere by themselves.",
                         s->node);
    return rescue_look(r->snap, s, true).shared ||
           error_set(&r->err, ERR_CONFLICT,
                     "Instance %s has a disk on node %s itself, which would be "
                     "lost: it starts again when the node is back.",
                     s->rec.id, s->node);
}

static enum outcome reply_evacuate(struct req *r)
{
    if (r->mv >= MV(2, 14))
        return req_reply(r, 200);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_null(&w, "adminPass");
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome action_evacuate(struct req *r, const struct server *was,
                             const json_t *arg)
{
    const char *host = NULL;
    if (!r->auth.is_admin)
        return req_fail(r, ERR_FORBIDDEN,
                        "Policy doesn't allow os_compute_api:os-evacuate to be "
                        "performed.");
    if (!action_may_start(r, was, IN(VM_ACTIVE) | IN(VM_STOPPED) | IN(VM_ERROR),
                          "evacuate") ||
        !read_evacuate(r, was, arg, &host) || !may_evacuate(r, was))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    _autorecord_ struct migration *m =
        migration_begin(&r->txn, r->snap, s, req_uuid(r), MIGRATION_EVACUATION,
                        r->now, &r->err);
    if (!m)
        return req_failed(r);
    m->user_id = rec_str(m, r->auth.user_id);
    m->project_id = rec_str(m, r->auth.project_id);
    m->requested_host = rec_str(m, host);
    server_note(r, s, "evacuate");
    txn_change_record(&r->txn, m);
    txn_change_record(&r->txn, s);
    return reply_evacuate(r);
}

/* ---- what all show ---------------------------------------------------------
 */

static void write_time(struct jw *w, const char *key, int64_t at)
{
    char text[TIME_TEXT_MAX];
    if (!at) {
        jw_null(w, key);
        return;
    }
    time_format(at, TIME_MICRO, text);
    jw_str(w, key, text);
}

static void write_ends(struct req *r, struct jw *w, const struct migration *m)
{
    const struct node *dest = snap_get(r->snap, &kind_node, m->dest);
    jw_int(w, "id", m->number);
    jw_str(w, "source_compute", m->source);
    jw_str(w, "source_node", m->source);
    jw_str(w, "dest_compute", m->dest);
    jw_str(w, "dest_node", m->dest);
    jw_str(w, "dest_host", dest ? dest->address : NULL);
    jw_str(w, "status", migration_status_names[m->status]);
    write_time(w, "created_at", m->created);
    write_time(w, "updated_at", m->updated);
    if (r->mv >= MV(2, 59))
        jw_str(w, "uuid", m->rec.id);
    if (r->mv >= MV(2, 80)) {
        jw_str(w, "user_id", m->user_id);
        jw_str(w, "project_id", m->project_id);
    }
}

/* ---- servers/{id}/migrations ------------------------------------------------
 */

static bool is_in_progress(const struct migration *m)
{
    return m->type == MIGRATION_LIVE && migration_under_way(m);
}

static void write_live(struct req *r, struct jw *w, const char *key,
                       const struct migration *m)
{
    jw_obj(w, key);
    write_ends(r, w, m);
    jw_str(w, "server_uuid", m->server_id);
    jw_int(w, "memory_total_bytes", m->memory_total);
    jw_int(w, "memory_processed_bytes", m->memory_processed);
    jw_int(w, "memory_remaining_bytes", m->memory_remaining);
    jw_int(w, "disk_total_bytes", m->disk_total);
    jw_int(w, "disk_processed_bytes", m->disk_processed);
    jw_int(w, "disk_remaining_bytes", m->disk_remaining);
    jw_obj_end(w);
}

static const struct migration *live_of(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s)
        return NULL;
    const struct migration *m = server_migration(r->snap, s);
    char number[32];
    snprintf(number, sizeof(number), "%lld", m ? (long long)m->number : 0LL);
    if (m && is_in_progress(m) && strcmp(number, r->param[1]) == 0)
        return m;
    error_set(&r->err, ERR_NOT_FOUND,
              "In-progress live migration %.32s is not found for server %s.",
              r->param[1], s->rec.id);
    return NULL;
}

enum outcome server_migration_list(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s)
        return req_failed(r);
    const struct migration *m = server_migration(r->snap, s);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "migrations");
    if (m && is_in_progress(m))
        write_live(r, &w, NULL, m);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome server_migration_show(struct req *r)
{
    const struct migration *m = live_of(r);
    if (!m)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_live(r, &w, "migration", m);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome wrong_state(struct req *r, const struct migration *m,
                                const char *method)
{
    return req_fail(r, ERR_INVALID,
                    "Migration %lld state of instance %s is %s. Cannot %s "
                    "while the migration is in this state.",
                    (long long)m->number, m->server_id,
                    migration_status_names[m->status], method);
}

/* What the API reference allows; and not once there is no way back. */
enum outcome server_migration_delete(struct req *r)
{
    const struct migration *m = live_of(r);
    if (!m)
        return req_failed(r);
    bool early =
        m->status == MIGRATION_QUEUED || m->status == MIGRATION_PREPARING;
    if (m->status != MIGRATION_RUNNING && !(early && r->mv >= MV(2, 65)))
        return wrong_state(r, m, "abort live migration");
    _autorecord_ struct migration *draft = record_copy(m);
    draft->abort = true;
    txn_change_record(&r->txn, draft);
    return req_reply(r, 202);
}

enum outcome server_migration_action(struct req *r)
{
    const struct migration *m = live_of(r);
    if (!m)
        return req_failed(r);
    if (json_object_size(r->body) != 1 ||
        !json_object_get(r->body, "force_complete"))
        return req_fail(r, ERR_INVALID, "force_complete is expected.");
    if (m->status != MIGRATION_RUNNING)
        return wrong_state(r, m, "force_complete");
    _autorecord_ struct migration *draft = record_copy(m);
    draft->force_complete = true;
    txn_change_record(&r->txn, draft);
    return req_reply(r, 202);
}

/* ---- os-migrations
 * ----------------------------------------------------------- */

/* Nova's are numbers. */
static void write_flavor(struct jw *w, const char *key, const char *id)
{
    char *end = NULL;
    long long n = id ? strtoll(id, &end, 10) : 0;
    if (id && *id && end && !*end)
        jw_int(w, key, n);
    else
        jw_null(w, key);
}

static void write_any(struct req *r, struct jw *w, const struct migration *m)
{
    jw_obj(w, NULL);
    write_ends(r, w, m);
    jw_str(w, "instance_uuid", m->server_id);
    write_flavor(w, "old_instance_type_id", m->old_flavor.flavor_id);
    write_flavor(w, "new_instance_type_id", m->new_flavor.flavor_id);
    if (r->mv >= MV(2, 23)) {
        jw_str(w, "migration_type", migration_type_names[m->type]);
        if (is_in_progress(m))
            nova_links(r, w, req_strf(r, "servers/%s/migrations", m->server_id),
                       req_strf(r, "%lld", (long long)m->number));
    }
    jw_obj_end(w);
}

static bool equals(struct req *r, const char *query, const char *value)
{
    const char *want = req_query(r, query);
    return !want || (value && strcmp(want, value) == 0);
}

static bool is_wanted(struct req *r, const struct migration *m)
{
    const char *host = req_query(r, "host");
    return equals(r, "instance_uuid", m->server_id) &&
           equals(r, "status", migration_status_names[m->status]) &&
           equals(r, "migration_type", migration_type_names[m->type]) &&
           equals(r, "source_compute", m->source) &&
           (r->mv < MV(2, 80) || (equals(r, "user_id", m->user_id) &&
                                  equals(r, "project_id", m->project_id))) &&
           (!host || strcmp(host, m->source) == 0 ||
            (m->dest && strcmp(host, m->dest) == 0));
}

static int newest_first(const void *a, const void *b)
{
    const struct migration *const *x = a, *const *y = b;
    return ((*x)->number < (*y)->number) - ((*x)->number > (*y)->number);
}

enum outcome nova_migration_list(struct req *r)
{
    struct window page;
    size_t n = 0, most = snap_count(r->snap, &kind_migration);
    const struct migration **all =
        arena_alloc(&r->arena, (most + 1) * sizeof(const struct migration *));
    struct snap_iter it = snap_all(r->snap, &kind_migration);
    for (const struct migration *m; n < most && (m = snap_next(&it));)
        if (is_wanted(r, m))
            all[n++] = m;
    qsort(all, n, sizeof(const struct migration *), newest_first);
    if (!window_open(r, &page))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "migrations");
    for (size_t i = 0; i < n; i++)
        if (window_takes(&page, all[i]->rec.id))
            write_any(r, &w, all[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return window_closed(r, &page) ? req_reply(r, 200) : req_failed(r);
}
