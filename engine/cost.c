#include "engine/cost.h"

#define START_POINTS  500 /* connect, define, switch over: whatever the size */
#define SECOND_POINTS 70
#define PRIORITY_MOST 900

/* MiB that go over the link. */
static int64_t to_send(const struct demand *d, int32_t dirty, int64_t speed)
{
    int64_t memory = d->need[FLEET_MEMORY] + d->need[FLEET_HUGEPAGES];
    int64_t left = speed - dirty;
    memory = left * 10 > speed ? memory * speed / left : memory * 10;
    return memory + (int64_t)d->need[FLEET_DISK] * 1024;
}

struct cost cost_move(const struct fleet *f, const struct fleet_guest *g,
                      const struct cost_policy *p)
{
    int64_t link = p->link > 0 ? p->link : 10000;
    int64_t share = p->share > 0 ? p->share : 500;
    int64_t speed = link * share / 1000 / 8; /* MiB/s, near enough */
    speed = speed > 0 ? speed : 1;
    int64_t mib =
        to_send(fleet_demand(f, g->class_), fleet_use(f, g)->dirty, speed);
    int64_t seconds = (mib + speed - 1) / speed;
    int64_t priority = g->priority < 0               ? 0
                       : g->priority > PRIORITY_MOST ? PRIORITY_MOST
                                                     : g->priority;
    return (struct cost){
        .seconds = (int32_t)seconds,
        .points =
            (START_POINTS + SECOND_POINTS * seconds) * (100 + priority) / 100,
    };
}
