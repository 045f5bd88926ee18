#include "face.h"

#include "clients.h"
#include "common/alloc.h"
#include "core.h"
#include "files.h"
#include "openstack-compat/face_rights.h"
#include "rest-api/auth.h"
#include "rest-api/password.h"
#include "rest-api/token.h"
#include "sim_store.h"

#include <string.h>
#include <strings.h>

enum at {
    AT_BEGIN,
    AT_STEP,
    AT_ASKED,
    AT_CONFIRMED,
    AT_STORE,
    AT_CACHE,
    AT_COMMITTED,
    AT_WAIT,
};

struct face {
    struct world *w;
    struct sim_node *n;
    struct sim_end *end;
    struct cache *cache;
    struct confirm *confirm;
    struct api api;
    struct call *calls, **last;
    size_t n_calls;
};

/* ---- a call's HTTP
 * ------------------------------------------------------------ */

static const char *call_header(void *rim, const char *name)
{
    struct call *c = rim;
    for (size_t i = 0; i < CALL_HEADERS; i++)
        if (c->headers[i].name && strcasecmp(c->headers[i].name, name) == 0)
            return c->headers[i].value;
    if (strcasecmp(name, "X-Auth-Token") == 0)
        return c->token;
    if (strcasecmp(name, "Host") == 0)
        return "cairn.test";
    if (strcasecmp(name, "Content-Type") == 0)
        return c->body ? "application/json" : NULL;
    return NULL;
}

static void fill_http(struct call *c)
{
    char *path = arena_strdup(&c->arena, c->path), *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    c->http = (struct http_request){
        .method = c->method,
        .path = path,
        .header = call_header,
        .rim = c,
        .body = c->body,
        .body_len = c->body ? strlen(c->body) : 0,
        .peer = "192.0.2.77",
    };
    http_parse_query(&c->arena, query, &c->http.query);
}

struct call *call_new(void)
{
    return xcalloc(1, sizeof(struct call));
}

void call_free(struct call *c)
{
    if (c->req.api)
        req_free(&c->req);
    arena_free(&c->arena);
    free(c);
}

bool call_sees(const struct call *c, const struct kind *kind, const char *id)
{
    const struct face *f = container_of(c->req.api, struct face, api);
    _autosnap_ struct snapshot *s = cache_snapshot(f->cache);
    return snap_get(s, kind, id) != NULL;
}

/* ---- commits
 * ------------------------------------------------------------------- */

static void in_cache(void *arg)
{
    ((struct call *)arg)->at = AT_COMMITTED;
}

static void answered(void *arg, const struct txn_result *result)
{
    struct call *c = arg;
    struct face *f = container_of(c->req.api, struct face, api);
    c->result = *result;
    c->wrote |= result->status == TXN_COMMITTED;
    c->unknown |= result->status == TXN_UNKNOWN;
    c->at = AT_CACHE;
    if (result->status == TXN_COMMITTED || result->status == TXN_CONFLICT)
        cache_at(f->cache, result->revision, in_cache, c);
    else
        c->at = AT_COMMITTED;
}

/* ---- is the cache current?
 * ------------------------------------------------- */

static void confirmed(struct confirm_wait *w, bool current)
{
    struct call *c = container_of(w, struct call, confirm);
    c->current = current;
    c->at = AT_CONFIRMED;
}

static void confirm(struct face *f, struct call *c)
{
    c->at = AT_ASKED;
    c->asked = true;
    c->confirm.fn = confirmed;
    confirm_ask(f->confirm, &c->confirm);
}

static bool tick(struct face *f)
{
    if (confirm_due(f->confirm) > f->w->time)
        return false;
    confirm_tick(f->confirm);
    return true;
}

/* ---- waits
 * --------------------------------------------------------------------- */

static bool record_changed(struct face *f, const struct wait *wait)
{
    _autosnap_ struct snapshot *s = cache_snapshot(f->cache);
    const struct record *r = snap_get(s, wait->kind, wait->id);
    return !r || r->mod_rev > wait->mod_rev;
}

