#include "engine/cost.h"

#define START_POINTS  500 /* connect, define, switch over: whatever the size */
#define SECOND_POINTS 70
#define PRIORITY_MOST 900
#define UNKNOWN_TIMES 2
#define MOST_TIMES    10

/* MiB/s; what is measured is KiB/s. */
static int32_t speed_of(const struct fleet *f, uint32_t host,
                        const struct cost_policy *p)
{
    int64_t link = (p->link > 0 ? p->link : 10000) / 8;
    int64_t measured = f->uses[host].link / 1024;
    int64_t share = p->share > 0 ? p->share : 500;
    if (measured > 0 && measured < link)
        link = measured;
    link = link * share / 1000;
    return link > 0 ? (int32_t)link : 1;
}

/* MiB, with what is sent again. */
static int64_t memory_to_send(const struct cost *c)
{
    int64_t left = c->speed - c->dirty;
    if (c->dirty < 0)
        return c->memory * UNKNOWN_TIMES;
    return left * MOST_TIMES > c->speed ? c->memory * c->speed / left
                                        : c->memory * MOST_TIMES;
}

static int64_t percent_by_priority(int32_t priority)
{
    return 100 + (priority < 0               ? 0
                  : priority > PRIORITY_MOST ? PRIORITY_MOST
                                             : priority);
}

struct cost cost_move(const struct fleet *f, const struct fleet_guest *g,
                      const struct cost_policy *p)
{
    const struct demand *d = fleet_demand(f, g->class_);
    struct cost c = {
        .memory = (int64_t)d->need[FLEET_MEMORY] + d->need[FLEET_HUGEPAGES] +
                  d->need[FLEET_GIGAPAGES],
        .disk = (int64_t)g->local * 1024,
        .dirty = fleet_use(f, g)->dirty,
        .speed = speed_of(f, g->at.host, p),
    };
    c.sent = memory_to_send(&c) + c.disk;
    c.seconds = (int32_t)((c.sent + c.speed - 1) / c.speed);
    c.points = (START_POINTS + SECOND_POINTS * (int64_t)c.seconds) *
               percent_by_priority(g->priority) / 100;
    return c;
}
