#include "clients.h"

#include "asks.h"

#include "common/alloc.h"
#include "core.h"
#include "look.h"
#include "model/compute.h"
#include "model/network.h"
#include "model/volume.h"
#include "rest-api/route.h"
#include "sim_node.h"

#include <string.h>

#define IN_FLIGHT_MAX 5
#define TOKEN_US      (1800 * SECOND_US) /* then a new one; it lives 3600 */

/* What was answered about one thing. */
struct memory {
    struct memory *next;
    const struct kind *kind;
    char id[80];
    unsigned long made; /* the answer that said so; 0: none has */
    bool leaving;       /* somebody asked for its end */
    bool gone;          /* and was told that it is done */
};

struct clients {
    struct world *w;
    char *tokens[N_WHO];
    int64_t token_at[N_WHO]; /* made */
    bool logging_in[N_WHO];
    size_t in_flight;
    unsigned long calls, answers;
    int64_t newest; /* revision of what was answered */
    struct memory *memory;
};

/* ---- tokens -------------------------------------------------------------- */

static void keep_token(struct world *w, struct call *c)
{
    enum who who = c->headers[0].value[0] == 'a' ? ADMIN : DEMO;
    struct clients *cs = w->clients;
    cs->logging_in[who] = false;
    for (size_t i = 0; i < c->req.resp.headers.n; i++)
        if (strcmp(c->req.resp.headers.v[i].name, "X-Subject-Token") == 0) {
            free(cs->tokens[who]);
            cs->tokens[who] = xstrdup(c->req.resp.headers.v[i].value);
            cs->token_at[who] = w->time;
        }
}

static bool login(struct clients *cs, struct make *m, enum who who)
{
    const char *name = who == ADMIN ? "admin" : "demo";
    m->c->name = "login";
    m->c->token = NULL;
    m->c->then = keep_token;
    m->c->headers[0] = (struct param){ "X-Sim-Who", name };
    cs->logging_in[who] = true;
    return ask(
        m, "POST", "/identity/v3/auth/tokens",
        ask_text(m,
                 "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
                 " \"password\": {\"user\": {\"name\": \"%s\", \"password\":"
                 " \"%s\", \"domain\": {\"id\": \"default\"}}}}, \"scope\":"
                 " {\"project\": {\"name\": \"%s\", \"domain\":"
                 " {\"id\": \"default\"}}}}}",
                 name, who == ADMIN ? SIM_ADMIN_PASSWORD : SIM_DEMO_PASSWORD,
                 name));
}

/* ---- the table ----------------------------------------------------------- */

static const struct ask_row *const tables[] = {
    asks_identity,
    asks_network,
    asks_image,
    asks_compute,
    asks_volume,
    asks_bad,
    /* of more nodes than one */
    asks_pool,
    asks_node,
};
#define OF_A_POOL 2

static size_t n_tables(const struct world *w)
{
    return ARRAY_SIZE(tables) - (world_is_pool(w) ? 0 : OF_A_POOL);
}

static const struct ask_row *some_row(struct world *w)
{
    int all = 0;
    for (size_t i = 0; i < n_tables(w); i++)
        for (const struct ask_row *row = tables[i]; row->name; row++)
            all += row->weight;
    int pick = (int)chance(w, (uint64_t)all);
    for (size_t i = 0; i < n_tables(w); i++)
        for (const struct ask_row *row = tables[i]; row->name; row++)
            if ((pick -= row->weight) < 0)
                return row;
    abort(); /* chance() is below the sum */
}

/* ---- making a call ------------------------------------------------------- */

/* Is the service of this path built? */
static bool is_served(const char *path)
{
    for (size_t i = 0; api_services[i]; i++) {
        size_t n = strlen(api_services[i]->prefix);
        if (n && strncmp(path, api_services[i]->prefix, n) == 0)
            return true;
    }
    return false;
}

