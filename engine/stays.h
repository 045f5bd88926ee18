/*
 * stays - who should leave his host, stays all the same, and why: pure.
 *
 * On a board as it is after a plan: guests on hosts that are to be emptied,
 * and members of groups whose hard rule is broken.
 */
#ifndef CAIRN_ENGINE_STAYS_H
#define CAIRN_ENGINE_STAYS_H

#include "engine/board.h"

#define STAYS(X)                                                               \
    X(FIXED, "fixed", "it cannot be moved")                                    \
    X(DEVICES, "devices", "its devices cannot be moved")                       \
    X(HOST, "host", "no other host is one it may go to")                       \
    X(ROOM, "room", "no host that it may go to has room")                      \
    X(GROUP, "group", "its group forbids every host that has room")            \
    X(RESERVE, "reserve", "the room kept for failures would be gone")          \
    X(LATER, "later", "its turn comes with a later plan")

enum stay_reason {
#define X(name, word, text) STAY_##name,
    STAYS(X)
#undef X
};

const char *stay_name(enum stay_reason r); /* "room" */
const char *stay_text(enum stay_reason r);

struct stay {
    uint64_t guest;
    enum stay_reason reason;
};

struct stays {
    struct stay *at; /* ascending by guest */
    uint32_t n;
};

/* `evacuate`, `repair`: what is on by policy. */
void stays_find(struct board *b, bool evacuate, bool repair, struct stays *out);
/* `reason` counts from now on. */
void stays_add(struct stays *s, uint64_t guest, enum stay_reason reason);
void stays_free(struct stays *s);

#endif
