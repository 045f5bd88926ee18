#include "engine/batch.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "engine/score.h"

#include <stdlib.h>
#include <string.h>

/* One of the requests, in the order in which they are tried. */
struct turn {
    uint32_t request;
    uint32_t promoted; /* attempts in which it found no place */
    uint32_t hosts;    /* that may take it as the pool is now */
    int64_t size;      /* of the pool's resources, in 2^-40 */
};

struct attempt {
    struct fleet *f;
    struct chooser *c;
    const struct batch *b;
    struct turn *turns;
    struct placing *places; /* by request */
};

/* ---- the order ----------------------------------------------------------- */

/* Bound ones before free ones, large ones before small ones; after failures,
 * whoever failed before all others. */
static int by_hardness(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    if (x->promoted != y->promoted)
        return x->promoted > y->promoted ? -1 : 1;
    if (x->hosts != y->hosts)
        return x->hosts < y->hosts ? -1 : 1;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return x->request < y->request ? -1 : 1;
}

/* The largest share that it takes of any resource or kind of device. */
static int64_t size_of(const struct demand *d, const int64_t *pool)
{
    int64_t size = 0;
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        int64_t part = ((int64_t)d->need[r] << 20) / (pool[r] / 1024 + 1);
        size = part > size ? part : size;
    }
    for (int k = 0; k < REQUEST_DEVICES; k++) /* scarcer than all else */
        size += (int64_t)d->devices[k].count * d->devices[k].thousandths << 20;
    return size;
}

static uint32_t hosts_for(const struct fleet *f, const struct request *r)
{
    struct choose_why why;
    choose_why(f, r, &why);
    return why.hosts[FIT_OK];
}

/* Equal requests stand together, mostly: they are looked at once. */
static bool same_question(const struct request *a, const struct request *b)
{
    return demand_same(&a->demand, &b->demand) && a->group.id == b->group.id &&
           a->allowed.at == b->allowed.at && a->excluded.at == b->excluded.at;
}

static void make_turns(struct attempt *a)
{
    int64_t pool[FLEET_RESOURCES] = { 0 };
    for (int r = 0; r < FLEET_RESOURCES; r++)
        for (uint32_t h = 0; h < a->f->n; h++)
            pool[r] += a->f->capacity[r][h];
    for (uint32_t i = 0; i < a->b->n; i++) {
        const struct request *r = &a->b->requests[i];
        struct turn *t = &a->turns[i];
        t->request = i;
        t->size = size_of(&r->demand, pool);
        t->hosts =
            i && same_question(r, r - 1) ? t[-1].hosts : hosts_for(a->f, r);
    }
}

/* ---- attempts ------------------------------------------------------------ */

static uint32_t try_all(struct attempt *a)
{
    uint32_t placed = 0;
    for (uint32_t i = 0; i < a->b->n; i++) {
        uint32_t which = a->turns[i].request;
        const struct request *r = &a->b->requests[which];
        struct placing *at = &a->places[which];
        if (!choose(a->c, r, at)) {
            a->turns[i].promoted++;
            continue;
        }
        fleet_put(a->f, BATCH_IDS + which, r, at);
        placed++;
    }
    return placed;
}

static void take_back(struct attempt *a)
{
    for (uint32_t i = 0; i < a->b->n; i++)
        fleet_remove(a->f, BATCH_IDS + i);
}

static uint32_t give_none(struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        b->places[i] = (struct placing){ .host = FLEET_NOWHERE };
    return 0;
}

/* The first to choose found nothing in the pool as it is: no order helps,
 * unless others of its group must go before it. */
static bool hopeless(const struct attempt *a)
{
    uint32_t first = a->turns[0].request;
    return a->b->all && a->places[first].host == FLEET_NOWHERE &&
           !a->b->requests[first].group.skew;
}

uint32_t batch_choose(struct chooser *c, struct fleet *f, struct batch *b)
{
    _autofree_ struct turn *turns = xcalloc(b->n + 1, sizeof(*turns));
    _autofree_ struct placing *places = xcalloc(b->n + 1, sizeof(*places));
    struct attempt a = { f, c, b, turns, places };
    uint32_t best = give_none(b);
    make_turns(&a);
    for (int i = 0; best < b->n && i < BATCH_ATTEMPTS; i++) {
        qsort(turns, b->n, sizeof(*turns), by_hardness);
        uint32_t placed = try_all(&a);
        take_back(&a);
        if (placed < b->n && hopeless(&a))
            break;
        if (placed > best) {
            best = placed;
            memcpy(b->places, places, b->n * sizeof(*places));
        }
    }
    return best < b->n && b->all ? give_none(b) : best;
}
