/*
 * sim - runs seeds.
 *
 *   sim [--seeds N] [--first S] [--pool | --local | --large | --nodes N]
 *       [--jobs J] [--steps K] [--verbose] [--replay]
 *
 * One node, unless --pool (two to eight, as the seed says), --local (as many,
 * with disks of their own instead of Ceph), --large (fifty to three hundred)
 * or --nodes.  The seeds of tests/sim/seeds.txt, which found
 * something once, go first when --first is 1.  --replay runs each seed twice
 * and compares.  --jobs processes share the seeds.  When an invariant breaks,
 * the last line is the seed.
 */
#include "run.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 64

enum size { ONE, POOL, LOCAL, LARGE };
static const char *const size_names[] = { "", "pool ", "local ", "large " };

struct options {
    unsigned long seeds, jobs;
    uint64_t first;
    enum size size;
    bool replay;
    struct run_options run; /* nodes 0: by size and seed */
};

struct tally {
    struct world_stats total;
    unsigned long seeds;
};

/* "41,000" */
static const char *grouped(unsigned long n, char out[32])
{
    char plain[32];
    int len = snprintf(plain, sizeof(plain), "%lu", n), o = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[o++] = ',';
        out[o++] = plain[i];
    }
    out[o] = '\0';
    return out;
}

static void say_closing(const struct tally *t, int failures)
{
    char seeds[32], calls[32], crashes[32];
    printf("sim: %s seeds, %s API calls, %s crashes, %d failure%s\n",
           grouped(t->seeds, seeds), grouped(t->total.calls, calls),
           grouped(t->total.crashes, crashes), failures,
           failures == 1 ? "" : "s");
}

/* ---- seeds ----------------------------------------------------------------
 */

static unsigned nodes_of(const struct options *o, uint64_t seed)
{
    static const unsigned few[] = { 2, 2, 3, 3, 3, 3, 4, 5, 5, 8 };
    uint64_t z = (seed ^ (seed >> 31)) * UINT64_C(0xbf58476d1ce4e5b9) >> 32;
    if (o->run.nodes)
        return o->run.nodes;
    switch (o->size) {
    case POOL:
    case LOCAL:
        return few[z % (sizeof(few) / sizeof(*few))];
    case LARGE:
        return 50 + (unsigned)(z % 251);
    default:
        return 1;
    }
}

static bool run_one(const struct options *o, struct tally *t, uint64_t seed)
{
    uint64_t hash, again;
    struct run_options run = o->run;
    run.nodes = nodes_of(o, seed);
    run.local = o->size == LOCAL;
    t->seeds++;
    bool ok = run_seed(seed, &run, &t->total, &hash);
    if (ok && o->replay) {
        ok = run_seed(seed, &run, &t->total, &again) && again == hash;
        if (!ok)
            printf("the second run went another way\n");
    }
    if (!ok) {
        say_closing(t, 1);
        printf("%" PRIu64 "\n", seed);
    }
    return ok;
}

/* The seed of a line of seeds.txt, if it is of this size. */
static bool known_seed(const struct options *o, const char *line,
                       uint64_t *seed)
{
    const char *size = size_names[o->size];
    size_t n = strlen(size);
    if (strncmp(line, size, n) != 0 || line[n] < '0' || line[n] > '9')
        return false;
    *seed = strtoull(line + n, NULL, 10);
    return true;
}

static bool run_known(const struct options *o, struct tally *t)
{
    char line[256];
    uint64_t seed;
    bool ok = true;
    _autofile_ FILE *f = fopen(SIM_SEEDS, "re");
    while (ok && f && fgets(line, sizeof(line), f))
        if (known_seed(o, line, &seed))
            ok = run_one(o, t, seed);
    return ok;
}

/* The share of one of `jobs`. */
static bool run_share(const struct options *o, struct tally *t,
                      unsigned long job)
{
    if (o->first == 1 && job == 0 && !o->run.nodes && !run_known(o, t))
        return false;
    for (unsigned long i = job; i < o->seeds; i += o->jobs)
        if (!run_one(o, t, o->first + i))
            return false;
    return true;
}

/* ---- jobs ------------------------------------------------------------------
 */

struct job {
    pid_t pid; /* 0: it has ended */
    FILE *out;
};

