#include "engine/recovery.h"

#include <string.h>

const char *const recovery_step_names[RECOVERY_N_STEPS] = {
#define X(name, text) [RECOVERY_##name] = text,
    RECOVERY_STEPS(X)
#undef X
};

const char *const recovery_fate_names[N_FATES] = {
#define X(name, text) [FATE_##name] = text,
    RECOVERY_FATES(X)
#undef X
};

#define STEP(what_, at_) ((struct recovery_step){ RECOVERY_##what_, at_, NULL })
#define REST_UNTIL(at)   STEP(REST, at)

/* ---- whose fault -------------------------------------------------------- */

/* Nobody would miss it. */
static bool may_be_silent(const struct recovery_node *n)
{
    return n->maintenance && !n->guests;
}

bool recovery_suspect(const struct recovery_node *n)
{
    return n->health == HEALTH_UP && !n->present && !may_be_silent(n);
}

void recovery_count(struct recovery_pool *p, const struct recovery_node *n)
{
    if (n->health != HEALTH_UP)
        return;
    p->up++;
    p->silent += recovery_suspect(n) && !n->stopped;
    p->no_store += n->present && n->storage_lost;
}

static int64_t grace(const struct recovery_node *n,
                     const struct recovery_pool *p)
{
    if (n->stopped)
        return RECOVERY_STOPPED_US;
    if (!n->known)
        return RECOVERY_COLD_US;
    return p->up > 2 && p->silent * 2 > p->up ? RECOVERY_MASS_US
                                              : RECOVERY_GRACE_US;
}

bool recovery_storage_works(const struct recovery_pool *p)
{
    return p->up > p->silent && p->no_store * 2 < p->up - p->silent;
}

/* ---- the states --------------------------------------------------------- */

static struct recovery_step condemn(const char *why)
{
    return (struct recovery_step){ RECOVERY_CONDEMN, INT64_MAX, why };
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct recovery_step when_up(const struct recovery_node *n,
                                    const struct recovery_pool *p, int64_t now)
{
    if (n->closed == FENCE_CLOSED)
        return condemn("the storage refused it although it was well");
    if (recovery_suspect(n)) {
        int64_t end = n->gone + grace(n, p);
        return now < end ? REST_UNTIL(end) : condemn("it has fallen silent");
    }
    if (n->present && n->storage_lost && recovery_storage_works(p)) {
        int64_t end = later(n->storage_lost, p->works) + RECOVERY_STORAGE_US;
        return now < end ? REST_UNTIL(end)
                         : condemn("its storage does not answer it");
    }
    return REST_UNTIL(INT64_MAX);
}

static struct recovery_step when_fencing(const struct recovery_node *n)
{
    return n->closed == FENCE_CLOSED ? STEP(CONFIRM, INT64_MAX)
                                     : STEP(FENCE, INT64_MAX);
}

/* What holds while the fence is to be closed. */
static struct recovery_step keep_closed(const struct recovery_node *n)
{
    if (n->closed == FENCE_UNKNOWN)
        return STEP(CHECK, INT64_MAX);
    if (n->closed == FENCE_OPEN)
        return STEP(FENCE, INT64_MAX);
    return n->waiting ? STEP(EVACUATE, INT64_MAX) : REST_UNTIL(INT64_MAX);
}

static struct recovery_step when_fenced(const struct recovery_node *n)
{
    return n->present ? STEP(QUARANTINE, INT64_MAX) : keep_closed(n);
}

static struct recovery_step when_quarantined(const struct recovery_node *n)
{
    if (!n->present)
        return STEP(LOSE, INT64_MAX);
    if (n->cleaned != n->fence || n->storage_lost)
        return keep_closed(n);
    if (n->closed == FENCE_UNKNOWN)
        return STEP(CHECK, INT64_MAX);
    return n->closed == FENCE_CLOSED ? STEP(LIFT, INT64_MAX)
                                     : STEP(ADMIT, INT64_MAX);
}

struct recovery_step recovery_next(const struct recovery_node *n,
                                   const struct recovery_pool *p, int64_t now)
{
    switch ((enum node_health)n->health) {
    case HEALTH_UP:
        return when_up(n, p, now);
    case HEALTH_FENCING:
        return when_fencing(n);
    case HEALTH_FENCED:
        return when_fenced(n);
    case HEALTH_QUARANTINED:
        return when_quarantined(n);
    }
    return REST_UNTIL(INT64_MAX);
}

/* ---- servers ------------------------------------------------------------ */

enum recovery_fate recovery_fate(const struct recovery_server *s)
{
    if (s->saved && !s->deleted)
        return FATE_STAYS;
    if (s->shared)
        return FATE_MOVES;
    return s->runs && !s->deleted && !s->stranded ? FATE_STRANDED : FATE_STAYS;
}

int recovery_compare(const struct recovery_rank *a,
                     const struct recovery_rank *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    if (a->runs != b->runs)
        return a->runs ? -1 : 1;
    if (a->wish != b->wish)
        return a->wish > b->wish ? -1 : 1;
    if (a->created != b->created)
        return a->created < b->created ? -1 : 1;
    return strcmp(a->id, b->id);
}
