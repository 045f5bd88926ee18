#include "openstack-compat/identity/grants.h"

#include <string.h>

#define PROJECT_DEPTH_MAX 32 /* guards against a ring of parents */
#define IMPLIED_MAX       64 /* roles one role may come to */

bool group_has_user(const struct snapshot *s, const char *group_id,
                    const char *user_id)
{
    char id[STORE_KEY_MAX];
    snprintf(id, sizeof(id), "%s/%s", group_id, user_id);
    return snap_get(s, &kind_group_member, id) != NULL;
}

bool project_is_below(const struct snapshot *s, const char *above,
                      const struct project *below)
{
    const struct project *p = below;
    for (int i = 0; p && p->parent_id && i < PROJECT_DEPTH_MAX; i++) {
        if (strcmp(p->parent_id, above) == 0)
            return true;
        p = snap_get(s, &kind_project, p->parent_id);
    }
    return false;
}

static bool inherits(const struct snapshot *s, const struct assignment *a,
                     const struct project *p)
{
    if (a->target_type == TARGET_DOMAIN)
        return strcmp(p->domain_id, a->target_id) == 0;
    return project_is_below(s, a->target_id, p);
}

/* Does the assignment hold on this target (its own one or below it)? */
static bool assignment_covers(const struct snapshot *s,
                              const struct assignment *a, int target_type,
                              const char *target_id)
{
    if (!a->inherited)
        return a->target_type == target_type &&
               strcmp(a->target_id, target_id) == 0;
    const struct project *p = target_type == TARGET_PROJECT
                                  ? snap_get(s, &kind_project, target_id)
                                  : NULL;
    return p && inherits(s, a, p);
}

/* ---- implied roles ----------------------------------------------------- */

struct implied {
    const char *role[IMPLIED_MAX], *prior[IMPLIED_MAX];
    size_t n;
};

static void implied_add(struct implied *set, const char *role,
                        const char *prior)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->role[i], role) == 0)
            return;
    if (set->n == IMPLIED_MAX)
        return;
    set->role[set->n] = role;
    set->prior[set->n++] = prior;
}

bool roles_implied(const struct snapshot *s, const char *role_id,
                   implied_fn *fn, void *arg)
{
    struct implied set = { .n = 0 };
    implied_add(&set, role_id, NULL);
    for (size_t i = 0; i < set.n; i++) {
        struct snap_iter it =
            snap_by(s, &kind_role_inference, "prior_id", set.role[i]);
        for (const struct role_inference *x; (x = snap_next(&it));)
            implied_add(&set, x->implied_id, x->prior_id);
        if (!fn(arg, set.role[i], set.prior[i]))
            return false;
    }
    return true;
}

/* ---- every grant ------------------------------------------------------- */

struct walk {
    const struct snapshot *s;
    grant_fn *fn;
    void *arg;
    struct grant g;
};

static bool walk_role(void *arg, const char *role_id, const char *prior_id)
{
    struct walk *w = arg;
    w->g.role_id = role_id;
    w->g.prior_id = prior_id;
    return w->fn(w->arg, &w->g);
}

static bool walk_target(struct walk *w, int type, const char *id)
{
    w->g.target_type = type;
    w->g.target_id = id;
    return roles_implied(w->s, w->g.from->role_id, walk_role, w);
}

static bool walk_targets(struct walk *w)
{
    const struct assignment *a = w->g.from;
    w->g.by_inheritance = a->inherited;
    if (!a->inherited)
        return walk_target(w, a->target_type, a->target_id);
    struct snap_iter it = snap_all(w->s, &kind_project);
    for (const struct project *p; (p = snap_next(&it));)
        if (inherits(w->s, a, p) && !walk_target(w, TARGET_PROJECT, p->rec.id))
            return false;
    return true;
}

static bool walk_actors(struct walk *w, const char *only)
{
    const struct assignment *a = w->g.from;
    w->g.user_id = a->actor_id;
    w->g.group_id = NULL;
    if (a->actor_type == ACTOR_USER)
        return (only && strcmp(only, a->actor_id) != 0) || walk_targets(w);
    w->g.group_id = a->actor_id;
    struct snap_iter it =
        snap_by(w->s, &kind_group_member, "group_id", a->actor_id);
    for (const struct group_member *m; (m = snap_next(&it));) {
        if (only && strcmp(only, m->user_id) != 0)
            continue;
        w->g.user_id = m->user_id;
        if (!walk_targets(w))
            return false;
    }
    return true;
}

/* The assignments of one actor. */
static bool walk_of(struct walk *w, const char *actor_id, const char *user_id)
{
    struct snap_iter it = snap_by(w->s, &kind_assignment, "actor_id", actor_id);
    while ((w->g.from = snap_next(&it)))
        if (!walk_actors(w, user_id))
            return false;
    return true;
}

void grants_each(const struct snapshot *s, const char *user_id, grant_fn *fn,
                 void *arg)
{
    struct walk w = { .s = s, .fn = fn, .arg = arg };
    if (!user_id) {
        struct snap_iter it = snap_all(s, &kind_assignment);
        while ((w.g.from = snap_next(&it)))
            if (!walk_actors(&w, NULL))
                return;
        return;
    }
    if (!walk_of(&w, user_id, user_id))
        return;
    struct snap_iter it = snap_by(s, &kind_group_member, "user_id", user_id);
    for (const struct group_member *m; (m = snap_next(&it));)
        if (!walk_of(&w, m->group_id, user_id))
            return;
}

/* ---- one user on one target -------------------------------------------- */

static bool actor_covers(const struct snapshot *s, const char *actor_id,
                         int target_type, const char *target_id)
{
    struct snap_iter it = snap_by(s, &kind_assignment, "actor_id", actor_id);
    for (const struct assignment *a; (a = snap_next(&it));)
        if (assignment_covers(s, a, target_type, target_id))
            return true;
    return false;
}

bool grants_any(const struct snapshot *s, const char *user_id, int target_type,
                const char *target_id)
{
    if (actor_covers(s, user_id, target_type, target_id))
        return true;
    struct snap_iter it = snap_by(s, &kind_group_member, "user_id", user_id);
    for (const struct group_member *m; (m = snap_next(&it));)
        if (actor_covers(s, m->group_id, target_type, target_id))
            return true;
    return false;
}
