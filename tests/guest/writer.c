/*
 * writer - writes numbered, checksummed blocks to a disk, and proves later
 * which start of a guest wrote them (docs/dev/chaos.md).
 *
 *   writer DEVICE          checks what is there, takes the next generation,
 *                          writes for ever; a line a second on stdout
 *   writer DEVICE check    checks only; exit code 0: all is as it must be
 *   writer DEVICE time N   N blocks, one after the other; percentiles
 *
 * On the disk, from BASE on: a log with one block for each generation (a
 * start of the writer), then a ring of blocks.  A block's place follows from
 * its number, its generation from the log.  Two writers at the same time, the
 * crime this looks for, take the same entry of the log or write blocks that
 * belong to the other; each looks for that all the time, and says DOUBLE.
 *
 * It stands alone: the guest has no libraries, and the check must not share
 * code with what it checks.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_DIRECT */
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define BLOCK  4096
#define BASE   (INT64_C(512) << 20)   /* behind the guest's partitions */
#define LOG    256                    /* generations */
#define RING   4096                   /* blocks: 16 MiB */
#define RETELL 5                      /* lines until it says the check again */
#define PACE   50                     /* ms between two blocks */
#define MAGIC  UINT64_C(0x4e52494143) /* "CAIRN" */
#define SECOND INT64_C(1000000)

struct block {
    uint64_t magic;
    uint64_t gen;
    uint64_t seq;  /* in the log: the first of that generation */
    uint64_t boot; /* random: which start it was */
    int64_t at;    /* us since 1970, by the guest's clock */
    uint64_t fill[(BLOCK - 6 * 8) / 8];
    uint64_t sum;
};
_Static_assert(sizeof(struct block) == BLOCK, "a block is a block");

struct state {
    int fd;
    uint64_t gens, last; /* entries of the log; the newest number, 0: none */
    uint64_t start[LOG], boot[LOG]; /* of each: first number, who */
    uint64_t bad, strange;          /* not as written; not of who should have */
    uint64_t present;
};

static struct block *buffer; /* aligned, for direct I/O */

static int64_t now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
}

/* FNV-1a by words: torn and foreign blocks, not attackers. */
static uint64_t sum_of(const struct block *b)
{
    const uint64_t *w = (const uint64_t *)b;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < BLOCK / 8 - 1; i++)
        h = (h ^ w[i]) * UINT64_C(0x100000001b3);
    return h;
}

static int64_t log_place(uint64_t gen)
{
    return BASE + (int64_t)(gen - 1) * BLOCK;
}

static int64_t ring_place(uint64_t seq)
{
    return BASE + (int64_t)LOG * BLOCK + (int64_t)(seq % RING) * BLOCK;
}

static bool read_block(int fd, int64_t place)
{
    ssize_t n = pread(fd, buffer, BLOCK, place);
    if (n == 0) /* a file that is shorter: never written */
        memset(buffer, 0, BLOCK);
    return n == 0 || n == BLOCK;
}

static bool is_whole(const struct block *b)
{
    return b->magic == MAGIC && b->sum == sum_of(b);
}

static bool write_block(int fd, int64_t place, const struct block *head)
{
    *buffer = (struct block){ .magic = MAGIC,
                              .gen = head->gen,
                              .seq = head->seq,
                              .boot = head->boot,
                              .at = now_us(CLOCK_REALTIME) };
    for (size_t i = 0; i < sizeof(buffer->fill) / 8; i++)
        buffer->fill[i] = head->seq * UINT64_C(0x9e3779b97f4a7c15) + i;
    buffer->sum = sum_of(buffer);
    return pwrite(fd, buffer, BLOCK, place) == BLOCK;
}

/* ---- what is there ------------------------------------------------------- */

static bool read_log(struct state *s)
{
    for (s->gens = 0; s->gens < LOG; s->gens++) {
        if (!read_block(s->fd, log_place(s->gens + 1)))
            return false;
        if (!is_whole(buffer) || buffer->gen != s->gens + 1)
            break;
        s->start[s->gens] = buffer->seq;
        s->boot[s->gens] = buffer->boot;
    }
    return true;
}

/* Was the block in the buffer written by whom the log says? */
static bool is_of_its_owner(const struct state *s)
{
    uint64_t gen = 0;
    for (uint64_t i = 0; i < s->gens; i++)
        if (s->start[i] <= buffer->seq)
            gen = i + 1;
    return gen > 0 && buffer->gen == gen && buffer->boot == s->boot[gen - 1];
}

static bool find_last(struct state *s)
{
    s->last = s->present = 0;
    for (uint64_t i = 0; i < RING; i++) {
        if (!read_block(s->fd, ring_place(i)))
            return false;
        if (!is_whole(buffer))
            continue;
        s->present++;
        if (buffer->seq > s->last)
            s->last = buffer->seq;
    }
    return true;
}

static uint64_t oldest(const struct state *s)
{
    return s->last >= RING ? s->last - RING + 2 : 1;
}

/* Every number that the ring still holds, up to the newest.  The block that
 * comes after it may have been torn by the end of its writer. */
