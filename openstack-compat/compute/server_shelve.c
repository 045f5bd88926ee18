/* shelve, shelveOffload, unshelve: see model/shelve.h. */
#include "model/shelve.h"

#include "openstack-compat/compute/create_plan.h"
#include "openstack-compat/compute/server_actions.h"

#include <string.h>

/* The image waits, empty, for the guest to be off. */
static void put_image(struct req *r, struct server *s)
{
    _autorecord_ struct image *im =
        server_image_new(r, s, req_strf(r, "%.240s-shelved", s->name));
    im->owner = rec_str(im, s->project_id);
    im->status = IMAGE_QUEUED;
    s->shelved_image_id = rec_str(s, im->rec.id);
    txn_change_record(&r->txn, im);
}

enum outcome action_shelve(struct req *r, const struct server *was,
                           const json_t *arg)
{
    if (!action_may_start(r, was,
                          IN(VM_ACTIVE) | IN(VM_STOPPED) | IN(VM_PAUSED) |
                              IN(VM_SUSPENDED),
                          "shelve"))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    if (s->image_id)
        put_image(r, s);
    s->goal = GOAL_STOPPED;
    s->task_state = TASK_SHELVING;
    s->updated = r->now;
    server_note(r, s, "shelve");
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

enum outcome action_shelve_offload(struct req *r, const struct server *was,
                                   const json_t *arg)
{
    if (!action_may_start(r, was, IN(VM_SHELVED), "shelveOffload"))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    s->task_state = TASK_SHELVING_OFFLOADING;
    s->updated = r->now;
    server_note(r, s, "shelveOffload");
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

/* Where it is to go now: from 2.77 on, and only of one that has no node. */
static bool read_zone(struct req *r, struct server *s, const json_t *arg)
{
    static const char *const known[] = { "availability_zone", NULL };
    const char *zone;
    if (!arg || json_is_null(arg))
        return true;
    if (r->mv < MV(2, 77) || !json_is_object(arg))
        return create_invalid(r, "unshelve: null is expected");
    if (!nova_only(r, arg, known) ||
        !nova_string(r, arg, "availability_zone", 1, 255, &zone))
        return false;
    if (!zone)
        return create_invalid(r, "'availability_zone' is a required property");
    if (s->node)
        return error_set(&r->err, ERR_CONFLICT,
                         "The new availability zone is only for servers that "
                         "are shelved_offloaded; instance %s is not.",
                         s->rec.id);
    if (!create_zone_exists(r, zone))
        return false;
    s->requested_zone = rec_str(s, zone);
    return true;
}

/* One that is still on its node just starts again. */
enum outcome action_unshelve(struct req *r, const struct server *was,
                             const json_t *arg)
{
    if (!action_state_ok(r, was, IN(VM_SHELVED) | IN(VM_SHELVED_OFFLOADED),
                         "unshelve"))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    if (!read_zone(r, s, arg))
        return req_failed(r);
    if (s->node) {
        s->goal = GOAL_RUNNING;
        s->task_state = TASK_UNSHELVING;
    } else
        unshelve(&r->txn, r->snap, s, r->now);
    s->updated = r->now;
    server_note(r, s, "unshelve");
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}
