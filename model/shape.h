/*
 * shape - what a server asks of the insides of its node: NUMA cells, page
 * size, CPUs of its own.
 *
 * Read from the flavor's extra specs and the image's properties (the
 * flavor's word goes first), in nova's words ("Extra Specs", "CPU
 * topologies", "Huge pages").  The engine finds the place for it, compute
 * makes the domain of it.  What Cairn does not honour is refused by name
 * here, once, for the API and the engine alike.  Pure; no threads.
 */
#ifndef CAIRN_MODEL_SHAPE_H
#define CAIRN_MODEL_SHAPE_H

#include "model/compute.h"

#define SHAPE_CELLS_MAX 8
#define SHAPE_HUGE_KIB  2048    /* what "large" means */
#define SHAPE_GIGA_KIB  1048576 /* the other size that there is */

struct shape {
    int64_t cells;    /* NUMA cells of the guest, evenly filled; 0: floats */
    int64_t page_kib; /* of its memory's huge pages; 0: ordinary ones */
    bool pinned;      /* each vCPU has a CPU of the node for itself */
};

/* INVALID: the values make no sense, or ask for what is not honoured; the
 * sentence names the spec.  *out is what could be read. */
bool shape_of_server(const struct server *s, struct shape *out,
                     struct error *err);

/* "hw:cpu_policy" of the flavor before "hw_cpu_policy" of the image (given
 * as the latter); NULL: neither says. */
const char *server_property(const struct server *s, const char *image_name);

#endif
