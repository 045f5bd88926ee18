/* resize, confirmResize, revertResize, migrate: see model/resize.h. */
#include "model/resize.h"

#include "openstack-compat/compute/create_plan.h"
#include "openstack-compat/compute/server_actions.h"

#include <string.h>

/* ---- the flavor ---------------------------------------------------------- */

static const struct flavor *wanted_flavor(struct req *r, const struct server *s,
                                          const json_t *arg)
{
    static const char *const known[] = { "flavorRef", "OS-DCF:diskConfig",
                                         NULL };
    const json_t *ref = json_object_get(arg, "flavorRef");
    const char *id = json_is_integer(ref)
                         ? req_strf(r, "%lld", json_integer_value(ref))
                         : json_string_value(ref);
    const char *slash = id ? strrchr(id, '/') : NULL;
    if (!json_is_object(arg) || !nova_only(r, arg, known) || !id) {
        if (!r->err.code)
            create_invalid(r, "'flavorRef' is a required property");
        return NULL;
    }
    const struct flavor *f = flavor_get(r, slash ? slash + 1 : id);
    if (!f || f->disabled) {
        error_set(&r->err, ERR_INVALID, "Flavor %.80s could not be found.", id);
        return NULL;
    }
    if (strcmp(f->rec.id, s->flavor_id) == 0) {
        create_invalid(r, "When resizing, instances must change flavor!");
        return NULL;
    }
    return f;
}

/* Local disks only grow. */
static bool disks_fit(struct req *r, const struct server *s,
                      const struct flavor *f)
{
    if (s->image_id && f->disk_gb == 0 && s->disk_gb != 0)
        return create_invalid(r, "Resize to zero disk flavor is not allowed.");
    if ((s->image_id && f->disk_gb < s->disk_gb) ||
        f->ephemeral_gb < s->ephemeral_gb)
        return error_set(&r->err, ERR_INVALID,
                         "Unable to resize disk down: flavor %s has %lld GB "
                         "of disk, the instance %lld.",
                         f->name, (long long)(f->disk_gb + f->ephemeral_gb),
                         (long long)(s->disk_gb + s->ephemeral_gb));
    return true;
}

static struct server_flavor as_server_has(const struct flavor *f)
{
    return (struct server_flavor){
        .flavor_id = f->rec.id,
        .flavor_name = f->name,
        .vcpus = f->vcpus,
        .ram_mb = f->ram_mb,
        .disk_gb = f->disk_gb,
        .ephemeral_gb = f->ephemeral_gb,
        .swap_mb = f->swap_mb,
        .extra_specs = f->extra_specs,
    };
}

/* The flavor's other disks come right after the root's: those names must not
 * be a volume's. */
static bool devices_are_free(struct req *r, const struct server *was,
                             const struct flavor *f)
{
    struct local_disk more[LOCAL_DISKS_MAX];
    _autorecord_ struct server *then = record_copy(was);
    then->ephemeral_gb = f->ephemeral_gb;
    then->swap_mb = f->swap_mb;
    for (size_t i = server_local_disks(then, more); i-- > 0;)
        for (size_t k = 0; k < was->volumes.n; k++) {
            const struct server_volume *sv =
                LIST_AT(was->volumes, struct server_volume, k);
            if (sv->device && strcmp(sv->device, more[i].device) == 0)
                return error_set(&r->err, ERR_INVALID,
                                 "Volume %s is attached as %s, where flavor "
                                 "%s has a disk of its own: detach it first.",
                                 sv->volume_id, sv->device, f->name);
        }
    return true;
}

/* ---- beginning ----------------------------------------------------------- */

static struct migration *begin(struct req *r, struct server *s,
                               enum migration_type type)
{
    struct migration *m = migration_begin(&r->txn, r->snap, s, req_uuid(r),
                                          type, r->now, &r->err);
    if (m) {
        m->project_id = rec_str(m, r->auth.project_id);
        m->user_id = rec_str(m, r->auth.user_id);
    }
    return m;
}

