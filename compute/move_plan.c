#include "compute/move_plan.h"

#include "compute/server_plan.h"

#define RETRY_US   (50 * INT64_C(1000))
#define GIB_MS     INT64_C(300000) /* of memory and disk */
#define LEAST_GIBS 2

const char *const move_step_names[] = {
#define X(name, text) [MOVE_##name] = text,
    MOVE_STEPS(X)
#undef X
};

#define PLAN(step_, ...) ((struct move_plan){ MOVE_##step_, __VA_ARGS__ })

int64_t move_pause_ms(int64_t elapsed_ms)
{
    int64_t pause = MOVE_PAUSE_MS;
    for (int64_t t = MOVE_PATIENCE_MS; t <= elapsed_ms; t += MOVE_PATIENCE_MS)
        if (pause < MOVE_PAUSE_MOST_MS)
            pause *= 2;
    return pause;
}

int64_t move_limit_ms(const struct server *s)
{
    int64_t gibs = s->ram_mb / 1024 + s->disk_gb + s->ephemeral_gb;
    return (gibs < LEAST_GIBS ? LEAST_GIBS : gibs) * GIB_MS;
}

/* ---- the source ------------------------------------------------------------
 */

static bool wants_out(const struct move_view *v)
{
    return v->migration->abort || v->server->goal == GOAL_DELETED;
}

/* Is every device plugged or unplugged that should be? */
static bool is_settled(const struct server *s)
{
    for (size_t i = 0; i < s->volumes.n; i++)
        if (LIST_AT(s->volumes, struct server_volume, i)->state != ATTACH_DONE)
            return false;
    for (size_t i = 0; i < s->ports.n; i++)
        if (LIST_AT(s->ports, struct server_port, i)->state != ATTACH_DONE)
            return false;
    return true;
}

/* The guest stood still for it. */
static bool should_run(const struct move_view *v)
{
    return v->server->goal == GOAL_RUNNING &&
           v->domain.state == DOMAIN_PAUSED && !v->domain.stalled &&
           v->server->vm_state == VM_ACTIVE;
}

/* It has come to nothing; the guest runs again first. */
static struct move_plan stay(const struct move_view *v, enum move_step how,
                             const char *why)
{
    return should_run(v) ? PLAN(RESUME)
                         : (struct move_plan){ how, .text = why };
}

static struct move_plan before(const struct move_view *v)
{
    const struct migration *m = v->migration;
    int64_t waited = v->now - m->updated;
    if (v->info.state == MIGRATE_RUNNING || v->info.state == MIGRATE_DONE)
        return PLAN(BEGUN);
    if (wants_out(v))
        return stay(v, MOVE_CANCEL, NULL);
    if (!domain_active(&v->domain))
        return PLAN(FAIL, .text = "the guest does not run");
    if (v->disk_fault)
        return stay(v, MOVE_FAIL, v->disk_fault);
    if (!is_settled(v->server))
        return PLAN(NORMAL);
    if (m->dest_ready && v->disks_ready)
        return PLAN(PERFORM);
    if (waited > MOVE_PREPARE_US)
        return stay(v, MOVE_FAIL, "the other node did not get ready in time");
    return PLAN(WAIT, .after_us = MOVE_PREPARE_US - waited + SECOND_US);
}

static struct move_plan under_way(const struct move_view *v)
{
    if (wants_out(v) || v->info.elapsed_ms > move_limit_ms(v->server))
        return PLAN(ABORT);
    if (v->migration->force_complete && v->domain.state == DOMAIN_RUNNING)
        return PLAN(PUSH);
    return PLAN(PROGRESS);
}

static bool has_gone(const struct domain_info *d)
{
    return d->state == DOMAIN_ABSENT || (d->state == DOMAIN_OFF && d->left);
}

/* Nothing moves it any more: where is it? */
static struct move_plan after(const struct move_view *v)
{
    if (has_gone(&v->domain))
        return PLAN(ARRIVE);
    if (wants_out(v))
        return stay(v, MOVE_CANCEL, NULL);
    if (v->info.state == MIGRATE_FAILED)
        return stay(v, MOVE_FAIL, v->info.err.text);
    if (!domain_active(&v->domain))
        return PLAN(FAIL, .text = "the guest stopped");
    return stay(v, MOVE_FAIL, "it was interrupted");
}

static struct move_plan source(const struct move_view *v)
{
    switch (v->migration->status) {
    case MIGRATION_QUEUED:
        return PLAN(NORMAL);
    case MIGRATION_PREPARING:
        return before(v);
    case MIGRATION_RUNNING:
        return v->info.state == MIGRATE_RUNNING ? under_way(v) : after(v);
    default:
        return PLAN(NORMAL);
    }
}

/* ---- the dest --------------------------------------------------------------
 */

static struct move_plan dest(const struct move_view *v)
{
    if (v->migration->status != MIGRATION_PREPARING || v->migration->dest_ready)
        return PLAN(WAIT);
    if (v->domain.state != DOMAIN_ABSENT)
        return PLAN(CLEAR);
    return v->disks_ready ? PLAN(PREPARE) : PLAN(WAIT);
}

static struct move_plan arrived(const struct move_view *v)
{
    if (v->domain.state == DOMAIN_PAUSED && v->domain.incoming)
        return PLAN(WAIT, .after_us = RETRY_US); /* libvirt is at it still */
    return should_run(v) ? PLAN(RESUME) : PLAN(COMPLETE);
}

struct move_plan move_plan(const struct move_view *v)
{
    switch (v->role) {
    case MOVE_SOURCE:
        return source(v);
    case MOVE_DEST:
        return dest(v);
    case MOVE_ARRIVED:
        return arrived(v);
    case MOVE_NO_ROLE:
        break;
    }
    return PLAN(CLEAR);
}
