#include "common/alloc.h"
#include "engine/bank.h"
#include "engine/pages.h"

#include <stdlib.h>

extern const struct bank_ops bank_ops_plain;
#ifdef __x86_64__
extern const struct bank_ops bank_ops_v3, bank_ops_v4;
#endif

const struct bank_ops *bank_ops_best(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    bool v4 = v3 && __builtin_cpu_supports("avx512f") &&
              __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") &&
              __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
    return v4 ? &bank_ops_v4 : v3 ? &bank_ops_v3 : &bank_ops_plain;
#else
    return &bank_ops_plain;
#endif
}

void bank_free_levels(struct bank *b)
{
    for (int i = 0; i < BANK_LEVELS; i++) {
        free(b->level[i]);
        b->level[i] = NULL;
    }
    free(b->suits);
    b->suits = NULL;
}

/* Whole families, so that nobody asks where one ends: who is missing is
 * smaller than all. */
static bank_keys *new_level(uint32_t n)
{
    uint32_t whole = (n + BANK_FAN - 1) / BANK_FAN * BANK_FAN;
    bank_keys *level = pages_new(whole, sizeof(bank_keys));
    for (uint32_t i = n; i < whole; i++)
        level[i] = (bank_keys){ 0 } + BANK_NO_KEY;
    return level;
}

void bank_shape(struct bank *b, uint32_t hosts)
{
    bank_free_levels(b);
    b->suits = xcalloc(hosts, 1);
    b->n[0] = hosts;
    b->top = 0;
    b->level[0] = new_level(hosts);
    while (b->n[b->top] > 1) {
        b->n[b->top + 1] = (b->n[b->top] + BANK_FAN - 1) / BANK_FAN;
        b->top++;
        b->level[b->top] = new_level(b->n[b->top]);
    }
}