static struct memory *remembered(struct clients *cs, const struct kind *kind,
                                 const char *id)
{
    struct memory *m = cs->memory;
    while (m && (m->kind != kind || strcmp(m->id, id) != 0))
        m = m->next;
    return m;
}

static void remember(struct clients *cs, const struct kind *kind,
                     const char *id)
{
    if (remembered(cs, kind, id))
        return;
    struct memory *m = xcalloc(1, sizeof(*m));
    m->kind = kind;
    snprintf(m->id, sizeof(m->id), "%s", id);
    m->next = cs->memory;
    cs->memory = m;
}

static void submit(struct clients *cs, struct face *face, struct call *c)
{
    if (c->gone_id) { /* its making may not have been answered yet */
        remember(cs, c->kind, c->gone_id);
        remembered(cs, c->kind, c->gone_id)->leaving = true;
    }
    c->number = ++cs->calls;
    c->answers = cs->answers;
    c->newest = cs->newest;
    cs->w->stats.calls++;
    cs->in_flight++;
    world_event(cs->w, "call %lu %s: %s %s %.80s", c->number, c->name,
                c->method, c->path, c->body ? c->body : "");
    face_submit(face, c);
}

static bool needs_login(struct clients *cs, enum who who)
{
    return !cs->logging_in[who] &&
           (!cs->tokens[who] || cs->w->time - cs->token_at[who] > TOKEN_US);
}

/* A call by this row, or NULL if it has nothing to act on. */
static struct call *make_call(struct clients *cs, const struct ask_row *row,
                              enum who who)
{
    _autosnap_ struct snapshot *s = cache_snapshot(cs->w->truth);
    struct call *c = call_new();
    struct make m = { cs->w, s, c, who };
    c->name = row->name;
    c->token =
        cs->tokens[who] ? arena_strdup(&c->arena, cs->tokens[who]) : NULL;
    if (row->make(&m) && is_served(c->path))
        return c;
    call_free(c);
    return NULL;
}

static bool login_if_needed(struct clients *cs, struct face *face)
{
    for (int who = 0; who < N_WHO; who++) {
        if (!needs_login(cs, (enum who)who))
            continue;
        struct make m = { cs->w, NULL, call_new(), (enum who)who };
        login(cs, &m, (enum who)who);
        submit(cs, face, m.c);
        return true;
    }
    return false;
}

bool clients_call(struct clients *cs, struct face *face)
{
    struct call *c = NULL;
    if (!face || cs->in_flight >= IN_FLIGHT_MAX)
        return false;
    if (login_if_needed(cs, face))
        return true;
    if (!cs->tokens[ADMIN] || !cs->tokens[DEMO] || chance_percent(cs->w, 50))
        return false;
    for (int i = 0; i < 8 && !c; i++) {
        const struct ask_row *row = some_row(cs->w);
        enum who who = row->admin || chance_percent(cs->w, 25) ? ADMIN : DEMO;
        c = make_call(cs, row, who);
    }
    if (c)
        submit(cs, face, c);
    return c != NULL;
}

bool clients_idle(struct clients *cs)
{
    return cs->in_flight == 0;
}

/* ---- tidying up ---------------------------------------------------------- */

static bool tidy_one(struct make *m, const struct kind *kind, const char *path)
{
    struct look l = { m->w, m->s, 0 };
    struct snap_iter it = snap_all(m->s, kind);
    const struct record *r = snap_next(&it);
    while (r && look_may_be_left(&l, r))
        r = snap_next(&it);
    return r && ask_end(m, kind, path, ask_text(m, "%s", r->id));
}

static bool tidy_interface(struct make *m)
{
    struct snap_iter it = snap_all(m->s, &kind_port);
    for (const struct port *p; (p = snap_next(&it));)
        if (p->device_owner && !strcmp(p->device_owner, OWNER_ROUTER))
            return ask(m, "PUT",
                       ask_text(m, NET "/routers/%s/remove_router_interface",
                                p->device_id),
                       ask_text(m, "{\"port_id\": \"%s\"}", p->rec.id));
    return false;
}

