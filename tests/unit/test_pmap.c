/* pmap against the plainest model there is: a sorted array. */
#include "test.h"

#include "common/alloc.h"
#include "state/pmap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS   400
#define ROUNDS 6000

static atomic_int alive;

struct val {
    atomic_int refs;
    char key[16], sub[16];
    int n;
};

static void *val_ref(const void *v)
{
    atomic_fetch_add(&((struct val *)v)->refs, 1);
    return (void *)v;
}

static void val_unref(const void *v)
{
    if (atomic_fetch_sub(&((struct val *)v)->refs, 1) == 1) {
        atomic_fetch_sub(&alive, 1);
        free((void *)v);
    }
}

static const struct pmap_type val_type = { val_ref, val_unref };

static struct val *val_new(int key, int sub, int n)
{
    struct val *v = xcalloc(1, sizeof(*v));
    atomic_fetch_add(&alive, 1);
    atomic_init(&v->refs, 1);
    snprintf(v->key, sizeof(v->key), "k%d", key);
    snprintf(v->sub, sizeof(v->sub), "s%d", sub);
    v->n = n;
    return v;
}

static void put(struct pmap *m, int key, int sub, int n)
{
    struct val *v = val_new(key, sub, n);
    pmap_put(m, v->key, sub < 0 ? NULL : v->sub, v);
    val_unref(v);
}

/* The model: what stands under (key, sub), -1 nothing. */
struct model {
    int n[KEYS][4];
};

static void check(const struct pmap *m, const struct model *model)
{
    struct pmap_iter it;
    const struct val *v, *last = NULL;
    size_t count = 0;
    assert_true(pmap_valid(m));
    pmap_seek(&it, m, NULL, NULL, false);
    while ((v = pmap_next(&it, NULL))) {
        int c = last ? strcmp(last->key, v->key) : -1;
        assert_true(c < 0 || (c == 0 && strcmp(last->sub, v->sub) < 0));
        assert_int_equal(v->n, model->n[atoi(v->key + 1)][atoi(v->sub + 1)]);
        last = v;
        count++;
    }
    for (int k = 0; k < KEYS; k++)
        for (int s = 0; s < 4; s++)
            count -= model->n[k][s] >= 0;
    assert_int_equal(count, 0);
}

static void random_change(struct pmap *m, struct model *model, int round)
{
    int k = rand() % KEYS, s = rand() % 4;
    char key[16], sub[16];
    snprintf(key, sizeof(key), "k%d", k);
    snprintf(sub, sizeof(sub), "s%d", s);
    if (rand() % 2) {
        put(m, k, s, round);
        model->n[k][s] = round;
    } else {
        assert_int_equal(pmap_remove(m, key, sub), model->n[k][s] >= 0);
        model->n[k][s] = -1;
    }
}

static void like_the_model(void **state)
{
    static struct model model, old_model;
    struct pmap m = PMAP_INIT(&val_type), old = PMAP_INIT(&val_type);
    srand(1);
    memset(&model, -1, sizeof(model));
    old_model = model;
    for (int i = 0; i < ROUNDS; i++) {
        random_change(&m, &model, i);
        if (i % 97)
            continue;
        check(&m, &model);
        check(&old, &old_model); /* a copy stays what it was */
        pmap_clear(&old);
        old = pmap_copy(&m);
        old_model = model;
    }
    pmap_clear(&m);
    check(&old, &old_model);
    pmap_clear(&old);
    assert_int_equal(alive, 0);
}

/* Each call is a step from the old model to the new one. */
struct step {
    struct model *model;
    size_t calls;
    char last[40];
};

static void apply_step(void *arg, const void *old, const void *now)
{
    struct step *step = arg;
    const struct val *o = old, *n = now, *any = o ? o : n;
    int *at = &step->model->n[atoi(any->key + 1)][atoi(any->sub + 1)];
    char name[40];
    snprintf(name, sizeof(name), "%s\x01%s", any->key, any->sub);
    assert_true(strcmp(step->last, name) < 0); /* in order, each once */
    snprintf(step->last, sizeof(step->last), "%s", name);
    assert_int_equal(*at, o ? o->n : -1);
    assert_true(o != n);
    *at = n ? n->n : -1;
    step->calls++;
}

