/* page: every page of every size holds what a sort of all would give. */
#include "test.h"

#include "model/identity.h"
#include "rest-api/api.h"
#include "rest-api/resource.h"
#include "rest-api/route.h"
#include "state/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 137

const struct service_api *const api_services[] = { NULL };

struct house {
    struct store *store;
    struct cache *cache;
    struct api api;
};

static int setup(void **state)
{
    struct house *h = xcalloc(1, sizeof(*h));
    h->store = store_memory_open(&env_system);
    h->cache = cache_new(model_kinds, N_KINDS);
    h->api = (struct api){ .env = &env_system, .cache = h->cache };
    assert_true(cache_follow(h->cache, h->store, NULL));
    for (int i = 0; i < N; i++) {
        char id[20];
        _autotxn_ struct txn t = TXN_INIT;
        snprintf(id, sizeof(id), "%03d", i * 53 % N);
        struct region *r = record_new(&kind_region, id);
        r->description = rec_strf(r, "%d", i * 31 % 11); /* many are equal */
        txn_put_record(&t, r);
        record_unref(r);
        assert_true(store_commit(h->store, &t, NULL));
    }
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct house *h = *state;
    cache_unfollow(h->cache);
    cache_free(h->cache);
    store_close(h->store);
    free(h);
    return 0;
}

static const char *no_header(void *rim, const char *name)
{
    return NULL;
}

static int expected_order(const void *a, const void *b)
{
    const struct region *x = *(const struct region *const *)a;
    const struct region *y = *(const struct region *const *)b;
    int c = strcmp(x->description, y->description);
    return c ? c : strcmp(x->rec.id, y->rec.id);
}

static void all_in_order(struct house *h, const char *sort, const void **v)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(h->cache);
    struct snap_iter it = snap_all(snap, &kind_region);
    for (size_t i = 0; i < N; i++)
        v[i] = snap_next(&it);
    if (sort)
        qsort(v, N, sizeof(*v), expected_order);
}

static void walk(struct house *h, const char *sort, int limit)
{
    const void *want[N];
    size_t seen = 0;
    bool more = true;
    char marker[64] = "", limit_text[20];
    struct page_spec spec = { .kind = &kind_region, .default_sort = sort };
    all_in_order(h, sort, want);
    snprintf(limit_text, sizeof(limit_text), "%d", limit);
    while (more) {
        struct req *r = xmalloc(sizeof(*r));
        struct http_request http = { .header = no_header };
        struct page page;
        http.query.v[http.query.n++] = (struct param){ "limit", limit_text };
        http.query.v[http.query.n++] = (struct param){ "marker", marker };
        req_init(r, &h->api, &http);
        assert_true(page_collect(r, &spec, &page));
        assert_true(page.n <= (size_t)limit);
        for (size_t i = 0; i < page.n; i++) {
            const struct record *got = page.v[i], *w = want[seen++];
            assert_string_equal(got->id, w->id);
            snprintf(marker, sizeof(marker), "%s", got->id);
        }
        more = page.more;
        assert_int_equal(more, seen < N);
        req_free(r);
        free(r);
    }
    assert_int_equal(seen, N);
}

static void pages(void **state)
{
    static const int limits[] = { 1, 2, 10, 68, N - 1, N, N + 1, 1000 };
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        walk(*state, NULL, limits[i]);
        walk(*state, "description", limits[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages, setup, teardown),
    };
    return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