static bool check(struct state *s)
{
    s->bad = s->strange = 0;
    if (!read_log(s) || !find_last(s))
        return false;
    for (uint64_t seq = oldest(s); seq <= s->last; seq++) {
        if (!read_block(s->fd, ring_place(seq)))
            return false;
        if (!is_whole(buffer) || buffer->seq != seq)
            s->bad++;
        else if (!is_of_its_owner(s))
            s->strange++;
    }
    return true;
}

static void tell_check(const struct state *s)
{
    printf("writer: check gens=%" PRIu64 " last=%" PRIu64 " blocks=%" PRIu64
           " bad=%" PRIu64 " strange=%" PRIu64 "\n",
           s->gens, s->last, s->last ? s->last - oldest(s) + 1 : 0, s->bad,
           s->strange);
}

/* ---- writing ------------------------------------------------------------- */

/* Is the newest entry of the log ours still? */
static bool is_ours(const struct state *s, const struct block *head)
{
    bool ours = read_block(s->fd, log_place(head->gen)) && is_whole(buffer) &&
                buffer->boot == head->boot;
    if (ours && head->gen < LOG && read_block(s->fd, log_place(head->gen + 1)))
        ours = !is_whole(buffer);
    return ours;
}

static bool begin(struct state *s, struct block *head)
{
    if (s->gens == LOG) {
        printf("writer: the log is full\n");
        return false;
    }
    head->gen = s->gens + 1;
    head->seq = s->last + 1;
    if (getrandom(&head->boot, sizeof(head->boot), 0) < 0)
        return false;
    return write_block(s->fd, log_place(head->gen), head);
}

/* The block before is as we left it: nobody else writes here. */
static bool last_is_ours(const struct state *s, const struct block *head,
                         uint64_t first)
{
    return head->seq == first ||
           (read_block(s->fd, ring_place(head->seq - 1)) && is_whole(buffer) &&
            buffer->boot == head->boot && buffer->seq == head->seq - 1);
}

static int write_for_ever(struct state *s)
{
    struct block head = { 0 };
    if (!begin(s, &head)) {
        printf("writer: cannot begin: %s\n", strerror(errno));
        return 1;
    }
    uint64_t first = head.seq;
    int64_t said = 0, worst = 0, lines = 0;
    for (;;) {
        int64_t t0 = now_us(CLOCK_MONOTONIC);
        if (!write_block(s->fd, ring_place(head.seq), &head)) {
            printf("writer: error gen=%" PRIu64 " seq=%" PRIu64 " %s\n",
                   head.gen, head.seq, strerror(errno));
            usleep(PACE * 10000);
            continue;
        }
        int64_t t1 = now_us(CLOCK_MONOTONIC);
        worst = t1 - t0 > worst ? t1 - t0 : worst;
        head.seq++;
        if (t1 - said >= SECOND) {
            if (!is_ours(s, &head) || !last_is_ours(s, &head, first))
                printf("writer: DOUBLE gen=%" PRIu64 " seq=%" PRIu64 "\n",
                       head.gen, head.seq - 1);
            printf("writer: gen=%" PRIu64 " boot=%016" PRIx64 " at=%" PRId64
                   " synced=%" PRIu64 " worst=%" PRId64 "\n",
                   head.gen, head.boot, now_us(CLOCK_REALTIME) / 1000,
                   head.seq - 1, worst);
            /* Once more now and then: the kernel may write into a line. */
            if (++lines % RETELL == 0)
                tell_check(s);
            said = t1;
            worst = 0;
        }
        usleep(PACE * 1000);
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int take_times(struct state *s, size_t n)
{
    int64_t *us = calloc(n, sizeof(*us));
    struct block head = { .seq = s->last };
    bool ok = us && n > 0;
    for (size_t i = 0; ok && i < n; i++) {
        int64_t t0 = now_us(CLOCK_MONOTONIC);
        head.seq++;
        ok = write_block(s->fd, ring_place(head.seq), &head);
        us[i] = now_us(CLOCK_MONOTONIC) - t0;
    }
    if (ok) {
        qsort(us, n, sizeof(*us), by_value);
        printf("writer: times n=%zu median=%" PRId64 " p95=%" PRId64
               " p99=%" PRId64 " worst=%" PRId64 "\n",
               n, us[n / 2], us[n * 95 / 100], us[n * 99 / 100], us[n - 1]);
    }
    free(us);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[2] : "";
    struct state s = { 0 };
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2 || posix_memalign((void **)&buffer, BLOCK, BLOCK) != 0) {
        fprintf(stderr, "writer DEVICE [check | time N]\n");
        return 2;
    }
    s.fd = open(argv[1], O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
    if (s.fd < 0 || !check(&s)) {
        printf("writer: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    tell_check(&s);
    if (strcmp(verb, "check") == 0)
        return s.bad + s.strange ? 1 : 0;
    if (strcmp(verb, "time") == 0)
        return take_times(&s, argc > 3 ? strtoul(argv[3], NULL, 10) : 1000);
    return write_for_ever(&s);
}
