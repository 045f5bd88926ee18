#include "storage/ceph_plan.h"

#include <stdio.h>
#include <string.h>

#define MGRS 2

struct plan {
    const struct ceph_facts *f;
    struct ceph_step *steps;
    size_t n;
};

static struct ceph_step *add(struct plan *p, enum ceph_step_kind kind,
                             const char *node)
{
    static struct ceph_step nowhere;
    struct ceph_step *s = p->n < CEPH_STEPS_MAX ? &p->steps[p->n++] : &nowhere;
    *s = (struct ceph_step){ .kind = kind };
    snprintf(s->node, sizeof(s->node), "%s", node);
    return s;
}

/* ---- who is where ------------------------------------------------------ */

static const struct ceph_node_facts *node_named(const struct ceph_facts *f,
                                                const char *name)
{
    for (size_t i = 0; i < f->n_nodes; i++)
        if (strcmp(f->nodes[i].name, name) == 0)
            return &f->nodes[i];
    return NULL;
}

static bool has_mon(const struct ceph_facts *f, const char *node)
{
    for (size_t i = 0; i < f->n_mons; i++)
        if (strcmp(f->mons[i].name, node) == 0)
            return true;
    return false;
}

static bool has_mgr(const struct ceph_facts *f, const char *node)
{
    for (size_t i = 0; i < f->n_mgrs; i++)
        if (strcmp(f->mgrs[i], node) == 0)
            return true;
    return false;
}

/* Data may be kept on i: the first OSD that is in of its node (or rack). */
static bool is_first_of(const struct ceph_facts *f, size_t i, bool rack)
{
    const struct ceph_node_facts *own = node_named(f, f->osds[i].node);
    if (!f->osds[i].in || !own || (rack && !*f->osds[i].rack))
        return false;
    for (size_t j = 0; j < i; j++) {
        const struct ceph_node_facts *o = node_named(f, f->osds[j].node);
        if (f->osds[j].in && o &&
            (o == own ||
             (rack && strcmp(f->osds[j].rack, f->osds[i].rack) == 0)))
            return false;
    }
    return true;
}

static int count_of(const struct ceph_facts *f, bool rack)
{
    int n = 0;
    for (size_t i = 0; i < f->n_osds; i++)
        n += is_first_of(f, i, rack);
    return n;
}

static int count_osds(const struct ceph_facts *f)
{
    int n = 0;
    for (size_t i = 0; i < f->n_osds; i++)
        n += f->osds[i].in;
    return n;
}

/* ---- monitors and managers --------------------------------------------- */

static size_t mons_wanted(size_t nodes)
{
    return nodes >= 5 ? 5 : nodes >= 3 ? 3 : 1;
}

static size_t mons_answering(const struct ceph_facts *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_mons; i++)
        n += f->mons[i].in_quorum;
    return n;
}

/* The first whose node has left; it goes if more than half of the others
 * answer. */
static bool plan_removal(struct plan *p)
{
    const struct ceph_facts *f = p->f;
    for (size_t i = 0; i < f->n_mons; i++) {
        const struct ceph_mon_facts *m = &f->mons[i];
        size_t answer = mons_answering(f) - m->in_quorum;
        if (node_named(f, m->name) || f->n_mons < 2)
            continue;
        if (answer * 2 > f->n_mons - 1)
            add(p, CEPH_REMOVE_MON, m->name);
        return true;
    }
    return false;
}

/* One at a time, and only towards an odd number that can be reached. */
static void plan_mons(struct plan *p)
{
    const struct ceph_facts *f = p->f;
    size_t could = f->n_mons;
    const struct ceph_node_facts *next = NULL;
    if (plan_removal(p))
        return;
    for (size_t i = f->n_nodes; i-- > 0;)
        if (f->nodes[i].live && !has_mon(f, f->nodes[i].name)) {
            next = &f->nodes[i];
            could++;
        }
    if (next && mons_wanted(could) > f->n_mons &&
        mons_answering(f) == f->n_mons)
        add(p, CEPH_ADD_MON, next->name);
}

/* One that works and one that waits, beside the monitors first.  The first of
 * the list works: of too many the last goes. */
static void plan_mgrs(struct plan *p)
{
    const struct ceph_facts *f = p->f;
    if (f->n_mgrs > MGRS)
        add(p, CEPH_REMOVE_MGR, f->mgrs[f->n_mgrs - 1]);
    for (int with = 1; with >= 0 && f->n_mgrs < MGRS; with--)
        for (size_t i = 0; i < f->n_nodes; i++) {
            const struct ceph_node_facts *n = &f->nodes[i];
            if (!n->live || has_mgr(f, n->name) ||
                has_mon(f, n->name) != (with == 1))
                continue;
            add(p, CEPH_ADD_MGR, n->name);
            return;
        }
}

