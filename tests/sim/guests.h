/*
 * guests - a hypervisor made of a table: domains that survive the core.
 *
 * A domain is a state and lists of devices.  Its guest takes its time, and
 * now and then ignores what it is asked, powers itself off or crashes.
 * Events come late and may get lost while there is chaos.
 */
#ifndef CAIRN_SIM_GUESTS_H
#define CAIRN_SIM_GUESTS_H

#include "compute/hypervisor.h"
#include "sim_node.h"

struct guests *guests_new(struct sim_node *n);
void guests_free(struct guests *g);
/* The core's handle; it ends with close. */
struct hypervisor *guests_open(struct guests *g);
/* The next due thing: an event is delivered, a guest does what it was asked. */
bool guests_step(struct guests *g);
int64_t guests_due(struct guests *g);
void guests_power_lost(struct guests *g);
/* At the world's end. */
void guests_forget_starts(struct world *w);
/* Those that run never write again. */
void guests_refuse(struct guests *g);

struct guest {
    struct sim_node *to; /* on its way there (moves.h); NULL: it is not */
    bool abort;          /* ... and should not */
    bool asleep;         /* has come from another, and not run here yet */
    struct guest *next;
    struct domain_info info;
    char id[UUID_SIZE];
    bool read_only[DOMAIN_DISKS_MAX]; /* beside info.disks */
    bool refused;   /* runs, and can write to none of the shared files */
    bool cut_short; /* lost with the power, and not fenced since then */
};
struct guest *guests_first(struct guests *g);
struct guest *guests_find(struct guests *g, const char *id);
/* Does a running guest of any node have the file? */
bool guests_use(struct world *w, const char *path);
/* The domain of a server, the running one if there are several; NULL. */
struct guest *guests_of_server(struct world *w, const char *id);
/* For moves.c: how a move of before has ended, as the open core knows. */
struct moved {
    struct moved *next;
    char id[UUID_SIZE];
    bool ok;
};
struct moved **guests_outcomes(struct guests *g);
struct sim_node *guests_node(struct guests *g);
struct guest *guests_define(struct guests *g, const char *id);
void guests_remove(struct guests *g, struct guest *d);
void guests_set_state(struct guests *g, struct guest *d,
                      enum domain_state state);
void guests_move_later(struct guests *g, const char *id, int64_t us);
/* A server is another node's now, and goes on as what it was. */
void guests_started_at(struct sim_node *n, const char *id);
static inline bool guest_active(const struct guest *g)
{
    return domain_active(&g->info);
}

#endif