static void add(struct tally *all, const struct tally *t)
{
    all->seeds += t->seeds;
    all->total.calls += t->total.calls;
    all->total.crashes += t->total.crashes;
}

static void copy_out(FILE *from)
{
    char piece[4096];
    rewind(from);
    for (size_t n; (n = fread(piece, 1, sizeof(piece), from)) > 0;)
        fwrite(piece, 1, n, stdout);
}

static struct job start_job(const struct options *o, struct tally *t,
                            unsigned long number)
{
    struct job job = { .out = tmpfile() };
    if (!job.out || (job.pid = fork()) < 0) {
        perror("sim: a job");
        exit(2);
    }
    if (job.pid > 0)
        return job;
    dup2(fileno(job.out), STDOUT_FILENO);
    bool ok = run_share(o, t, number);
    fflush(stdout);
    _exit(ok ? 0 : 1);
}

/* Waits for one of them.  False: it has failed. */
static bool await_job(struct job *jobs, unsigned long n)
{
    int status;
    pid_t pid = wait(&status);
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    for (unsigned long i = 0; i < n; i++) {
        if (jobs[i].pid != pid)
            continue;
        jobs[i].pid = 0;
        if (!ok)
            copy_out(jobs[i].out);
        if (WIFSIGNALED(status))
            printf("a job has ended with signal %d\n", WTERMSIG(status));
    }
    return ok;
}

static bool run_jobs(const struct options *o, struct tally *all)
{
    struct job jobs[JOBS_MAX];
    struct tally *shares =
        mmap(NULL, o->jobs * sizeof(*shares), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool ok = shares != MAP_FAILED;
    if (!ok)
        return false;
    for (unsigned long i = 0; i < o->jobs; i++)
        jobs[i] = start_job(o, &shares[i], i);
    for (unsigned long i = 0; ok && i < o->jobs; i++)
        ok = await_job(jobs, o->jobs);
    for (unsigned long i = 0; i < o->jobs; i++) {
        if (jobs[i].pid)
            kill(jobs[i].pid, SIGKILL);
        fclose(jobs[i].out);
        add(all, &shares[i]);
    }
    munmap(shares, o->jobs * sizeof(*shares));
    return ok;
}

/* ---- options ---------------------------------------------------------------
 */

static bool parse_flag(const char *arg, struct options *o)
{
    if (strcmp(arg, "--verbose") == 0)
        o->run.verbose = true;
    else if (strcmp(arg, "--replay") == 0)
        o->replay = true;
    else if (strcmp(arg, "--pool") == 0)
        o->size = POOL;
    else if (strcmp(arg, "--local") == 0)
        o->size = LOCAL;
    else if (strcmp(arg, "--large") == 0)
        o->size = LARGE;
    else
        return false;
    return true;
}

static bool parse_number(const char *arg, const char *value, struct options *o)
{
    unsigned long n = strtoul(value, NULL, 10);
    if (strcmp(arg, "--seeds") == 0)
        o->seeds = n;
    else if (strcmp(arg, "--first") == 0)
        o->first = n;
    else if (strcmp(arg, "--nodes") == 0 && n <= SIM_NODES_MAX)
        o->run.nodes = (unsigned)n;
    else if (strcmp(arg, "--steps") == 0)
        o->run.steps = n;
    else if (strcmp(arg, "--jobs") == 0 && n > 0 && n <= JOBS_MAX)
        o->jobs = n;
    else
        return false;
    return true;
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (parse_flag(argv[i], o))
            continue;
        if (i + 1 == argc || !parse_number(argv[i], argv[i + 1], o))
            return false;
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {
        .seeds = 200, .jobs = 1, .first = 1, .run = { .steps = 900 }
    };
    struct tally t = { { 0 }, 0 };
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: sim [--seeds N] [--first S] [--pool | --local |"
                        " --large | --nodes N] [--jobs J] [--steps K] "
                        "[--verbose] [--replay]\n");
        return 2;
    }
    json_object_seed(1); /* the same order in every run */
    log_set_level(o.run.verbose ? LOG_WARN : LOG_ERR);
    bool ok = o.jobs > 1 ? run_jobs(&o, &t) : run_share(&o, &t, 0);
    if (ok)
        say_closing(&t, 0);
    return ok ? 0 : 1;
}
