#include "rest-api/jobs.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <pthread.h>

#define STACK_SIZE (512 * 1024)

struct job {
    struct job *next;
    void (*fn)(void *arg);
    void *arg;
};

struct jobs {
    pthread_mutex_t lock; /* all below */
    pthread_cond_t more;
    struct job *first, **last;
    size_t n, max;
    bool stop;
    unsigned n_threads;
    pthread_t threads[32];
};

static struct job *take(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    while (!j->first && !j->stop)
        pthread_cond_wait(&j->more, &j->lock);
    struct job *job = j->first;
    if (job) {
        j->first = job->next;
        if (!j->first)
            j->last = &j->first;
        j->n--;
    }
    pthread_mutex_unlock(&j->lock);
    return job;
}

static void *work(void *arg)
{
    for (struct job *job; (job = take(arg)); free(job))
        job->fn(job->arg);
    return NULL;
}

struct jobs *jobs_new(unsigned threads, size_t queue_max)
{
    struct jobs *j = xcalloc(1, sizeof(*j));
    pthread_attr_t attr;
    j->last = &j->first;
    j->max = queue_max;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->more, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    if (threads > ARRAY_SIZE(j->threads))
        threads = ARRAY_SIZE(j->threads);
    while (j->n_threads < threads &&
           pthread_create(&j->threads[j->n_threads], &attr, work, j) == 0)
        j->n_threads++;
    pthread_attr_destroy(&attr);
    if (!j->n_threads)
        abort(); /* nothing would ever be done */
    return j;
}

void jobs_free(struct jobs *j)
{
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->stop = true;
    pthread_cond_broadcast(&j->more);
    pthread_mutex_unlock(&j->lock);
    for (unsigned i = 0; i < j->n_threads; i++)
        pthread_join(j->threads[i], NULL);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->more);
    free(j);
}

static bool push(struct jobs *j, void (*fn)(void *arg), void *arg, bool must)
{
    pthread_mutex_lock(&j->lock);
    bool room = must || j->n < j->max;
    if (room) {
        struct job *job = xmalloc(sizeof(*job));
        *job = (struct job){ NULL, fn, arg };
        *j->last = job;
        j->last = &job->next;
        j->n++;
        pthread_cond_signal(&j->more);
    }
    pthread_mutex_unlock(&j->lock);
    return room;
}

bool jobs_push(struct jobs *j, void (*fn)(void *arg), void *arg)
{
    return push(j, fn, arg, false);
}

void jobs_must(struct jobs *j, void (*fn)(void *arg), void *arg)
{
    push(j, fn, arg, true);
}