static void differences(void **state)
{
    static struct model model, old_model;
    struct pmap m = PMAP_INIT(&val_type), old = PMAP_INIT(&val_type);
    struct pmap none = PMAP_INIT(&val_type);
    srand(2);
    memset(&model, -1, sizeof(model));
    old_model = model;
    for (int i = 0; i < ROUNDS; i++) {
        random_change(&m, &model, i);
        if (rand() % (i % 500 < 250 ? 3 : 200))
            continue;
        struct step step = { .model = &old_model };
        pmap_diff(&old, &m, apply_step, &step);
        assert_memory_equal(&old_model, &model, sizeof(model));
        pmap_clear(&old);
        old = pmap_copy(&m);
        step = (struct step){ .model = &old_model };
        memset(&old_model, -1, sizeof(old_model));
        pmap_diff(&none, &m, apply_step, &step);
        assert_int_equal(step.calls, m.count);
        assert_memory_equal(&old_model, &model, sizeof(model));
    }
    pmap_clear(&m);
    pmap_clear(&old);
    assert_int_equal(alive, 0);
}

static void a_difference_of_one(void **state)
{
    static struct model model;
    struct pmap m = PMAP_INIT(&val_type);
    memset(&model, -1, sizeof(model));
    for (int k = 0; k < KEYS; k++)
        put(&m, k, 0, model.n[k][0] = k);
    struct pmap old = pmap_copy(&m);
    struct step step = { .model = &model };
    pmap_diff(&old, &m, apply_step, &step);
    assert_int_equal(step.calls, 0);
    put(&m, 17, 0, 99);
    pmap_diff(&old, &m, apply_step, &step);
    assert_int_equal(step.calls, 1);
    assert_int_equal(model.n[17][0], 99);
    pmap_clear(&m);
    pmap_clear(&old);
}

static void seek_and_get(void **state)
{
    struct pmap m = PMAP_INIT(&val_type);
    struct pmap_iter it;
    for (int k = 0; k < 100; k += 2)
        for (int s = 0; s < 3; s++)
            put(&m, k, s, k * 10 + s);
    assert_null(pmap_get(&m, "k1"));
    assert_null(pmap_get(&m, ""));
    assert_int_equal(((struct val *)pmap_get(&m, "k42"))->n, 420);

    pmap_seek(&it, &m, "k42", "s1", false);
    assert_int_equal(((struct val *)pmap_next(&it, NULL))->n, 421);
    pmap_seek(&it, &m, "k42", "s1", true);
    assert_int_equal(((struct val *)pmap_next(&it, NULL))->n, 422);
    assert_int_equal(((struct val *)pmap_next(&it, NULL))->n, 440);
    pmap_seek(&it, &m, "k41", NULL, false);
    assert_int_equal(((struct val *)pmap_next(&it, NULL))->n, 420);
    pmap_seek(&it, &m, "k98", "s2", true);
    assert_null(pmap_next(&it, NULL));
    pmap_clear(&m);
    assert_int_equal(alive, 0);
}

/* Keys of up to and over eight bytes that only differ late, or by a byte
 * over 127, must not be confused by the leading eight bytes. */
static void long_and_odd_keys(void **state)
{
    static const char *const keys[] = { "",         "a",         "ab",
                                        "abcdefgh", "abcdefgh1", "abcdefgh2",
                                        "abcdefgi", "\x80",      "\xff\xff" };
    struct pmap m = PMAP_INIT(&val_type);
    for (size_t i = 0; i < 9; i++) {
        struct val *v = val_new(0, 0, (int)i);
        snprintf(v->key, sizeof(v->key), "%s", keys[8 - i]);
        pmap_put(&m, v->key, NULL, v);
        val_unref(v);
    }
    assert_int_equal(m.count, 9);
    assert_true(pmap_valid(&m));
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(((struct val *)pmap_get(&m, keys[i]))->n, 8 - i);
    pmap_clear(&m);
}

static void *reader(void *arg)
{
    struct pmap *mine = arg;
    struct pmap_iter it;
    size_t n = 0;
    pmap_seek(&it, mine, NULL, NULL, false);
    while (pmap_next(&it, NULL))
        n++;
    n = n == mine->count;
    for (int i = 0; i < 50; i++)
        put(mine, i, 9, i);
    pmap_clear(mine);
    return (void *)n;
}

/* Copies are read, changed and freed on other threads while the writer goes
 * on (the thread sanitizer watches). */
static void copies_across_threads(void **state)
{
    struct pmap m = PMAP_INIT(&val_type), copies[4];
    pthread_t threads[4];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 4; i++) {
            put(&m, round * 4 + i, 0, i);
            copies[i] = pmap_copy(&m);
            pthread_create(&threads[i], NULL, reader, &copies[i]);
        }
        for (int i = 0; i < 50; i++)
            put(&m, i, 1, i);
        for (int i = 0; i < 4; i++) {
            void *same;
            pthread_join(threads[i], &same);
            assert_non_null(same);
        }
    }
    pmap_clear(&m);
    assert_int_equal(alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_the_model),
        cmocka_unit_test(differences),
        cmocka_unit_test(a_difference_of_one),
        cmocka_unit_test(seek_and_get),
        cmocka_unit_test(long_and_odd_keys),
        cmocka_unit_test(copies_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