static void plan_osds(struct plan *p)
{
    for (size_t i = 0; i < p->f->n_nodes; i++)
        if (p->f->nodes[i].live && p->f->nodes[i].free_disks > 0 &&
            p->n < CEPH_STEPS_MAX / 2)
            add(p, CEPH_ADD_OSDS, p->f->nodes[i].name);
}

/* ---- the pool ---------------------------------------------------------- */

int ceph_plan_domains(const struct ceph_facts *f, enum ceph_domain domain)
{
    return domain == CEPH_BY_OSD ? count_osds(f)
                                 : count_of(f, domain == CEPH_BY_RACK);
}

/* How data should be kept on these OSDs. */
static struct ceph_step ceph_plan_copies(const struct ceph_facts *f)
{
    int osds = count_osds(f), hosts = count_of(f, false);
    struct ceph_step s = { .domain = CEPH_BY_OSD, .size = 1, .min_size = 1 };
    if (osds >= 2)
        s.size = 2;
    if (hosts >= 2)
        s.domain = CEPH_BY_HOST;
    if (hosts >= 3) {
        s.size = 3;
        s.min_size = 2;
        s.domain = count_of(f, true) >= 3 ? CEPH_BY_RACK : CEPH_BY_HOST;
    }
    return s;
}

static const struct ceph_pool_facts *own_pool(const struct ceph_facts *f)
{
    for (size_t i = 0; i < f->n_pools; i++)
        if (strcmp(f->pools[i].name, f->pool) == 0)
            return &f->pools[i];
    return NULL;
}

static void add_copies(struct plan *p, enum ceph_step_kind kind,
                       const struct ceph_step *copies)
{
    struct ceph_step *s = add(p, kind, "");
    s->domain = copies->domain;
    s->size = copies->size;
    s->min_size = copies->min_size;
}

/* Copies are spread wider and added, never the other way; what must be
 * written grows when it is there. */
static void plan_growth(struct plan *p, const struct ceph_pool_facts *pool,
                        const struct ceph_step *want)
{
    if (!pool->ready)
        add_copies(p, CEPH_READY_POOL, want);
    if (want->domain > pool->domain)
        add_copies(p, CEPH_SET_RULE, want);
    if (want->size > pool->size)
        add_copies(p, CEPH_SET_SIZE, want);
    if (want->min_size > pool->min_size && pool->size >= want->size &&
        p->f->clean)
        add_copies(p, CEPH_SET_MINIMUM, want);
}

static void plan_pool(struct plan *p)
{
    const struct ceph_pool_facts *pool = own_pool(p->f);
    struct ceph_step want = ceph_plan_copies(p->f);
    if (!count_osds(p->f))
        return;
    bool wider = !pool || want.domain > pool->domain;
    if (wider && !p->f->rules[want.domain])
        add_copies(p, CEPH_ADD_RULE, &want);
    if (pool)
        plan_growth(p, pool, &want);
    else
        add_copies(p, CEPH_ADD_POOL, &want);
}

/* ---- all together ------------------------------------------------------ */

/* Where there is a disk, else the first that answers. */
static void plan_founding(struct plan *p)
{
    const struct ceph_node_facts *first = NULL;
    for (size_t i = 0; i < p->f->n_nodes; i++) {
        const struct ceph_node_facts *n = &p->f->nodes[i];
        if (n->live && (!first || (!first->free_disks && n->free_disks)))
            first = n;
    }
    if (first)
        add(p, CEPH_FOUND, first->name);
}

size_t ceph_plan(const struct ceph_facts *facts,
                 struct ceph_step steps[CEPH_STEPS_MAX])
{
    struct plan p = { facts, steps, 0 };
    if (!facts->founded) {
        plan_founding(&p);
        return p.n;
    }
    plan_mons(&p);
    plan_mgrs(&p);
    plan_osds(&p);
    plan_pool(&p);
    return p.n;
}

const char *ceph_step_name(enum ceph_step_kind kind)
{
    static const char *const names[] = {
        "found",      "add-mon",  "remove-mon", "add-mgr",
        "remove-mgr", "add-osds", "add-rule",   "add-pool",
        "ready-pool", "set-rule", "set-size",   "set-minimum",
    };
    return names[kind];
}

const char *ceph_rule_name(enum ceph_domain domain)
{
    static const char *const names[] = { "cairn-osd", "cairn-host",
                                         "cairn-rack" };
    return names[domain];
}

const char *ceph_domain_type(enum ceph_domain domain)
{
    static const char *const names[] = { "osd", "host", "rack" };
    return names[domain];
}
