/*
 * sim - runs seeds.
 *
 *   sim [--seeds N] [--first S] [--steps K] [--verbose] [--replay]
 *
 * The seeds of tests/sim/seeds.txt, which found something once, go first
 * when --first is 1.  --replay runs each seed twice and compares.  When an
 * invariant breaks, the last line is the seed.
 */
#include "run.h"

#include "common/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
    unsigned long seeds;
    uint64_t first;
    bool replay;
    struct run_options run;
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

static bool run_one(const struct options *o, struct tally *t, uint64_t seed)
{
    uint64_t hash, again;
    t->seeds++;
    bool ok = run_seed(seed, &o->run, &t->total, &hash);
    if (ok && o->replay) {
        ok = run_seed(seed, &o->run, &t->total, &again) && again == hash;
        if (!ok)
            printf("the second run went another way\n");
    }
    if (!ok) {
        say_closing(t, 1);
        printf("%" PRIu64 "\n", seed);
    }
    return ok;
}

static bool run_known(const struct options *o, struct tally *t)
{
    char line[256];
    bool ok = true;
    FILE *f = fopen(SIM_SEEDS, "r");
    while (ok && f && fgets(line, sizeof(line), f))
        if (line[0] >= '0' && line[0] <= '9')
            ok = run_one(o, t, strtoull(line, NULL, 10));
    if (f)
        fclose(f);
    return ok;
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--verbose") == 0)
            o->run.verbose = true;
        else if (strcmp(argv[i], "--replay") == 0)
            o->replay = true;
        else if (!value)
            return false;
        else if (strcmp(argv[i], "--seeds") == 0)
            o->seeds = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            o->first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--nodes") == 0)
            o->run.nodes = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--steps") == 0)
            o->run.steps = strtoul(argv[++i], NULL, 10);
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options o = { 200, 1, false, { 900, 0, false } };
    struct tally t = { { 0 }, 0 };
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: sim [--seeds N] [--first S] [--steps K] "
                        "[--verbose] [--replay]\n");
        return 2;
    }
    json_object_seed(1); /* the same order in every run */
    log_set_level(o.run.verbose ? LOG_WARN : LOG_ERR);
    if (o.first == 1 && !run_known(&o, &t))
        return 1;
    for (unsigned long i = 0; i < o.seeds; i++)
        if (!run_one(&o, &t, o.first + i))
            return 1;
    say_closing(&t, 0);
    return 0;
}
