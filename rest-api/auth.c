#include "rest-api/auth.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX  64 /* of one user that count */
#define PARENTS_MAX 16 /* depth of a tree of projects */
#define SLOTS       1024
#define STRIPES     64

/* ---- what is there and enabled ----------------------------------------- */

static const struct domain *auth_domain(const struct snapshot *snap,
                                        const char *id)
{
    const struct domain *d = snap_get(snap, &kind_domain, id);
    return d && d->enabled ? d : NULL;
}

const struct user *auth_user(const struct snapshot *snap, const char *id)
{
    const struct user *u = snap_get(snap, &kind_user, id);
    return u && u->enabled && auth_domain(snap, u->domain_id) ? u : NULL;
}

static const struct project *auth_project(const struct snapshot *snap,
                                          const char *id)
{
    const struct project *p = snap_get(snap, &kind_project, id);
    return p && p->enabled && auth_domain(snap, p->domain_id) ? p : NULL;
}

/* ---- roles ------------------------------------------------------------- */

static void role_add(struct arena *a, struct strs *ids, const char *id)
{
    if (!id || strs_has(ids, id))
        return;
    if ((ids->n & (ids->n - 1)) == 0) { /* full: 0, 1, 2, 4 ... */
        const char **v = arena_alloc(a, (ids->n ? 2 * ids->n : 1) * sizeof(*v));
        if (ids->n)
            memcpy(v, ids->v, ids->n * sizeof(*v));
        ids->v = v;
    }
    ids->v[ids->n++] = arena_strdup(a, id);
}

/* Where a role may have been given so that it holds in the scope. */
struct targets {
    int type; /* enum target_type of the scope itself */
    const char *id;
    const char *domain_id; /* of a project */
    const char *parents[PARENTS_MAX];
    size_t n_parents;
};

