/*
 * bench/trace: replays a trace of GPU tasks against the engine: how much of
 * the pool's GPUs does it manage to give away before nothing fits?
 *
 *   build/bench/trace --nodes NODES.csv --tasks TASKS.csv [--seed N]
 *                     [--as-given] [--assignments OUT.csv] [--demand PERCENT]
 *
 * Nodes are `sn,cpu_milli,memory_mib,gpu,model`, tasks
 * `name,cpu_milli,memory_mib,num_gpu,gpu_milli[,gpu_spec]`; gpu_spec is
 * models joined by `|`, empty for any.  The sequence is the list's tasks and
 * draws from it with replacement until GPU demand is --demand (130) percent
 * of the capacity, shuffled by the seed; with --as-given it is the list in
 * its order.  Tasks arrive one at a time and stay; each goes where choose
 * says, or is turned away when nothing has room.
 *
 * The policy is SCORE_FRAGMENTATION and knows nothing beforehand: the mix is
 * learnt from the tasks as they arrive.
 *
 * Prints the share of all GPU thousandths that is allocated in the end, the
 * time and the placements a second (all arrivals by the CPU time from the
 * first to the last; reading and writing files is not in it).
 */
#include "common/alloc.h"
#include "engine/choose.h"
#include "engine/mix.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES 4096
#define FIELDS         6
#define POLICY         1

struct task {
    struct demand demand;
    int64_t gpu; /* thousandths in all */
};

struct replay {
    const char *nodes, *tasks, *assignments;
    uint64_t seed;
    unsigned percent;
    bool as_given;
    struct fleet *f;
    struct chooser *c;
    struct mix *mix;
    int kind; /* of device: GPU */
    int64_t capacity, allocated;
    struct task *list;
    uint32_t n_list, list_size;
    uint32_t *order; /* of the sequence: of `list` */
    uint32_t n, order_size;
    struct placing *places; /* by position in the sequence */
    uint32_t placed;
    double seconds;
};

_Noreturn static void fail(const char *what, const char *of)
{
    fprintf(stderr, "trace: %s: %s\n", of, what);
    exit(2);
}

/* ---- files --------------------------------------------------------------- */

/* Splits a line; fields that are not there are empty. */
static void split(char *line, char *field[FIELDS])
{
    line[strcspn(line, "\r\n")] = 0;
    for (int i = 0; i < FIELDS; i++) {
        field[i] = line;
        size_t n = strcspn(line, ",");
        line += n;
        if (*line)
            *line++ = 0;
    }
}

static int32_t number(const char *text, const char *path)
{
    char *end;
    long v = strtol(text, &end, 10);
    if (end == text || *end || v < 0 || v > INT32_MAX)
        fail("not a number where one is due", path);
    return (int32_t)v;
}

static void each_line(struct replay *t, const char *path,
                      void (*take)(struct replay *, char *field[FIELDS]))
{
    char line[LINE_MAX_BYTES], *field[FIELDS];
    FILE *in = fopen(path, "r");
    if (!in)
        fail("cannot be read", path);
    if (!fgets(line, sizeof(line), in))
        fail("is empty", path);
    while (fgets(line, sizeof(line), in)) {
        split(line, field);
        take(t, field);
    }
    fclose(in);
}

static int model(struct replay *t, const char *name)
{
    int m = fleet_name(t->f, FLEET_NAME_MODEL, name);
    if (m < 0)
        fail("too many models", t->nodes);
    return m;
}

static void take_node(struct replay *t, char *field[FIELDS])
{
    uint32_t h = fleet_add_host(t->f, field[0]);
    int32_t gpus = number(field[3], t->nodes);
    fleet_set_facts(t->f, h, &(struct fleet_facts){ .state = FLEET_UP });
    fleet_set_capacity(t->f, h, FLEET_VCPU, number(field[1], t->nodes));
    fleet_set_capacity(t->f, h, FLEET_MEMORY, number(field[2], t->nodes));
    for (int32_t i = 0; i < gpus; i++)
        if (!fleet_add_device(t->f, h, (uint8_t)t->kind,
                              (uint8_t)model(t, field[4]), 0))
            fail("too many GPUs in a node", t->nodes);
    t->capacity += 1000LL * gpus;
}

static uint64_t models(struct replay *t, char *spec)
{
    uint64_t set = 0;
    char *save = NULL;
    for (char *m = strtok_r(spec, "|", &save); m;
         m = strtok_r(NULL, "|", &save))
        set |= 1ULL << model(t, m);
    return set;
}

static void take_task(struct replay *t, char *field[FIELDS])
{
    int32_t gpus = number(field[3], t->tasks);
    int32_t thousandths = number(field[4], t->tasks);
    if (gpus > UINT8_MAX || thousandths > 1000)
        fail("a task asks for more than a node can have", t->tasks);
    if (t->n_list == t->list_size) {
        t->list_size = t->list_size ? t->list_size * 2 : 1024;
        t->list = xrealloc(t->list, t->list_size * sizeof(*t->list));
    }
    struct task *task = &t->list[t->n_list++];
    *task = (struct task){ .demand.policy = POLICY };
    task->demand.need[FLEET_VCPU] = number(field[1], t->tasks);
    task->demand.need[FLEET_MEMORY] = number(field[2], t->tasks);
    if (!gpus || !thousandths)
        return;
    task->gpu = (int64_t)gpus * thousandths;
    task->demand.devices[0] = (struct request_device){
        .kind = (uint8_t)t->kind,
        .count = (uint8_t)gpus,
        .thousandths = (uint16_t)thousandths,
        .models = models(t, field[5]),
    };
}

