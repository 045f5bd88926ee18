/*
 * wish - what a record asks of the fleet: a server, a volume or a would-be
 * server, as a request.
 *
 *   vcpus, ram_mb, disk     what the machine must have; `resources:CLASS=N`
 *                           in the flavor overrides them or adds others
 *   trait:X                 required or forbidden, by flavor or image
 *   hw:numa_nodes, hw:mem_page_size, hw:cpu_policy
 *                           cells, huge pages, CPUs of its own (model/shape.h)
 *   pci_passthrough:alias=NAME:N,..  and resources:CLASS=N where CLASS is one
 *                           of devices: that many of them, see view_device;
 *                           each such wish is a row of demand.devices, in the
 *                           order of the flavor's specs
 *   aggregate_instance_extra_specs:KEY   a condition, see view.h
 *   cairn:placement         spread | pack | fragmentation; pack with weights
 *                           (weights.h)
 *   cairn:spread            host | rack | zone, with ":N": how many members
 *                           of its group more than the least may be in one;
 *                           also as a scheduler hint
 *   NET_BW_EGR_KILOBIT_PER_SEC, NET_BW_IGR_..   the larger one, of the
 *                           node's bandwidth
 *   trait:HW_CPU_X86_X      a condition on the node's CPU (model/cpu_type.h)
 *   cairn:priority          -1000..1000: who goes first (evacuate.h)
 *   hw_architecture         of the image: a condition on the machine
 *   zone, host, group       as the request named them
 *   same_host, different_host   scheduler hints; others mean nothing here,
 *                           as in a nova without their filters
 *   volumes                 local ones bind it to their node
 *
 * Amounts beyond what a column holds become its largest: nobody has that.
 */
#ifndef CAIRN_ENGINE_WISH_H
#define CAIRN_ENGINE_WISH_H

#include "common/error.h"
#include "engine/view.h"
#include "model/migration.h"

struct wish {
    struct request request;
    const char *zone, *host; /* as asked for; borrowed from the record */
    const char *home;        /* node that its volumes are on, or NULL */
    bool kept_beside;        /* by the hint same_host */
    char nobody[128];        /* a name that no node has, or "" */
    uint32_t *lists;         /* memory of the request's lists */
    struct server *moved;    /* a move's: the server as it will be, or NULL */
};

/* False: it cannot be fitted anywhere, ERR_NOT_FOUND and why (for tenants),
 * or the flavor makes no sense, ERR_INVALID.  Free it in either case. */
bool wish_of_server(struct view *v, const struct server *server,
                    struct wish *out, struct error *err);
bool wish_of_volume(struct view *v, const struct volume *volume,
                    struct wish *out, struct error *err);
/* Where a server that is on its way may go: not where it is, unless it is
 * resized; volumes go by their own records.  As wish_of_server. */
bool wish_of_move(struct view *v, const struct migration *m,
                  const struct server *server, struct wish *out,
                  struct error *err);
void wish_free(struct wish *w);

/* What a placed one takes: the same without what only concerns the choice.
 * Never fails: what cannot be said is left out. */
void wish_of_placed_server(struct view *v, const struct server *server,
                           struct request *out);
void wish_of_placed_volume(const struct volume *volume, struct request *out);

/* The node that a move holds beside the server's, and what; NULL: none. */
const char *wish_of_move_beside(struct view *v, const struct migration *m,
                                const struct server *server,
                                struct request *out);

/* The value of "cairn:priority", within its bounds; NULL and nonsense: 0. */
#define WISH_PRIORITY     "cairn:priority"
#define WISH_SPREAD       "cairn:spread"
#define WISH_PRIORITY_MAX 1000
int64_t wish_priority(const char *text);
/* Number of a group or tenant for the fleet; never 0. */
uint64_t wish_number(const char *kind, const char *id);

#endif