static bool targets_init(struct targets *t, const struct snapshot *snap,
                         enum scope scope, const char *target)
{
    *t = (struct targets){ .type = TARGET_DOMAIN, .id = target };
    if (scope == SCOPE_SYSTEM) {
        t->type = TARGET_SYSTEM;
        t->id = "all";
    }
    if (scope != SCOPE_PROJECT)
        return scope != SCOPE_NONE && t->id;
    const struct project *p = snap_get(snap, &kind_project, target);
    if (!p)
        return false;
    t->type = TARGET_PROJECT;
    t->domain_id = p->domain_id;
    while (t->n_parents < PARENTS_MAX &&
           (p = snap_get(snap, &kind_project, p->parent_id)))
        t->parents[t->n_parents++] = p->rec.id;
    return true;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static bool holds(const struct assignment *as, const struct targets *t)
{
    if (!as->inherited)
        return as->target_type == t->type && same(as->target_id, t->id);
    if (t->type != TARGET_PROJECT)
        return false;
    if (as->target_type == TARGET_DOMAIN)
        return same(as->target_id, t->domain_id);
    for (size_t i = 0; i < t->n_parents; i++)
        if (as->target_type == TARGET_PROJECT &&
            same(as->target_id, t->parents[i]))
            return true;
    return false;
}

static void roles_of_actor(const struct snapshot *snap, int type,
                           const char *id, const struct targets *t,
                           struct arena *a, struct strs *ids)
{
    const struct assignment *as;
    struct snap_iter it = snap_by(snap, &kind_assignment, "actor_id", id);
    while ((as = snap_next(&it)))
        if (as->actor_type == type && holds(as, t))
            role_add(a, ids, as->role_id);
}

/* Adds what the given roles imply, and theirs. */
static void auth_imply(const struct snapshot *snap, struct arena *a,
                       struct strs *role_ids)
{
    /* role_ids grows while it is walked: that is the closure. */
    for (size_t i = 0; i < role_ids->n; i++) {
        const struct role_inference *ri;
        struct snap_iter it =
            snap_by(snap, &kind_role_inference, "prior_id", role_ids->v[i]);
        while ((ri = snap_next(&it)))
            role_add(a, role_ids, ri->implied_id);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Roles of a domain only stand for what they imply; roles that are gone do
 * not count. */
static void keep_global(const struct snapshot *snap, struct strs *ids)
{
    size_t n = 0;
    for (size_t i = 0; i < ids->n; i++) {
        const struct role *r = snap_get(snap, &kind_role, ids->v[i]);
        if (r && !r->domain_id)
            ids->v[n++] = ids->v[i];
    }
    ids->n = n;
    if (n)
        qsort(ids->v, n, sizeof(*ids->v), by_text);
}

bool auth_roles(const struct snapshot *snap, const char *user_id,
                enum scope scope, const char *target, struct arena *a,
                struct strs *role_ids)
{
    struct targets t;
    *role_ids = (struct strs){ 0 };
    if (!user_id || !targets_init(&t, snap, scope, target))
        return false;
    roles_of_actor(snap, ACTOR_USER, user_id, &t, a, role_ids);
    const struct group_member *m;
    size_t groups = 0;
    struct snap_iter it = snap_by(snap, &kind_group_member, "user_id", user_id);
    while ((m = snap_next(&it)) && groups++ < GROUPS_MAX)
        roles_of_actor(snap, ACTOR_GROUP, m->group_id, &t, a, role_ids);
    auth_imply(snap, a, role_ids);
    keep_global(snap, role_ids);
    return role_ids->n > 0;
}

/* ---- a token against the snapshot -------------------------------------- */

static const char *or_null(struct arena *a, const char *s)
{
    return *s ? arena_strdup(a, s) : NULL;
}

static bool fill_user(const struct snapshot *snap, const struct token *t,
                      struct arena *a, struct auth *out)
{
    const struct user *u = auth_user(snap, t->user_id);
    if (!u || t->issued < u->tokens_not_before ||
        snap_get(snap, &kind_revocation, t->audit_id))
        return false;
    out->user_id = arena_strdup(a, t->user_id);
    out->user_domain_id = arena_strdup(a, u->domain_id);
    out->methods = t->methods;
    out->issued = t->issued;
    out->expires = t->expires;
    out->audit_id = or_null(a, t->audit_id);
    out->parent_audit_id = or_null(a, t->parent_audit_id);
    return true;
}

static bool fill_scope(const struct snapshot *snap, const struct token *t,
                       struct arena *a, struct auth *out)
{
    const struct project *p = NULL;
    out->scope = t->scope;
    switch (t->scope) {
    case SCOPE_PROJECT:
        p = auth_project(snap, t->scope_id);
        if (!p)
            return false;
        out->project_id = arena_strdup(a, p->rec.id);
        out->project_domain_id = arena_strdup(a, p->domain_id);
        return true;
    case SCOPE_DOMAIN:
        out->domain_id = or_null(a, t->scope_id);
        return auth_domain(snap, t->scope_id) != NULL;
    default:
        return t->scope == SCOPE_NONE || t->scope == SCOPE_SYSTEM;
    }
}

/* A credential gives no role that its user has lost meanwhile. */
static bool limit_roles(const struct snapshot *snap, const struct token *t,
                        int64_t now, struct arena *a, struct auth *out)
{
    if (!t->app_credential_id[0])
        return true;
    const struct app_credential *c =
        snap_get(snap, &kind_app_credential, t->app_credential_id);
    if (!c || !same(c->user_id, t->user_id) ||
        !same(c->project_id, out->project_id) ||
        (c->expires && c->expires <= now))
        return false;
    struct strs given = { 0 };
    for (size_t i = 0; i < c->role_ids.n; i++)
        role_add(a, &given, c->role_ids.v[i]);
    auth_imply(snap, a, &given);
    size_t n = 0;
    for (size_t i = 0; i < out->role_ids.n; i++)
        if (strs_has(&given, out->role_ids.v[i]))
            out->role_ids.v[n++] = out->role_ids.v[i];
    out->role_ids.n = n;
    out->app_credential_id = arena_strdup(a, c->rec.id);
    if (c->expires && c->expires < out->expires)
        out->expires = c->expires;
    return n > 0;
}

static void name_roles(const struct snapshot *snap, struct auth *out)
{
    for (size_t i = 0; i < out->role_ids.n; i++) {
        const struct role *r = snap_get(snap, &kind_role, out->role_ids.v[i]);
        out->is_admin |= same(r->name, "admin");
        out->is_member |= same(r->name, "member");
        out->is_reader |= same(r->name, "reader");
    }
    out->is_member |= out->is_admin;
    out->is_reader |= out->is_member;
}

bool auth_of_token(const struct snapshot *snap, const struct token *t,
                   int64_t now, struct arena *a, struct auth *out,
                   struct error *err)
{
    *out = (struct auth){ 0 };
    out->valid = fill_user(snap, t, a, out) && fill_scope(snap, t, a, out) &&
                 (t->scope == SCOPE_NONE ||
                  auth_roles(snap, t->user_id, (enum scope)t->scope,
                             t->scope_id, a, &out->role_ids)) &&
                 limit_roles(snap, t, now, a, out) && now < out->expires;
    if (out->valid) {
        name_roles(snap, out);
        return true;
    }
    *out = (struct auth){ 0 };
    return error_set(err, ERR_UNAUTHENTICATED,
                     "The request you have made requires authentication.");
}

void auth_new_token(const struct env *env, const char *user_id,
                    enum scope scope, const char *target, int64_t lifetime_us,
                    struct token *out)
{
    int64_t now = env_now(env);
    *out = (struct token){
        .scope = scope,
        .issued = now,
        .expires = now + lifetime_us,
    };
    strncpy(out->user_id, user_id, TOKEN_ID_MAX);
    strncpy(out->scope_id, target ? target : "", TOKEN_ID_MAX);
    token_audit_id(env, out->audit_id);
}

/* ---- memory of what was found ------------------------------------------ */

/* A struct auth with all its strings in one block behind it. */
struct found {
    struct token token;
    int64_t revision; /* of the snapshot it was found in */
    size_t size;      /* of the block */
    struct auth *auth;
};

struct auth_memory {
    struct cache *cache;
    _Atomic int64_t changed; /* newest revision that changed identity */
    pthread_mutex_t locks[STRIPES];
    struct found slots[SLOTS];
};

static void heard(void *arg, const struct record *old, const struct record *now)
{
    struct auth_memory *m = arg;
    int number = (now ? now : old)->kind->number;
    if (number >= KIND_REVOCATION && number <= KIND_APP_CREDENTIAL)
        atomic_store(&m->changed, cache_revision(m->cache));
}

struct auth_memory *auth_memory_new(struct cache *cache)
{
    struct auth_memory *m = xcalloc(1, sizeof(*m));
    m->cache = cache;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&m->locks[i], NULL);
    cache_listen(cache, heard, m);
    return m;
}

void auth_memory_free(struct auth_memory *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(m->slots[i].auth);
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&m->locks[i]);
    free(m);
}

static const size_t auth_strings[] = {
    offsetof(struct auth, user_id),    offsetof(struct auth, user_domain_id),
    offsetof(struct auth, project_id), offsetof(struct auth, project_domain_id),
    offsetof(struct auth, domain_id),  offsetof(struct auth, app_credential_id),
    offsetof(struct auth, audit_id),   offsetof(struct auth, parent_audit_id),
};

static const char **auth_string(struct auth *a, size_t i)
{
    return (const char **)((char *)a + auth_strings[i]);
}

/* Moves the pointers of a block that was copied by `delta` bytes. */
static void relocate(struct auth *a, ptrdiff_t delta)
{
    for (size_t i = 0; i < ARRAY_SIZE(auth_strings); i++) {
        const char **s = auth_string(a, i);
        if (*s)
            *s += delta;
    }
    if (!a->role_ids.n)
        return;
    a->role_ids.v = (const char **)((char *)a->role_ids.v + delta);
    for (size_t i = 0; i < a->role_ids.n; i++)
        a->role_ids.v[i] += delta;
}

static const char *pack_string(char **p, const char *s)
{
    size_t size = strlen(s) + 1;
    char *at = memcpy(*p, s, size);
    *p += size;
    return at;
}

static struct auth *pack(const struct auth *from, size_t *size)
{
    struct auth was = *from;
    size_t roles = was.role_ids.n * sizeof(char *);
    *size = sizeof(was) + roles;
    for (size_t i = 0; i < ARRAY_SIZE(auth_strings); i++)
        if (*auth_string(&was, i))
            *size += strlen(*auth_string(&was, i)) + 1;
    for (size_t i = 0; i < was.role_ids.n; i++)
        *size += strlen(was.role_ids.v[i]) + 1;