/* One row a task, in order; the node is empty where it was turned away. */
static void write_assignments(const struct replay *t)
{
    FILE *out = fopen(t->assignments, "w");
    if (!out)
        fail("cannot be written", t->assignments);
    fprintf(out, "task,node,gpus\n");
    for (uint32_t i = 0; i < t->n; i++) {
        const struct placing *at = &t->places[i];
        const char *bar = "";
        bool away = at->host == FLEET_NOWHERE;
        fprintf(out, "%u,%s,", i, away ? "" : t->f->hosts[at->host].name);
        for (unsigned d = 0; d < FLEET_DEVICES && !away; d++)
            if (at->devices[0] >> d & 1) {
                fprintf(out, "%s%u", bar, d);
                bar = "|";
            }
        fprintf(out, "\n");
    }
    if (fclose(out) != 0)
        fail("cannot be written", t->assignments);
}

/* ---- the sequence -------------------------------------------------------- */

static uint32_t draw(struct replay *t, uint32_t below)
{
    uint64_t z = t->seed += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return (uint32_t)(((z >> 32) * below) >> 32);
}

static int64_t append(struct replay *t, uint32_t task)
{
    if (t->n == t->order_size) {
        t->order_size = t->order_size ? t->order_size * 2 : 1024;
        t->order = xrealloc(t->order, t->order_size * sizeof(*t->order));
    }
    t->order[t->n++] = task;
    return t->list[task].gpu;
}

static void make_sequence(struct replay *t)
{
    int64_t demand = 0;
    for (uint32_t i = 0; i < t->n_list; i++)
        demand += append(t, i);
    if (t->as_given)
        return;
    if (!demand)
        fail("no task asks for GPUs", t->tasks);
    while (demand < t->capacity * t->percent / 100)
        demand += append(t, draw(t, t->n_list));
    for (uint32_t i = t->n - 1; i > 0; i--) {
        uint32_t j = draw(t, i + 1), task = t->order[i];
        t->order[i] = t->order[j];
        t->order[j] = task;
    }
}

/* ---- the replay ---------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void arrive(struct replay *t, uint32_t i)
{
    const struct task *task = &t->list[t->order[i]];
    struct request r = { .demand = task->demand };
    if (mix_note(t->mix, &task->demand))
        fleet_set_mix(t->f, t->mix);
    if (!choose(t->c, &r, &t->places[i]))
        return;
    fleet_put(t->f, i + 1, &r, &t->places[i]);
    t->placed++;
    t->allocated += task->gpu;
}

static void replay(struct replay *t)
{
    t->f = fleet_new();
    t->c = chooser_new(t->f);
    t->mix = mix_new();
    t->kind = fleet_name(t->f, FLEET_NAME_DEVICE, "GPU");
    fleet_set_policy(t->f, POLICY,
                     &(struct score_policy){ .kind = SCORE_FRAGMENTATION });
    each_line(t, t->nodes, take_node);
    each_line(t, t->tasks, take_task);
    if (!t->n_list || !t->capacity)
        fail("nothing to do", t->capacity ? t->tasks : t->nodes);
    make_sequence(t);
    t->places = xcalloc(t->n, sizeof(*t->places));
    double start = cpu_seconds();
    for (uint32_t i = 0; i < t->n; i++)
        arrive(t, i);
    t->seconds = cpu_seconds() - start;
}

static void clear(struct replay *t)
{
    chooser_free(t->c);
    fleet_free(t->f);
    mix_free(t->mix);
    free(t->list);
    free(t->order);
    free(t->places);
}

/* ---- the command --------------------------------------------------------- */

_Noreturn static void usage(void)
{
    fprintf(stderr,
            "usage: trace --nodes NODES.csv --tasks TASKS.csv [--seed N]\n"
            "             [--as-given] [--assignments OUT.csv]"
            " [--demand PERCENT]\n");
    exit(2);
}

static void read_options(struct replay *t, int argc, char **argv)
{
    static const struct option options[] = {
        { "nodes", required_argument, NULL, 'n' },
        { "tasks", required_argument, NULL, 't' },
        { "seed", required_argument, NULL, 's' },
        { "as-given", no_argument, NULL, 'g' },
        { "assignments", required_argument, NULL, 'a' },
        { "demand", required_argument, NULL, 'd' },
        { 0 },
    };
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (o) {
        case 'n':
            t->nodes = optarg;
            break;
        case 't':
            t->tasks = optarg;
            break;
        case 's':
            t->seed = strtoull(optarg, NULL, 10);
            break;
        case 'g':
            t->as_given = true;
            break;
        case 'a':
            t->assignments = optarg;
            break;
        case 'd':
            t->percent = (unsigned)strtoul(optarg, NULL, 10);
            break;
        default:
            usage();
        }
    if (!t->nodes || !t->tasks || !t->percent || optind != argc)
        usage();
}

int main(int argc, char **argv)
{
    struct replay t = { .percent = 130, .seed = 1 };
    read_options(&t, argc, argv);
    replay(&t);
    if (t.assignments)
        write_assignments(&t);
    printf("%.3f %% of the GPUs allocated; %u of %u tasks placed in %.3f s, "
           "%.0f placements a second\n",
           100.0 * (double)t.allocated / (double)t.capacity, t.placed, t.n,
           t.seconds, t.n / t.seconds);
    clear(&t);
    return 0;
}
