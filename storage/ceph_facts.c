#include "storage/ceph_facts.h"

#include "common/alloc.h"

#include <stdio.h>
#include <string.h>

const char *const ceph_asks[CEPH_ASKS] = {
    [CEPH_ASK_QUORUM] = "quorum_status",
    [CEPH_ASK_MGR] = "mgr dump",
    [CEPH_ASK_OSD] = "osd dump",
    [CEPH_ASK_TREE] = "osd tree",
    [CEPH_ASK_RULES] = "osd crush rule dump",
    [CEPH_ASK_PGS] = "pg stat",
};

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static int number_of(const json_t *o, const char *key)
{
    return (int)json_integer_value(json_object_get(o, key));
}

static void copy_name(char to[CEPH_NAME_MAX], const char *from)
{
    snprintf(to, CEPH_NAME_MAX, "%s", from);
}

/* ---- monitors, managers ------------------------------------------------ */

static bool names_has(const json_t *names, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(names, i, one) if (json_is_string(one) &&
                                          strcmp(json_string_value(one),
                                                 name) == 0) return true;
    return false;
}

/* "172.25.0.2" of "172.25.0.2:3300"; of the first address it has. */
static void read_place(const json_t *mon, char out[CEPH_NAME_MAX])
{
    const json_t *all =
        json_object_get(json_object_get(mon, "public_addrs"), "addrvec");
    copy_name(out, text_of(json_array_get(all, 0), "addr"));
    char *colon = strrchr(out, ':');
    if (colon)
        *colon = '\0';
}

static void read_mons(struct ceph_seen *s, const json_t *quorum)
{
    const json_t *in = json_object_get(quorum, "quorum_names");
    const json_t *map = json_object_get(quorum, "monmap");
    size_t i;
    json_t *mon;
    json_array_foreach(json_object_get(map, "mons"), i, mon)
    {
        if (s->facts.n_mons == CEPH_MONS_SEEN)
            break;
        struct ceph_mon_facts *m = &s->mons[s->facts.n_mons++];
        copy_name(m->name, text_of(mon, "name"));
        read_place(mon, m->address);
        m->in_quorum = names_has(in, m->name);
    }
    s->facts.mons = s->mons;
}

static void read_mgrs(struct ceph_seen *s, const json_t *dump)
{
    size_t i, n = 0;
    json_t *mgr;
    if (*text_of(dump, "active_name"))
        copy_name(s->mgrs[n++], text_of(dump, "active_name"));
    json_array_foreach(json_object_get(dump, "standbys"), i,
                       mgr) if (n < CEPH_MGRS_MAX)
        copy_name(s->mgrs[n++], text_of(mgr, "name"));
    s->facts.mgrs = (const char(*)[CEPH_NAME_MAX])s->mgrs;
    s->facts.n_mgrs = n;
}

/* ---- OSDs -------------------------------------------------------------- */

/* The bucket of a type that a node of the CRUSH tree hangs under, by its
 * number; NULL: none. */
static const json_t *bucket_of(const json_t *tree, const char *type,
                               json_int_t id)
{
    size_t i, j;
    json_t *node, *child;
    json_array_foreach(json_object_get(tree, "nodes"), i, node)
    {
        if (strcmp(text_of(node, "type"), type) != 0)
            continue;
        json_array_foreach(json_object_get(node, "children"), j,
                           child) if (json_integer_value(child) ==
                                      id) return node;
    }
    return NULL;
}

static void read_where(const json_t *tree, struct ceph_osd_facts *o)
{
    const json_t *host = bucket_of(tree, "host", o->id);
    const json_t *rack =
        host ? bucket_of(tree, "rack", number_of(host, "id")) : NULL;
    copy_name(o->node, text_of(host, "name"));
    copy_name(o->rack, text_of(rack, "name"));
}

