#include "storage/ceph_command.h"

#include <stdio.h>

static json_t *set_pool(const char *pool, const char *what, const char *value)
{
    return json_pack("{ss ss ss ss}", "prefix", "osd pool set", "pool", pool,
                     "var", what, "val", value);
}

json_t *ceph_step_command(const struct ceph_step *s, const char *pool)
{
    const char *rule = ceph_rule_name(s->domain);
    char size[12], least[12];
    snprintf(size, sizeof(size), "%d", s->size);
    snprintf(least, sizeof(least), "%d", s->min_size);
    switch (s->kind) {
    case CEPH_ADD_RULE:
        return json_pack("{ss ss ss ss}", "prefix",
                         "osd crush rule create-replicated", "name", rule,
                         "root", "default", "type",
                         ceph_domain_type(s->domain));
    case CEPH_ADD_POOL:
        return json_pack("{ss ss si si ss ss si}", "prefix", "osd pool create",
                         "pool", pool, "pg_num", CEPH_PGS, "pgp_num", CEPH_PGS,
                         "pool_type", "replicated", "rule", rule, "size",
                         s->size);
    case CEPH_READY_POOL:
        return json_pack("{ss ss ss}", "prefix", "osd pool application enable",
                         "pool", pool, "app", "rbd");
    case CEPH_SET_RULE:
        return set_pool(pool, "crush_rule", rule);
    case CEPH_SET_SIZE:
        return set_pool(pool, "size", size);
    case CEPH_SET_MINIMUM:
        return set_pool(pool, "min_size", least);
    case CEPH_REMOVE_MON:
        return json_pack("{ss ss}", "prefix", "mon rm", "name", s->node);
    default:
        return NULL;
    }
}

json_t *ceph_rack_command(const char *node, const char *rack)
{
    json_t *where = json_array();
    json_array_append_new(where, json_string("root=default"));
    if (*rack)
        json_array_append_new(where, json_sprintf("rack=%s", rack));
    return json_pack("{ss ss so}", "prefix", "osd crush move", "name", node,
                     "args", where);
}
