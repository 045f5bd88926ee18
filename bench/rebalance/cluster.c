#include "bench/rebalance/cluster.h"

#include "common/alloc.h"

#include <stdlib.h>

#define CLASSES_OF(cores, cells)                                               \
    { (cores), (cores)*2048, (cells) },                                        \
    {                                                                          \
        (cores), (cores)*4096, (cells)                                         \
    }

const struct cluster_class cluster_classes[CLUSTER_CLASSES] = {
    CLASSES_OF(1, 1),  CLASSES_OF(2, 1),  CLASSES_OF(4, 1),  CLASSES_OF(8, 1),
    CLASSES_OF(16, 1), CLASSES_OF(32, 2), CLASSES_OF(64, 2),
};
/* Of 1,000 servers; on average 10 cores. */
static const int shares[CLUSTER_SIZES] = { 80, 190, 240, 220, 150, 80, 40 };

/* xorshift64* (Vigna 2016) */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717U;
}

static int below(uint64_t *state, int n)
{
    return (int)((next(state) >> 33) % (uint64_t)n);
}

static int draw_class(uint64_t *rng)
{
    int x = below(rng, 1000), size = 0;
    while (x >= shares[size])
        x -= shares[size++];
    return 2 * size + (below(rng, 5) < 3);
}

/* Takes (sign 1) or gives back (-1) what the server has. */
static void account(struct cluster *c, const struct cluster_server *s, int sign)
{
    const struct cluster_class *k = &cluster_classes[s->class];
    for (int i = s->cell; i < s->cell + k->cells; i++) {
        c->cores[s->host][i] -= sign * k->cores / k->cells;
        c->memory[s->host][i] -= sign * k->memory / k->cells;
    }
}

static bool fits(const struct cluster *c, int class, int host, int cell)
{
    const struct cluster_class *k = &cluster_classes[class];
    for (int i = cell; i < cell + k->cells; i++)
        if (i >= CLUSTER_CELLS || c->cores[host][i] < k->cores / k->cells ||
            c->memory[host][i] < k->memory / k->cells)
            return false;
    return true;
}

/* The fullest of a few cells that are drawn and can take it. */
static bool place(struct cluster *c, struct cluster_server *s, uint64_t *rng)
{
    int best = CLUSTER_CORES + 1;
    for (int looks = 0, tries = 0; looks < 3 && tries < 40; tries++) {
        int host = below(rng, c->n_hosts), cell = below(rng, CLUSTER_CELLS);
        if (cluster_classes[s->class].cells > 1)
            cell = 0;
        if (!fits(c, s->class, host, cell))
            continue;
        looks++;
        if (c->cores[host][cell] < best) {
            best = c->cores[host][cell];
            s->host = host;
            s->cell = cell;
        }
    }
    return best <= CLUSTER_CORES;
}

void cluster_draw(struct cluster *c, int hosts, int servers, uint64_t seed)
{
    uint64_t rng = seed * 0x9e3779b97f4a7c15U + 1;
    int most = servers + servers / 6;
    *c = (struct cluster){ .n_hosts = hosts };
    c->servers = xcalloc((size_t)most, sizeof(*c->servers));
    c->cores = xcalloc((size_t)hosts, sizeof(*c->cores));
    c->memory = xcalloc((size_t)hosts, sizeof(*c->memory));
    for (int h = 0; h < hosts; h++)
        for (int i = 0; i < CLUSTER_CELLS; i++) {
            c->cores[h][i] = CLUSTER_CORES;
            c->memory[h][i] = CLUSTER_MEMORY;
        }
    for (int i = 0; i < most; i++) {
        struct cluster_server s = { .class = draw_class(&rng) };
        if (!place(c, &s, &rng))
            continue;
        account(c, &s, 1);
        c->servers[c->n_servers++] = s;
    }
    while (c->n_servers > servers) {
        struct cluster_server *gone = &c->servers[below(&rng, c->n_servers)];
        account(c, gone, -1);
        *gone = c->servers[--c->n_servers];
    }
}

void cluster_free(struct cluster *c)
{
    free(c->servers);
    free(c->cores);
    free(c->memory);
}

bool cluster_move(struct cluster *c, struct cluster_server *s, int host,
                  int cell)
{
    if (!fits(c, s->class, host, cell))
        return false;
    account(c, s, -1);
    s->host = host;
    s->cell = cell;
    account(c, s, 1);
    return true;
}

int cluster_unusable(const struct cluster *c)
{
    int sum = 0;
    for (int h = 0; h < c->n_hosts; h++)
        for (int i = 0; i < CLUSTER_CELLS; i++)
            sum += c->cores[h][i] % CLUSTER_UNIT;
    return sum;
}

double cluster_full(const struct cluster *c)
{
    int free_cores = 0;
    for (int h = 0; h < c->n_hosts; h++)
        for (int i = 0; i < CLUSTER_CELLS; i++)
            free_cores += c->cores[h][i];
    return 1 -
           (double)free_cores / (c->n_hosts * CLUSTER_CELLS * CLUSTER_CORES);
}
