/* thing - a kind with a field of every type, for the tests of state/. */
#ifndef CAIRN_TESTS_THING_H
#define CAIRN_TESTS_THING_H

#include "state/record.h"

enum thing_state { THING_NEW, THING_ACTIVE, THING_ERROR };
static const char *const thing_states[] = { "NEW", "ACTIVE", "ERROR", NULL };

struct thing_ip {
    const char *subnet_id, *address;
    int64_t rank;
};

struct thing_place {
    const char *host;
    bool pinned;
};

struct thing {
    struct record rec;
    const char *name, *project_id, *password;
    bool up;
    int64_t size, created_at;
    double weight;
    int state;
    struct strs groups;
    struct map meta;
    struct thing_place place;
    struct list ips;
    const char *extra;
};

static const struct schema thing_ip_schema = {
    .size = sizeof(struct thing_ip),
    .fields =
        (const struct field[]){
            FIELD(struct thing_ip, subnet_id, F_STR),
            FIELD(struct thing_ip, address, F_STR),
            FIELD(struct thing_ip, rank, F_INT),
            FIELD_END,
        },
};

static const struct schema thing_place_schema = {
    .size = sizeof(struct thing_place),
    .fields =
        (const struct field[]){
            FIELD(struct thing_place, host, F_STR),
            FIELD(struct thing_place, pinned, F_BOOL),
            FIELD_END,
        },
};

static const struct kind kind_thing = {
    .name = "thing",
    .number = 0,
    .schema = {
        .size = sizeof(struct thing),
        .fields =
            (const struct field[]){
                FIELD(struct thing, name, F_STR),
                FIELD(struct thing, project_id, F_STR),
                FIELD_S(struct thing, password, F_STR),
                FIELD(struct thing, up, F_BOOL),
                FIELD(struct thing, size, F_INT),
                FIELD(struct thing, created_at, F_TIME),
                FIELD(struct thing, weight, F_REAL),
                FIELD_E(struct thing, state, thing_states),
                FIELD(struct thing, groups, F_STRS),
                FIELD(struct thing, meta, F_MAP),
                FIELD_O(struct thing, place, thing_place_schema),
                FIELD_L(struct thing, ips, thing_ip_schema),
                FIELD(struct thing, extra, F_JSON),
                FIELD_END,
            },
    },
    .indexes =
        (const struct index[]){
            { "project_id" },
            { "state" },
            { "groups" },
            { "ips.subnet_id" },
            { "place.host" },
            { NULL },
        },
};

#endif
