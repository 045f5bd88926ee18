#include "bench/rebalance/mip.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/env.h"

#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- writing the program ------------------------------------------------ */

typedef int counts[CLUSTER_CELLS][CLUSTER_CLASSES];

/* How many of each class are on each host, by first cell. */
static counts *count(const struct cluster *c)
{
    counts *n = xcalloc((size_t)c->n_hosts, sizeof(*n));
    for (int i = 0; i < c->n_servers; i++)
        n[c->servers[i].host][c->servers[i].cell][c->servers[i].class]++;
    return n;
}

static int first_cells(int class)
{
    return CLUSTER_CELLS / cluster_classes[class].cells;
}

/* Whether class `k` with first cell `first` has a part on cell `i`. */
static bool covers(int k, int first, int i)
{
    return i >= first && i < first + cluster_classes[k].cells;
}

/* The terms of one cell: leaving less arriving, times what a server has. */
static void write_change(FILE *f, const counts *n, int h, int i, bool memory)
{
    for (int k = 0; k < CLUSTER_CLASSES; k++) {
        const struct cluster_class *class = &cluster_classes[k];
        int amount = (memory ? class->memory : class->cores) / class->cells;
        for (int first = 0; first < first_cells(k); first++) {
            if (!covers(k, first, i))
                continue;
            if (n[h][first][k])
                fprintf(f, " + %d o%d_%d_%d\n", amount, h, first, k);
            fprintf(f, " - %d a%d_%d_%d\n", amount, h, first, k);
        }
    }
}

static void write_cells(FILE *f, const struct cluster *c, const counts *n)
{
    for (int h = 0; h < c->n_hosts; h++)
        for (int i = 0; i < CLUSTER_CELLS; i++) {
            fprintf(f, " c%d_%d:\n", h, i);
            write_change(f, n, h, i, false);
            fprintf(f, " - %d y%d_%d >= %d\n", CLUSTER_UNIT, h, i,
                    -c->cores[h][i]);
            fprintf(f, " m%d_%d:\n", h, i);
            write_change(f, n, h, i, true);
            fprintf(f, " >= %d\n", -c->memory[h][i]);
        }
}

static void write_flow(FILE *f, const struct cluster *c, const counts *n)
{
    for (int k = 0; k < CLUSTER_CLASSES; k++) {
        fprintf(f, " k%d:\n", k);
        for (int h = 0; h < c->n_hosts; h++)
            for (int i = 0; i < first_cells(k); i++) {
                if (n[h][i][k])
                    fprintf(f, " + o%d_%d_%d\n", h, i, k);
                fprintf(f, " - a%d_%d_%d\n", h, i, k);
            }
        fprintf(f, " = 0\n");
    }
}

static void write_limit(FILE *f, const struct cluster *c, int migrations)
{
    fprintf(f, " most:\n");
    for (int h = 0; h < c->n_hosts; h++)
        for (int k = 0; k < CLUSTER_CLASSES; k++)
            for (int i = 0; i < first_cells(k); i++)
                fprintf(f, " + a%d_%d_%d\n", h, i, k);
    fprintf(f, " <= %d\n", migrations);
}

static void write_bounds(FILE *f, const struct cluster *c, const counts *n,
                         int migrations)
{
    fprintf(f, "Bounds\n");
    for (int h = 0; h < c->n_hosts; h++)
        for (int i = 0; i < CLUSTER_CELLS; i++) {
            fprintf(f, " 0 <= y%d_%d <= %d\n", h, i,
                    CLUSTER_CORES / CLUSTER_UNIT);
            for (int k = 0; k < CLUSTER_CLASSES && i < CLUSTER_CELLS; k++) {
                if (i >= first_cells(k))
                    continue;
                fprintf(f, " 0 <= a%d_%d_%d <= %d\n", h, i, k, migrations);
                if (n[h][i][k])
                    fprintf(f, " 0 <= o%d_%d_%d <= %d\n", h, i, k, n[h][i][k]);
            }
        }
}

