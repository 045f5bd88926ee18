/*
 * outlook - how much of a host will stay unused, by what is to be expected.
 *
 * The fragmentation policy asks of a host, as it is and as it would be, what
 * is left stranded in the end: the host is *filled* with the requests that
 * were drawn for its shape (offers.h), one after another, each taking the
 * tightest devices that fit it and passing by if nothing does; what then is
 * left of its devices, or on a host without any of its resources, is what
 * nobody will use.  The mean over the draws, in 2^-30 of what the whole pool
 * has, is the *stranded* part.  A place is good where putting a request
 * there strands little: a device's remainder that others fill, CPUs that its
 * GPUs will not miss.
 *
 *      strands(request, place) = stranded(host with it) - stranded(host)
 *
 * Two small things are added, which decide where this sees no difference:
 * an eighth of what the very next request could not use, and a toll for
 * devices on hosts that much is asked of.
 *
 * The idea of counting what the expected requests cannot use is that of
 * "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with
 * Fragmentation Gradient Descent" (USENIX ATC 2023), which looks one request
 * ahead.  Here we look ahead to the end; docs/dev/engine-scoring.md has the
 * reasons and the figures.
 *
 * Filling takes microseconds, so answers are remembered by state: hosts in
 * equal states share them.  Where somebody asks for NUMA cells they are filled
 * too, each request into the tightest that fit it; which of them its devices
 * are attached to does not count.
 *
 * A function of the mix's version, what the hosts are, and the one host's
 * state.  It follows the one fleet that owns it; one thread.
 */
#ifndef CAIRN_ENGINE_OUTLOOK_H
#define CAIRN_ENGINE_OUTLOOK_H

#include "engine/fleet.h"

#define OUTLOOK_ONE ((1 << 30) - 1) /* the whole pool */

struct outlook;

struct outlook *outlook_new(void);
void outlook_free(struct outlook *o);

/* What a request strands in a place that it fits: -OUTLOOK_ONE to
 * OUTLOOK_ONE; negative: it makes use of what else nobody would.  The fleet
 * has a mix with a version. */
int32_t outlook_strands(struct outlook *o, const struct fleet *f,
                        const struct demand *d, const struct placing *at);

#endif
