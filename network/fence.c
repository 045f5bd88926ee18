#include "network/fence.h"

#include "network/ovsdb_wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* There is at most one row. */
static json_t *ids_of(const json_t *replica)
{
    json_t *rows = ovsdb_replica_table(replica, FENCE_TABLE);
    json_t *row = json_object_iter_value(json_object_iter(rows));
    return json_object_get(row, "external_ids");
}

int64_t fence_term(const json_t *replica)
{
    const char *text = ovsdb_map_get(ids_of(replica), FENCE_KEY);
    return text ? strtoll(text, NULL, 10) : 0;
}

static json_t *term_map(int64_t term)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, term);
    return ovsdb_map(json_pack("{s:s}", FENCE_KEY, text));
}

static json_t *wait_for(json_t *where, const char *until, json_t *rows)
{
    return json_pack("{s:s,s:i,s:s,s:o,s:[s],s:s,s:o}", "op", "wait", "timeout",
                     0, "table", FENCE_TABLE, "where", where, "columns",
                     "external_ids", "until", until, "rows", rows);
}

json_t *fence_claim(const json_t *replica, int64_t term)
{
    json_t *ids = ids_of(replica);
    if (!ids)
        return json_pack("[o,{s:s,s:s,s:{s:o}}]",
                         wait_for(json_array(), "==", json_array()), "op",
                         "insert", "table", FENCE_TABLE, "row", "external_ids",
                         term_map(term));
    return json_pack(
        "[o,{s:s,s:s,s:[],s:[[s,s,[s,[s]]],[s,s,o]]}]",
        wait_for(json_array(), "==",
                 json_pack("[{s:o}]", "external_ids", json_deep_copy(ids))),
        "op", "mutate", "table", FENCE_TABLE, "where", "mutations",
        "external_ids", "delete", "set", FENCE_KEY, "external_ids", "insert",
        term_map(term));
}

json_t *fence_check(int64_t term)
{
    json_t *where =
        json_pack("[[s,s,o]]", "external_ids", "includes", term_map(term));
    return wait_for(where, "!=", json_array());
}