static void write_integers(FILE *f, const struct cluster *c, const counts *n)
{
    fprintf(f, "Generals\n");
    for (int h = 0; h < c->n_hosts; h++)
        for (int i = 0; i < CLUSTER_CELLS; i++) {
            fprintf(f, " y%d_%d\n", h, i);
            for (int k = 0; k < CLUSTER_CLASSES; k++) {
                if (i >= first_cells(k))
                    continue;
                fprintf(f, " a%d_%d_%d\n", h, i, k);
                if (n[h][i][k])
                    fprintf(f, " o%d_%d_%d\n", h, i, k);
            }
        }
}

bool mip_write(const struct cluster *c, int migrations, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    _autofree_ counts *n = count(c);
    fprintf(f, "Maximize\n units:\n");
    for (int h = 0; h < c->n_hosts; h++)
        for (int i = 0; i < CLUSTER_CELLS; i++)
            fprintf(f, " + y%d_%d\n", h, i);
    fprintf(f, "Subject To\n");
    write_cells(f, c, (const counts *)n);
    write_flow(f, c, (const counts *)n);
    write_limit(f, c, migrations);
    write_bounds(f, c, (const counts *)n, migrations);
    write_integers(f, c, (const counts *)n);
    fprintf(f, "End\n");
    return fclose(f) == 0;
}

/* ---- solving it ---------------------------------------------------------- */

static bool installed(const char *program)
{
    static const char *const folders[] = { "/usr/bin", "/usr/local/bin" };
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/%s", folders[i], program);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* Runs it with its output in `log`; the solver keeps its own deadline. */
static bool run(const char *const *args, const char *log)
{
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, log,
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    pid_t pid;
    int failed =
        posix_spawnp(&pid, args[0], &files, NULL, (char *const *)args, environ);
    posix_spawn_file_actions_destroy(&files);
    int status = 0;
    return !failed && waitpid(pid, &status, 0) == pid && status == 0;
}

/* The number after the first `label` in the text. */
static bool number_after(const char *text, const char *label, double *out)
{
    const char *at = strstr(text, label);
    if (at)
        *out = strtod(at + strlen(label), NULL);
    return at != NULL;
}

static int units_now(const struct cluster *c)
{
    int sum = 0;
    for (int h = 0; h < c->n_hosts; h++)
        for (int i = 0; i < CLUSTER_CELLS; i++)
            sum += c->cores[h][i] / CLUSTER_UNIT;
    return sum;
}

/* cbc's last words: "Objective value:", and "Upper bound:" unless proven. */
static void read_answer(const struct cluster *c, const char *log,
                        struct mip_answer *out)
{
    char text[65536];
    double value;
    _autofile_ FILE *f = fopen(log, "r");
    if (!f)
        return;
    fseek(f, -(long)sizeof(text) + 1, SEEK_END);
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    int units = units_now(c);
    if (!number_after(text, "Objective value:", &value))
        return;
    out->ran = true;
    out->gain = (value - units) * CLUSTER_UNIT;
    out->proof = strstr(text, "Result - Optimal solution found") != NULL;
    if (number_after(text, "Upper bound:", &value))
        value = floor(value + 1e-6); /* units are whole */
    out->bound = out->proof ? out->gain : (value - units) * CLUSTER_UNIT;
}

void mip_solve(const struct cluster *c, int migrations, int deadline,
               struct mip_answer *out)
{
    const char *base = getenv("TMPDIR");
    char folder[256], program[272], log[272], seconds[16];
    *out = (struct mip_answer){ 0 };
    snprintf(folder, sizeof(folder), "%.200s/rebalance-XXXXXX",
             base ? base : "/tmp");
    if (!installed("cbc") || !mkdtemp(folder))
        return;
    snprintf(program, sizeof(program), "%s/program.lp", folder);
    snprintf(log, sizeof(log), "%s/log", folder);
    snprintf(seconds, sizeof(seconds), "%d", deadline);
    const char *args[] = { "cbc",   program,    "timeMode", "elapsed", "sec",
                           seconds, "ratioGap", "0",        "solve",   NULL };
    int64_t begun = env_mono(&env_system);
    if (mip_write(c, migrations, program) && run(args, log))
        read_answer(c, log, out);
    out->seconds = (double)(env_mono(&env_system) - begun) / (double)SECOND_US;
    unlink(program);
    unlink(log);
    rmdir(folder);
}