enum outcome action_resize(struct req *r, const struct server *was,
                           const json_t *arg)
{
    const struct flavor *f = wanted_flavor(r, was, arg);
    if (!f || !disks_fit(r, was, f) || !devices_are_free(r, was, f) ||
        !action_may_start(r, was, IN(VM_ACTIVE) | IN(VM_STOPPED), "resize"))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    _autorecord_ struct migration *m = begin(r, s, MIGRATION_RESIZE);
    const struct server_flavor wanted = as_server_has(f);
    if (!m)
        return req_failed(r);
    m->new_flavor = flavor_kept(m, &wanted);
    if (!resize_charge_more(&r->txn, r->snap, m, &r->err))
        return req_failed(r);
    server_note(r, s, "resize");
    txn_change_record(&r->txn, m);
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

/* A node other than the server's that could take it, as far as records
 * tell. */
static bool has_other_node(struct req *r, const struct server *s,
                           const char *host)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));)
        if (strcmp(n->rec.id, s->node) != 0 && !n->disabled &&
            (!host || strcmp(n->rec.id, host) == 0))
            return true;
    return create_invalid(r, host ? "Compute host could not be found, or it "
                                    "is the one the instance is on."
                                  : "No valid host was found. There are not "
                                    "enough hosts available.");
}

static bool read_host(struct req *r, const json_t *arg, const char **host)
{
    static const char *const known[] = { "host", NULL };
    *host = NULL;
    if (!arg || json_is_null(arg))
        return true;
    if (r->mv < MV(2, 56) || !json_is_object(arg))
        return create_invalid(r, "migrate: null is expected");
    return nova_only(r, arg, known) &&
           nova_string(r, arg, "host", 1, 255, host);
}

enum outcome action_migrate(struct req *r, const struct server *was,
                            const json_t *arg)
{
    const char *host;
    if (!r->auth.is_admin)
        return req_fail(r, ERR_FORBIDDEN,
                        "Policy doesn't allow os_compute_api:os-migrate-server:"
                        "migrate to be performed.");
    if (!read_host(r, arg, &host) ||
        !action_may_start(r, was, IN(VM_ACTIVE) | IN(VM_STOPPED), "migrate") ||
        !has_other_node(r, was, host))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    _autorecord_ struct migration *m = begin(r, s, MIGRATION_COLD);
    if (!m)
        return req_failed(r);
    m->requested_host = rec_str(m, host);
    server_note(r, s, "migrate");
    txn_change_record(&r->txn, m);
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

/* ---- the end ------------------------------------------------------------- */

static const struct migration *finished(struct req *r, const struct server *s,
                                        const char *action)
{
    if (!action_may_start(r, s, IN(VM_RESIZED), action))
        return NULL;
    const struct migration *m = server_migration(r->snap, s);
    if (m && migration_is_cold(m) && m->status == MIGRATION_FINISHED)
        return m;
    create_invalid(r, "Instance has not been resized.");
    return NULL;
}

/* It would go back to a node that is not. */
static bool source_is_there(struct req *r, const struct migration *m)
{
    const struct node *n = snap_get(r->snap, &kind_node, m->source);
    return (n && n->health == HEALTH_UP) ||
           error_set(&r->err, ERR_CONFLICT,
                     "Instance %s cannot go back: node %s, where it was, %s. "
                     "It can be confirmed where it is.",
                     m->server_id, m->source,
                     n ? "has failed" : "is not there any more");
}

/* No guest has the disks it had, and its node has nothing else of it. */
enum outcome action_confirm_resize(struct req *r, const struct server *was,
                                   const json_t *arg)
{
    const struct migration *done = finished(r, was, "confirmResize");
    if (!done)
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    _autorecord_ struct migration *m = record_copy(done);
    if (!resize_confirm(&r->txn, r->snap, m, s, r->now, &r->err))
        return req_failed(r);
    server_note(r, s, "confirmResize");
    txn_change_record(&r->txn, m);
    txn_change_record(&r->txn, s);
    return req_reply(r, 204);
}

enum outcome action_revert_resize(struct req *r, const struct server *was,
                                  const json_t *arg)
{
    const struct migration *done = finished(r, was, "revertResize");
    if (!done || !source_is_there(r, done))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    _autorecord_ struct migration *m = record_copy(done);
    m->status = MIGRATION_REVERTING;
    m->updated = s->updated = r->now;
    s->task_state = TASK_RESIZE_REVERTING;
    server_note(r, s, "revertResize");
    txn_change_record(&r->txn, m);
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}
