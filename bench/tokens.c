/* bench/tokens: tokens sealed and opened, and requests let in, a second of
 * one core.  Prints one JSON line. */
#include "common/jw.h"
#include "rest-api/auth.h"
#include "rest-api/route.h"
#include "state/cache.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 300000

/* Nothing here gets as far as a route. */
const struct service_api *const api_services[] = { NULL };

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put(struct store *store, struct record *r)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_put_record(&t, r);
    record_unref(r);
    if (!store_commit(store, &t, NULL))
        abort();
}

static void fill(struct store *store)
{
    struct domain *d = record_new(&kind_domain, "default");
    d->enabled = true;
    put(store, &d->rec);
    struct project *p = record_new(&kind_project, "p");
    p->domain_id = "default";
    p->enabled = true;
    put(store, &p->rec);
    struct user *u = record_new(&kind_user, "u");
    u->domain_id = "default";
    u->enabled = true;
    put(store, &u->rec);
    struct role *r = record_new(&kind_role, "r");
    r->name = "member";
    put(store, &r->rec);
    struct assignment *a = record_new(&kind_assignment, "u/p/r");
    a->actor_id = "u";
    a->target_id = "p";
    a->role_id = "r";
    put(store, &a->rec);
    struct token_key *k = record_new(&kind_token_key, "00000001");
    k->secret = "0123456789abcdef0123456789abcdef"
                "0123456789abcdef0123456789abcdef";
    put(store, &k->rec);
}

static const char *header(void *rim, const char *name)
{
    return strcmp(name, "X-Auth-Token") == 0 ? rim : NULL;
}

/* What a request pays for its token: open, look up what was found, copy. */
static double let_in(struct api *api, char *text)
{
    struct http_request http = { .header = header, .rim = text };
    struct req *r = xmalloc(sizeof(*r));
    req_init(r, api, &http);
    double begun = cpu_s();
    for (int i = 0; i < ROUNDS; i++) {
        if (!auth_request(r))
            abort();
        arena_free(&r->arena);
    }
    double rate = ROUNDS / (cpu_s() - begun);
    req_free(r);
    free(r);
    return rate;
}

int main(void)
{
    struct error err;
    struct token t, out;
    char text[TOKEN_TEXT_MAX];
    struct buf json = BUF_INIT(4096);
    struct jw w = JW_INIT(&json);
    struct store *store = store_memory_open(&env_system);
    struct cache *cache = cache_new(model_kinds, N_KINDS);
    struct tokens *tokens = tokens_new(&env_system, cache);
    struct api api = { .env = &env_system, .cache = cache, .tokens = tokens };
    api.auth_memory = auth_memory_new(cache);
    fill(store);
    if (!cache_follow(cache, store, &err))
        abort();
    auth_new_token(&env_system, "u", SCOPE_PROJECT, "p", 3600 * SECOND_US, &t);
    jw_obj(&w, NULL);
    double begun = cpu_s();
    for (int i = 0; i < ROUNDS; i++)
        token_seal(tokens, &t, text);
    jw_int(&w, "tokens_issued_per_s", (int64_t)(ROUNDS / (cpu_s() - begun)));
    begun = cpu_s();
    for (int i = 0; i < ROUNDS; i++)
        if (!token_open(tokens, text, t.issued, &out, NULL))
            abort();
    jw_int(&w, "tokens_opened_per_s", (int64_t)(ROUNDS / (cpu_s() - begun)));
    jw_int(&w, "requests_let_in_per_s", (int64_t)let_in(&api, text));
    jw_obj_end(&w);
    puts(buf_str(&json));
    cache_unfollow(cache);
    auth_memory_free(api.auth_memory);
    tokens_free(tokens);
    cache_free(cache);
    store_close(store);
    buf_free(&json);
    return 0;
}
