/*
 * clients - what people do with the pool, by chance and a table of weights.
 *
 * They choose among the things that are there (now and then among those that
 * are not), as administrator or as a user of project demo, keep at most some
 * calls in flight, and remember what they were answered: what was said to be
 * made must be there until they ask for its end, what was said to be deleted
 * must be gone.
 */
#ifndef CAIRN_SIM_CLIENTS_H
#define CAIRN_SIM_CLIENTS_H

#include "face.h"

struct look;

struct clients *clients_new(struct world *w);
void clients_free(struct clients *cs);
/* Makes a new call to the face, if there is one and not too many calls. */
bool clients_call(struct clients *cs, struct face *face);
/* Deletes one more thing, in the order in which it can work; false: nothing
 * is left to be deleted. */
bool clients_tidy(struct clients *cs);
void clients_answer(struct clients *cs, struct call *c);
void clients_lost(struct clients *cs, struct call *c);
/* Compares what was answered with what is there. */
void clients_check(struct clients *cs, struct look *l);
bool clients_idle(struct clients *cs);

#endif
