#include "engine/stays.h"

#include "common/alloc.h"
#include "engine/goals.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *text;
} words[] = {
#define X(name, word, text) { word, text },
    STAYS(X)
#undef X
};

const char *stay_name(enum stay_reason r)
{
    return words[r].name;
}

const char *stay_text(enum stay_reason r)
{
    return words[r].text;
}

static bool should_go(const struct board *b, uint32_t guest, bool evacuate,
                      bool repair)
{
    const struct board_guest *g = &b->guests[guest];
    if (b->hosts[g->host].state == FLEET_DRAINING)
        return evacuate;
    if (!repair || g->group == BOARD_NONE)
        return false;
    uint8_t policy = b->groups[g->group].rule.policy;
    return (policy == REQUEST_AFFINITY || policy == REQUEST_ANTI_AFFINITY) &&
           goals_misplaced(b, guest);
}

/* The reason that came closest to a place, of all hosts. */
static enum stay_reason look_around(struct board *b, uint32_t guest)
{
    const struct board_guest *g = &b->guests[guest];
    enum stay_reason reason = STAY_HOST;
    for (uint32_t h = 0; h < b->n_hosts; h++) {
        uint8_t cells;
        if (h == g->host || !board_class_on(&b->classes[g->class_], h))
            continue;
        if (!board_roomy(b, guest, h) || !board_cells(b, guest, h, &cells)) {
            reason = reason == STAY_HOST ? STAY_ROOM : reason;
            continue;
        }
        if (board_allows(b, guest, h, cells))
            return STAY_LATER;
        reason = STAY_GROUP;
    }
    return reason;
}

/* `known`: by class, the reason of one without a group, plus one. */
static enum stay_reason reason_of(struct board *b, uint32_t guest,
                                  uint8_t *known)
{
    const struct board_guest *g = &b->guests[guest];
    const struct fleet_guest *of = fleet_guest(b->fleet, g->id);
    if (!of->movable && !of->rests)
        return STAY_FIXED;
    if (!g->movable)
        return STAY_DEVICES;
    if (g->group != BOARD_NONE)
        return look_around(b, guest);
    if (!known[g->class_])
        known[g->class_] = (uint8_t)(look_around(b, guest) + 1);
    return (enum stay_reason)(known[g->class_] - 1);
}

void stays_find(struct board *b, bool evacuate, bool repair, struct stays *out)
{
    uint8_t *known = xcalloc(b->n_classes + 1, sizeof(*known));
    uint32_t size = 0;
    *out = (struct stays){ 0 };
    for (uint32_t i = 0; i < b->n_guests; i++) {
        if (!should_go(b, i, evacuate, repair))
            continue;
        if (out->n == size) {
            size = size ? size * 2 : 16;
            out->at = xrealloc(out->at, size * sizeof(*out->at));
        }
        out->at[out->n++] =
            (struct stay){ b->guests[i].id, reason_of(b, i, known) };
    }
    free(known);
}

void stays_add(struct stays *s, uint64_t guest, enum stay_reason reason)
{
    uint32_t i = 0;
    while (i < s->n && s->at[i].guest < guest)
        i++;
    if (i == s->n || s->at[i].guest != guest) {
        s->at = xrealloc(s->at, (s->n + 1) * sizeof(*s->at));
        memmove(&s->at[i + 1], &s->at[i], (s->n++ - i) * sizeof(*s->at));
    }
    s->at[i] = (struct stay){ guest, reason };
}

void stays_free(struct stays *s)
{
    free(s->at);
    *s = (struct stays){ 0 };
}