static void take_body(struct face *f, struct call *c)
{
    struct world *w = f->w;
    struct waited *waited = &c->req.waited;
    int64_t bytes = c->upload_bytes;
    if (!f->n->core || (w->chaos && chance_percent(w, 5))) {
        error_set(&waited->err, ERR_UNAVAILABLE, "simulated: no file to fill");
        return;
    }
    waited->ok = !w->chaos || !chance_percent(w, 10);
    if (!waited->ok) {
        bytes /= 2;
        error_set(&waited->err, ERR_CANCELLED, "simulated: the client is gone");
    }
    files_upload(w->files, f->n, c->req.wait.upload_id, bytes, c->upload);
    world_event(w, "upload %s: %lld bytes", c->req.wait.upload_id,
                (long long)bytes);
    waited->bytes = bytes;
    snprintf(waited->md5, sizeof(waited->md5), "%032d", 7);
    snprintf(waited->sha512, sizeof(waited->sha512), "%0128d", 7);
}

static void do_password(struct face *f, struct req *r)
{
    char hash[PASSWORD_HASH_MAX];
    struct waited *waited = &r->waited;
    if (r->wait.type == WAIT_PASSWORD) {
        waited->ok = password_verify(SIM_PASSWORD_COST, r->wait.password,
                                     r->wait.hash, &waited->err);
        return;
    }
    waited->ok = password_hash(&f->w->env, SIM_PASSWORD_COST, r->wait.password,
                               hash, &waited->err);
    if (waited->ok)
        buf_adds(&waited->text, hash);
}

/* {"id":"<name>"} */
static bool remove_node(struct face *f, struct req *r)
{
    char name[64] = "";
    sscanf(r->wait.json, "{\"id\":\"%63[^\"]", name);
    bool ok = core_remove_node(f->n->core, name, &r->waited.err);
    sim_nodes_removed(f->w);
    return ok;
}

static void do_call(struct face *f, struct req *r)
{
    if (f->n->core && strcmp(r->wait.op, "member.remove") == 0) {
        r->waited.ok = remove_node(f, r);
        return;
    }
    r->waited.ok = f->n->core && !(f->w->chaos && chance_percent(f->w, 10));
    if (r->waited.ok)
        buf_adds(&r->waited.text, "login: ");
    else
        error_set(&r->waited.err, ERR_UNAVAILABLE, "simulated: no core");
}

static bool wait_is_over(struct face *f, struct call *c)
{
    const struct wait *wait = &c->req.wait;
    return wait->type != WAIT_RECORD || record_changed(f, wait) ||
           wait->deadline <= f->w->time;
}

static void do_wait(struct face *f, struct call *c)
{
    struct req *r = &c->req;
    switch (r->wait.type) {
    case WAIT_PASSWORD:
    case WAIT_HASH:
        do_password(f, r);
        break;
    case WAIT_RECORD:
        r->waited.ok = record_changed(f, &r->wait);
        if (!r->waited.ok)
            error_set(&r->waited.err, ERR_TIMEOUT, "did not change in time");
        break;
    case WAIT_BODY:
        take_body(f, c);
        break;
    default:
        do_call(f, r);
    }
    c->at = AT_STEP;
}

/* ---- steps
 * ---------------------------------------------------------------------- */

static void finish(struct face *f, struct call *c)
{
    struct call **at = &f->calls;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    if (!*at)
        f->last = at;
    f->n_calls--;
    f->w->stats.answers++;
    clients_answer(f->w->clients, c);
    call_free(c);
}

static void begin(struct face *f, struct call *c)
{
    enum body_kind body;
    fill_http(c);
    req_init(&c->req, &f->api, &c->http);
    c->alone = snap_count(c->req.snap, &kind_member) < 2;
    if (api_begin(&c->req, &body) && body == BODY_STREAM)
        c->http.body = NULL;
    c->at = AT_STEP;
}

static void step(struct face *f, struct call *c)
{
    struct error err = { 0 };
    switch (api_step(&c->req)) {
    case API_DONE:
        finish(f, c);
        break;
    case API_COMMIT:
        c->at = AT_STORE;
        if (!rights_allow(face_rights, &c->req.txn, &err))
            world_broken(f->w, "the face %s", err.text);
        store_submit(sim_end_store(f->end), &c->req.txn, answered, c);
        break;
    case API_CONFIRM:
        confirm(f, c);
        break;
    case API_WAIT:
        c->at = AT_WAIT;
        break;
    }
}