    struct auth *a = xmalloc(*size);
    *a = was;
    a->role_ids.v = roles ? (const char **)(a + 1) : NULL;
    char *p = (char *)(a + 1) + roles;
    for (size_t i = 0; i < ARRAY_SIZE(auth_strings); i++)
        if (*auth_string(a, i))
            *auth_string(a, i) = pack_string(&p, *auth_string(a, i));
    for (size_t i = 0; i < was.role_ids.n; i++)
        a->role_ids.v[i] = pack_string(&p, was.role_ids.v[i]);
    return a;
}

/* Audit ids are random: their first characters spread well. */
static size_t slot_of(const struct token *t)
{
    uint64_t v;
    memcpy(&v, t->audit_id, sizeof(v));
    return (size_t)((v * UINT64_C(0x9e3779b97f4a7c15)) >> 54) % SLOTS;
}

static bool recall(struct auth_memory *m, const struct token *t, struct req *r)
{
    size_t slot = slot_of(t);
    struct found *f = &m->slots[slot];
    int64_t changed = atomic_load(&m->changed);
    bool ok = false;
    if (snapshot_revision(r->snap) < changed)
        return false;
    pthread_mutex_lock(&m->locks[slot % STRIPES]);
    if (f->auth && f->revision >= changed && r->now < f->auth->expires &&
        /* Bytes after a text's end may differ: then it is a miss, no more. */
        // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison)
        memcmp(&f->token, t, sizeof(*t)) == 0) {
        struct auth *copy = arena_alloc(&r->arena, f->size);
        memcpy(copy, f->auth, f->size);
        relocate(copy, (char *)copy - (char *)f->auth);
        r->auth = *copy;
        ok = true;
    }
    pthread_mutex_unlock(&m->locks[slot % STRIPES]);
    return ok;
}

static void remember(struct auth_memory *m, const struct token *t,
                     struct req *r)
{
    size_t slot = slot_of(t), size;
    struct auth *made = pack(&r->auth, &size);
    pthread_mutex_lock(&m->locks[slot % STRIPES]);
    struct found *f = &m->slots[slot];
    free(f->auth);
    *f = (struct found){
        .token = *t,
        .revision = snapshot_revision(r->snap),
        .size = size,
        .auth = made,
    };
    pthread_mutex_unlock(&m->locks[slot % STRIPES]);
}

bool auth_request(struct req *r)
{
    struct token t;
    struct auth_memory *m = r->api->auth_memory;
    const char *text = req_header(r, "X-Auth-Token");
    r->auth = (struct auth){ 0 };
    if (!text)
        return true;
    if (!token_open(r->api->tokens, text, r->now, &t, &r->err))
        return false;
    if (m && recall(m, &t, r))
        return true;
    if (!auth_of_token(r->snap, &t, r->now, &r->arena, &r->auth, &r->err))
        return false;
    if (m)
        remember(m, &t, r);
    return true;
}
