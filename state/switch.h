/*
 * switch - a store in front of another that can be exchanged while in use.
 *
 * The one behind is put on hold (writers wait, those in flight finish), its
 * content goes to a new one (move.h), and the new one takes its place: every
 * watch ends with LOST, so that whoever watches lists again, and what waited
 * goes on there.  Reads are never held up.
 *
 * Threads: calls of the store from any; hold, release and exchange from one
 * at a time, not from a call-back.
 */
#ifndef CAIRN_STATE_SWITCH_H
#define CAIRN_STATE_SWITCH_H

#include "state/store.h"

/* Owns `behind`. */
struct store *store_switch_open(struct store *behind);
struct store *store_switch_behind(struct store *s); /* borrowed */
/* From its return on nothing is written until one of the two others. */
void store_switch_hold(struct store *s);
void store_switch_release(struct store *s);
/* Closes the old one; held. */
void store_switch_exchange(struct store *s, struct store *fresh);

#endif
