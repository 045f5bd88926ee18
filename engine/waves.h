/*
 * waves - which migrations of a plan may run at the same time: pure.
 *
 * A guest under way takes room on both hosts.  A move joins the wave of the
 * one before it if it has room while nobody of that wave has left yet, and
 * if neither of its hosts, nor the pool, has too many already; else it opens
 * the next one.
 */
#ifndef CAIRN_ENGINE_WAVES_H
#define CAIRN_ENGINE_WAVES_H

#include "engine/plan.h"

/* Fills `wave` of the moves.  Limits of 0 are none. */
void waves_make(const struct fleet *f, uint32_t parallel, uint32_t per_host,
                struct plan *p);

#endif
