/*
 * sim_store - one process's end of the store.
 *
 * What the store says to an end (events of watches, answers to
 * transactions) stands in one queue, in order, until it is delivered.
 *
 * The core's end is `sync`: a submit is carried out at once, and what the
 * queue holds up to its answer is delivered before it, as the contract of
 * store.h has it.  The face's end is a socket: a transaction is sent, later
 * taken, and its answer delivered later still; when the face dies, some of
 * what it has sent is carried out all the same.
 *
 * With chaos a transaction may be answered UNKNOWN, done or not; FAILED; or
 * with a CONFLICT that nobody else can explain.  A node that is cut off hears
 * nothing, and what it sends fails, or is done and never answered.
 */
#ifndef CAIRN_SIM_SIM_STORE_H
#define CAIRN_SIM_SIM_STORE_H

#include "sim_node.h"

struct sim_end;

struct sim_end *sim_end_open(struct sim_node *n, const char *name, bool sync);
/* Everything in its queues is dropped without a call. */
void sim_end_close(struct sim_end *e);
struct store *sim_end_store(struct sim_end *e);
bool sim_end_deliver(struct sim_end *e); /* the next of the queue; or false */
bool sim_end_waiting(const struct sim_end *e);
/* The watches are cut off: what they had not heard is lost (LOST follows). */
void sim_end_lose(struct sim_end *e);
/* The store takes the oldest transaction that was sent; false: none. */
bool sim_end_take(struct sim_end *e);
bool sim_end_sent(const struct sim_end *e);

#endif