static void read_osds(struct ceph_seen *s, const json_t *dump,
                      const json_t *tree)
{
    const json_t *osds = json_object_get(dump, "osds");
    size_t i, most = json_array_size(osds);
    json_t *one;
    if (most > CEPH_OSDS_MAX)
        most = CEPH_OSDS_MAX;
    s->osds = xcalloc(most + 1, sizeof(*s->osds));
    json_array_foreach(osds, i, one)
    {
        if (i == most)
            break;
        struct ceph_osd_facts *o = &s->osds[s->facts.n_osds++];
        o->id = number_of(one, "osd");
        o->in = number_of(one, "in") != 0;
        read_where(tree, o);
        o->up = number_of(one, "up") != 0;
        s->n_up += o->up;
    }
    s->facts.osds = s->osds;
}

/* ---- pools, rules ------------------------------------------------------ */

static int domain_named(const char *rule)
{
    for (int d = CEPH_BY_OSD; d <= CEPH_BY_RACK; d++)
        if (strcmp(rule, ceph_rule_name((enum ceph_domain)d)) == 0)
            return d;
    return -1;
}

/* Of a rule by its number; of one that is not ours: by OSD, the least. */
static enum ceph_domain domain_of(const json_t *rules, int id)
{
    size_t i;
    json_t *rule;
    json_array_foreach(rules, i, rule)
    {
        int d = domain_named(text_of(rule, "rule_name"));
        if (d >= 0 && number_of(rule, "rule_id") == id)
            return (enum ceph_domain)d;
    }
    return CEPH_BY_OSD;
}

static void read_rules(struct ceph_seen *s, const json_t *rules)
{
    size_t i;
    json_t *rule;
    json_array_foreach(rules, i, rule)
    {
        int d = domain_named(text_of(rule, "rule_name"));
        if (d >= 0)
            s->facts.rules[d] = true;
    }
}

static void read_pools(struct ceph_seen *s, const json_t *dump,
                       const json_t *rules)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(dump, "pools"), i, one)
    {
        if (s->facts.n_pools == CEPH_POOLS_MAX)
            break;
        struct ceph_pool_facts *p = &s->pools[s->facts.n_pools++];
        const json_t *use = json_object_get(one, "application_metadata");
        copy_name(p->name, text_of(one, "pool_name"));
        p->size = number_of(one, "size");
        p->min_size = number_of(one, "min_size");
        p->domain = domain_of(rules, number_of(one, "crush_rule"));
        p->ready = json_object_get(use, "rbd") != NULL;
    }
    s->facts.pools = s->pools;
}

/* All placement groups are in a state that begins so. */
static bool all_are(const json_t *stat, const char *wanted)
{
    const json_t *sum = json_object_get(stat, "pg_summary");
    size_t i;
    json_t *state;
    json_array_foreach(json_object_get(sum, "num_pg_by_state"), i,
                       state) if (strncmp(text_of(state, "name"), wanted,
                                          strlen(wanted)) != 0) return false;
    return number_of(sum, "num_pgs") > 0;
}

/* Some data may be known of and yet be nowhere. */
static bool is_whole(const json_t *stat)
{
    const json_t *sum = json_object_get(stat, "pg_summary");
    return all_are(stat, "active") && !number_of(sum, "unfound_objects");
}

/* ---- all --------------------------------------------------------------- */

bool ceph_seen_read(struct ceph_seen *seen, json_t *const answers[CEPH_ASKS],
                    const char *pool, struct error *err)
{
    *seen = (struct ceph_seen){ .facts = { .pool = pool, .founded = true } };
    read_mons(seen, answers[CEPH_ASK_QUORUM]);
    read_mgrs(seen, answers[CEPH_ASK_MGR]);
    read_osds(seen, answers[CEPH_ASK_OSD], answers[CEPH_ASK_TREE]);
    read_rules(seen, answers[CEPH_ASK_RULES]);
    read_pools(seen, answers[CEPH_ASK_OSD], answers[CEPH_ASK_RULES]);
    seen->facts.clean = all_are(answers[CEPH_ASK_PGS], "active+clean");
    seen->facts.whole = is_whole(answers[CEPH_ASK_PGS]);
    return seen->facts.n_mons ||
           error_set(err, ERR_INVALID, "the cluster names no monitors");
}

void ceph_seen_free(struct ceph_seen *seen)
{
    free(seen->osds);
    seen->osds = NULL;
}