/* Once stuck, a server is asked to leave again: locked ones by an admin. */
static bool tidy(struct make *m)
{
    static const struct {
        const struct kind *kind;
        const char *path;
    } order[] = {
        { &kind_server, NOVA "/servers" },
        { &kind_snapshot, VOL "/snapshots" },
        { &kind_volume, VOL "/volumes" },
        { &kind_floating_ip, NET "/floatingips" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        if (is_served(order[i].path) &&
            tidy_one(m, order[i].kind, order[i].path))
            return true;
    return tidy_interface(m) || tidy_one(m, &kind_router, NET "/routers");
}

/* The first that is up. */
static struct face *some_face(struct world *w)
{
    for (unsigned i = 0; i < w->n_nodes; i++)
        if (w->nodes[i].face)
            return w->nodes[i].face;
    return NULL;
}

bool clients_tidy(struct clients *cs)
{
    static const struct ask_row row = { "tidy", 0, ADM, tidy };
    struct face *face = some_face(cs->w);
    if (!face || login_if_needed(cs, face))
        return true;
    struct call *c = make_call(cs, &row, ADMIN);
    if (c)
        submit(cs, face, c);
    return c != NULL;
}

/* ---- answers ------------------------------------------------------------- */

static const char *text_at(const json_t *json, const char *path)
{
    char name[64];
    while (json && *path) {
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)n, path);
        json = json_object_get(json, name);
        path += n + (path[n] == '.');
    }
    return json_string_value(json);
}

static void learn_new(struct clients *cs, const struct call *c, const char *id)
{
    _autosnap_ struct snapshot *s = cache_snapshot(cs->w->truth);
    remember(cs, c->kind, id);
    struct memory *m = remembered(cs, c->kind, id);
    m->made = m->made ? m->made : cs->answers;
    if (snap_get(s, c->kind, id) && !call_sees(c, c->kind, id))
        world_broken(cs->w,
                     "own writes are read: call %lu %s has made %s %s, the "
                     "face that says so does not know it",
                     c->number, c->name, c->kind->name, id);
}

static void learn(struct clients *cs, struct call *c, const json_t *json)
{
    if (c->id_path) {
        const char *id = text_at(json, c->id_path);
        if (id)
            learn_new(cs, c, id);
        else
            world_broken(cs->w, "call %lu %s: the answer has no %s", c->number,
                         c->name, c->id_path);
    }
    struct memory *m = c->gone_id ? remembered(cs, c->kind, c->gone_id) : NULL;
    if (m)
        m->gone = true;
}

/* What no answer may do, whatever was asked. */
static void check_answer(struct clients *cs, struct call *c, const json_t *json)
{
    const struct http_response *h = &c->req.resp;
    struct world *w = cs->w;
    bool login = strcmp(c->name, "login") == 0;
    if (h->status < 200 || (h->status >= 500 && h->status != 503 &&
                            h->status != 501 && h->status != 504))
        world_broken(w, "call %lu %s answers %d: %.300s", c->number, c->name,
                     h->status, buf_str(&h->body));
    if (h->status >= 500 && !w->chaos && c->req.tries == 0 && !c->unknown &&
        h->status == 503)
        world_event(w, "unavailable without chaos");
    if (h->status < 500 && h->status >= 400 && c->wrote &&
        !(c->req.route && c->req.route->flags & ROUTE_STREAM))
        world_broken(w,
                     "bad requests change nothing: call %lu %s answers %d "
                     "and has written",
                     c->number, c->name, h->status);
    if (c->bad && h->status < 400)
        world_broken(w, "call %lu %s should be refused, answers %d", c->number,
                     c->name, h->status);
    if (h->body.len && !json && h->body.data[0] == '{')
        world_broken(w, "call %lu %s: the answer is no JSON: %.200s", c->number,
                     c->name, buf_str(&h->body));
    if (!login && h->body.len &&
        (strstr(h->body.data, "s3cr3t") || strstr(h->body.data, "scrypt$")))
        world_broken(w, "secrets never appear: call %lu %s: %.200s", c->number,
                     c->name, buf_str(&h->body));
}

