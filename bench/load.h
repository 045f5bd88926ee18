/*
 * load - threads that write to a store for a while, for the benchmarks.
 *
 * Each runs `put` with the load as its argument, counts its commits, and ends
 * when `stop` says so.
 */
#ifndef CAIRN_BENCH_LOAD_H
#define CAIRN_BENCH_LOAD_H

#include "common/env.h"
#include "state/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define LOAD_THREADS_MAX 32

struct load {
    struct store *store;
    atomic_bool stop;
    atomic_int next_thread;
    atomic_long commits;
};

/* Commits a second of `n` threads, measured for `us`. */
static inline double load_rate(struct store *s, int n, int64_t us,
                               void *(*put)(void *load))
{
    struct load l = { .store = s };
    pthread_t threads[LOAD_THREADS_MAX];
    int64_t begun = env_mono(&env_system);
    for (int i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, put, &l);
    while (env_mono(&env_system) - begun < us)
        usleep(1000);
    l.stop = true;
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    return (double)l.commits * SECOND_US /
           (double)(env_mono(&env_system) - begun);
}

#endif