static bool can_go(struct face *f, struct call *c)
{
    if (c->at == AT_WAIT)
        return wait_is_over(f, c);
    return c->at != AT_ASKED && c->at != AT_STORE && c->at != AT_CACHE;
}

bool face_step_call(struct face *f)
{
    size_t n = 0;
    for (struct call *c = f->calls; c; c = c->next)
        n += can_go(f, c);
    if (tick(f))
        return true;
    if (!n)
        return false;
    size_t pick = chance(f->w, n);
    struct call *c = f->calls;
    while (c && (!can_go(f, c) || pick--))
        c = c->next;
    if (!c)
        return false; /* cannot be: n of them can go */
    switch (c->at) {
    case AT_BEGIN:
        begin(f, c);
        break;
    case AT_CONFIRMED:
        api_confirmed(&c->req, c->current, confirm_age(f->confirm));
        c->at = AT_STEP;
        break;
    case AT_COMMITTED:
        api_committed(&c->req, &c->result);
        c->at = AT_STEP;
        break;
    case AT_WAIT:
        do_wait(f, c);
        break;
    default:
        step(f, c);
    }
    return true;
}

bool face_take(struct face *f)
{
    return !(sim_node_cut(f->n) & CUT_STORE) && sim_end_take(f->end);
}

bool face_hear(struct face *f)
{
    if (sim_node_cut(f->n) & CUT_STORE)
        return false;
    if (f->w->chaos && chance_permille(f->w, 3))
        sim_end_lose(f->end);
    if (chance_percent(f->w, 50) && cache_relist(f->cache))
        return true;
    return sim_end_deliver(f->end) || cache_relist(f->cache);
}

bool face_busy(const struct face *f)
{
    return f->calls || sim_end_waiting(f->end) || sim_end_sent(f->end);
}

int64_t face_due(struct face *f)
{
    int64_t due = confirm_due(f->confirm);
    for (struct call *c = f->calls; c; c = c->next)
        if (c->at == AT_WAIT && c->req.wait.type == WAIT_RECORD &&
            c->req.wait.deadline < due)
            due = c->req.wait.deadline;
    return due;
}

void face_submit(struct face *f, struct call *c)
{
    c->next = NULL;
    c->at = AT_BEGIN;
    *f->last = c;
    f->last = &c->next;
    f->n_calls++;
}

size_t face_calls(const struct face *f)
{
    return f->n_calls;
}

/* ---- life
 * ----------------------------------------------------------------------- */

struct face *face_start(struct sim_node *n)
{
    struct world *w = n->w;
    struct face *f = xcalloc(1, sizeof(*f));
    struct error err;
    f->w = w;
    f->n = n;
    f->last = &f->calls;
    f->end = sim_end_open(n, "face", false);
    f->cache = cache_new(model_kinds, N_KINDS);
    cache_set_manual(f->cache);
    f->confirm = confirm_new(sim_end_store(f->end), f->cache, &w->env);
    f->api = (struct api){
        .env = &w->env,
        .cache = f->cache,
        .tokens = tokens_new(&w->env, f->cache),
        .auth_memory = auth_memory_new(f->cache),
        .authenticate = auth_request,
        .public_url = "https://cairn.test",
        .region = "RegionOne",
        .node = n->name,
    };
    if (!cache_follow(f->cache, sim_end_store(f->end), &err))
        world_broken(w, "the face's cache: %s", err.text);
    return f;
}

void face_stop(struct face *f)
{
    cache_unfollow(f->cache);
    sim_end_close(f->end);
    for (struct call *c; (c = f->calls);) {
        f->calls = c->next;
        clients_lost(f->w->clients, c);
        call_free(c);
    }
    confirm_free(f->confirm);
    auth_memory_free(f->api.auth_memory);
    tokens_free(f->api.tokens);
    cache_free(f->cache);
    free(f);
}