/* Whoever was answered before, by whatever node, is seen by this one. */
static void check_current(struct clients *cs, const struct call *c)
{
    int64_t seen = snapshot_revision(c->req.snap);
    _autosnap_ struct snapshot *truth = cache_snapshot(cs->w->truth);
    const struct memory *m =
        c->shown_id ? remembered(cs, c->kind, c->shown_id) : NULL;
    if (c->current && seen < c->newest)
        world_broken(cs->w,
                     "own writes are read through any node: call %lu %s saw "
                     "revision %lld, %lld was answered before it",
                     c->number, c->name, (long long)seen, (long long)c->newest);
    if (c->req.resp.status == 404 && c->req.auth.is_admin && m && m->made &&
        m->made <= c->answers && !m->leaving && snap_get(truth, m->kind, m->id))
        world_broken(cs->w,
                     "what was made is not denied: call %lu %s does not know "
                     "%s %s",
                     c->number, c->name, m->kind->name, m->id);
    if (c->req.resp.status < 400 && !c->alone && !c->asked)
        world_broken(cs->w, "call %lu %s was answered unasked", c->number,
                     c->name);
}

static void keep_newest(struct clients *cs, const struct call *c)
{
    cs->answers++;
    if (c->wrote && c->result.revision > cs->newest)
        cs->newest = c->result.revision;
}

void clients_answer(struct clients *cs, struct call *c)
{
    const struct http_response *h = &c->req.resp;
    _autojson_ json_t *json =
        h->body.len ? json_loadb(h->body.data, h->body.len, 0, NULL) : NULL;
    cs->in_flight--;
    world_event(cs->w, "call %lu %s -> %d %.100s", c->number, c->name,
                h->status, h->status >= 400 ? buf_str(&h->body) : "");
    check_answer(cs, c, json);
    check_current(cs, c);
    keep_newest(cs, c);
    if (h->status < 300)
        learn(cs, c, json);
    if (c->then)
        c->then(cs->w, c);
}

void clients_lost(struct clients *cs, struct call *c)
{
    cs->in_flight--;
    world_event(cs->w, "call %lu %s: no answer", c->number, c->name);
    if (c->then == keep_token)
        cs->logging_in[c->headers[0].value[0] == 'a' ? ADMIN : DEMO] = false;
}

/* ---- what was answered is there ------------------------------------------ */

/* Things that go with others: nobody needs to have asked for their end. */
static bool goes_with_others(const struct kind *kind)
{
    return kind == &kind_port || kind == &kind_security_group_rule ||
           kind == &kind_app_credential || kind == &kind_security_group ||
           kind == &kind_volume || kind == &kind_subnet ||
           kind == &kind_assignment;
}

void clients_check(struct clients *cs, struct look *l)
{
    for (struct memory *m = cs->memory; m; m = m->next) {
        const struct record *r = snap_get(l->s, m->kind, m->id);
        bool there = r != NULL;
        if (!there && !m->leaving && !goes_with_others(m->kind))
            world_broken(cs->w, "no lost record: %s %s was answered, is gone",
                         m->kind->name, m->id);
        if (there && look_may_be_left(l, r))
            continue;
        if (there && m->gone && m->kind != &kind_image &&
            m->kind != &kind_volume && m->kind != &kind_snapshot)
            world_broken(cs->w, "%s %s was deleted, is there", m->kind->name,
                         m->id);
    }
}

/* ---- life ---------------------------------------------------------------- */

struct clients *clients_new(struct world *w)
{
    struct clients *cs = xcalloc(1, sizeof(*cs));
    cs->w = w;
    return cs;
}

void clients_free(struct clients *cs)
{
    for (struct memory *m; (m = cs->memory);) {
        cs->memory = m->next;
        free(m);
    }
    for (int i = 0; i < N_WHO; i++)
        free(cs->tokens[i]);
    free(cs);
}
