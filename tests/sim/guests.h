/*
 * guests - the domains of a node: they survive its core.
 *
 * A domain is a state and lists of devices.  Its guest takes its time, and
 * now and then ignores what it is asked, powers itself off or crashes.
 * Events come late and may get lost while there is chaos.  The product sees
 * them through sim_hypervisor.h, and they leave by moves.h.
 */
#ifndef CAIRN_SIM_GUESTS_H
#define CAIRN_SIM_GUESTS_H

#include "compute/hypervisor.h"
#include "sim_node.h"

struct guests *guests_new(struct sim_node *n);
void guests_free(struct guests *g);
struct sim_node *guests_node(struct guests *g);
/* The next due thing: an event is delivered, a guest does what it was asked. */
bool guests_step(struct guests *g);
int64_t guests_due(struct guests *g);
void guests_power_lost(struct guests *g);
/* Those that run never write again. */
void guests_refuse(struct guests *g);
/* Who hears of their events; NULL: nobody. */
void guests_listen(struct guests *g, domain_event_fn *fn, void *arg);

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
static inline bool guest_active(const struct guest *g)
{
    return domain_active(&g->info);
}

struct guest *guests_first(struct guests *g);
struct guest *guests_find(struct guests *g, const char *id);
/* Does a running guest of any node have the file? */
bool guests_use(struct world *w, const char *path);
/* The domain of a server, the running one if there are several; NULL. */
struct guest *guests_of_server(struct world *w, const char *id);

/* What is there is found. */
struct guest *guests_define(struct guests *g, const char *id);
void guests_remove(struct guests *g, struct guest *d);
void guests_set_state(struct guests *g, struct guest *d,
                      enum domain_state state);
/* One that is only coming is gone with it: it is defined when it arrives. */
void guests_turn_off(struct guests *g, struct guest *d);
/* Its node knows that it is off. */
void guests_ended(struct guests *g, const struct guest *d);
/* An event of it goes out, if chaos lets it. */
void guests_changed(struct guests *g, const struct guest *d);

/* What comes of itself, later. */
enum guest_todo {
    TODO_EVENT,
    TODO_OFF,
    TODO_DROP_DISK,
    TODO_DROP_NIC,
    TODO_MOVE,
};
void guests_later(struct guests *g, enum guest_todo type, const char *id,
                  const char *device, int64_t us);

/* ---- devices; an index is info.n_disks or info.n_nics if there is none ----
 */

size_t guest_disk_index(const struct guest *d, const char *device);
size_t guest_nic_index(const struct guest *d, const char *port_id);
void guest_add_disk(struct guest *d, const struct disk_spec *disk);
void guest_add_nic(struct guest *d, const char *port_id);

/* For moves.c: how a move of before has ended, as the open core knows. */
struct moved {
    struct moved *next;
    char id[UUID_SIZE];
    bool ok;
};
struct moved **guests_outcomes(struct guests *g);

#endif
