#include "openstack-compat/network/defaults.h"

#include <string.h>

static char *default_claim(char out[STORE_KEY_MAX], const char *project_id)
{
    return claim_id(out, "default_security_group/%s", project_id);
}

const struct security_group *
security_group_default_find(const struct snapshot *s, const char *project_id)
{
    struct snap_iter it =
        snap_by(s, &kind_security_group, "project_id", project_id);
    for (const struct security_group *g; (g = snap_next(&it));)
        if (g->name && strcmp(g->name, "default") == 0)
            return g;
    return NULL;
}

bool security_group_default(struct txn *t, const struct snapshot *s,
                            const struct env *env, const char *project_id,
                            struct error *err)
{
    static const struct amount amounts[] = { SECURITY_GROUP_DEFAULT_AMOUNTS };
    if (security_group_default_find(s, project_id))
        return true;
    if (!quota_charge(t, s, "network", project_id, amounts, ARRAY_SIZE(amounts),
                      err))
        return false;
    security_group_default_records(t, env, project_id);
    return true;
}

/* Neutron's four: all may leave, and members of the group may come in. */
static void default_rule(struct txn *t, const struct env *env,
                         const struct security_group *g, const char *direction,
                         const char *ethertype)
{
    char id[UUID_SIZE];
    env_uuid(env, id);
    _autorecord_ struct security_group_rule *r =
        record_new(&kind_security_group_rule, id);
    r->project_id = rec_str(r, g->project_id);
    r->security_group_id = rec_str(r, g->rec.id);
    r->direction = rec_str(r, direction);
    r->ethertype = rec_str(r, ethertype);
    r->port_min = r->port_max = -1;
    if (strcmp(direction, "ingress") == 0)
        r->remote_group_id = rec_str(r, g->rec.id);
    r->created = g->created;
    txn_change_record(t, r);
}

void security_group_default_records(struct txn *t, const struct env *env,
                                    const char *project_id)
{
    char id[UUID_SIZE], claim[STORE_KEY_MAX], key[STORE_KEY_MAX];
    env_uuid(env, id);
    _autorecord_ struct security_group *g =
        record_new(&kind_security_group, id);
    g->project_id = rec_str(g, project_id);
    g->name = rec_str(g, "default");
    g->description = rec_str(g, "Default security group");
    g->created = g->updated = env_now(env);
    default_rule(t, env, g, "egress", "IPv4");
    default_rule(t, env, g, "egress", "IPv6");
    default_rule(t, env, g, "ingress", "IPv4");
    default_rule(t, env, g, "ingress", "IPv6");
    txn_change_record(t, g);
    claim_take(t, default_claim(claim, project_id), record_key(g, key));
}

void security_group_default_remove(struct txn *t, const struct snapshot *s,
                                   const char *project_id)
{
    char claim[STORE_KEY_MAX];
    const struct security_group *g = security_group_default_find(s, project_id);
    if (!g)
        return;
    struct snap_iter it =
        snap_by(s, &kind_security_group_rule, "security_group_id", g->rec.id);
    for (const struct security_group_rule *r; (r = snap_next(&it));)
        txn_delete_record(t, r);
    txn_delete_record(t, g);
    claim_release(t, default_claim(claim, project_id));
}
