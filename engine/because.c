/* Why a guest moves, in a sentence: a part of plan.h. */
#include "engine/plan.h"

/* Thousandths with one digit behind the point. */
static void add_tenths(struct buf *out, int64_t thousandths)
{
    int64_t tenths = (thousandths + 50) / 100;
    buf_addf(out, "%lld.%lld", (long long)(tenths / 10),
             (long long)(tenths % 10));
}

static void add_cpus(const struct plan_trouble *t, const char *host,
                     struct buf *out)
{
    buf_addf(out, "guests of %s want ", host);
    add_tenths(out, t->use);
    buf_addf(out, " of its ");
    add_tenths(out, t->has);
    buf_addf(out, " CPUs");
    if (t->stall)
        buf_addf(out, " and lose up to %d %% of their time",
                 (t->stall + 5) / 10);
    buf_addf(out, "; this one wants ");
    add_tenths(out, t->own);
}

static void add_memory(const struct plan_trouble *t, const char *host,
                       struct buf *out)
{
    buf_addf(out, "guests of %s have %lld of its %lld MiB", host,
             (long long)t->use, (long long)t->has);
    if (t->stall)
        buf_addf(out, ", %d %% of the time something waits for memory",
                 (t->stall + 5) / 10);
    buf_addf(out, "; this one has %lld", (long long)t->own);
}

static void add_disk(const struct plan_trouble *t, const char *host,
                     struct buf *out)
{
    buf_addf(out,
             "guests of %s do %lld KiB/s to its disks and wait for them up to "
             "%d %% of the time; this one does %lld",
             host, (long long)t->use, (t->stall + 5) / 10, (long long)t->own);
}

static void add_network(const struct plan_trouble *t, const char *host,
                        struct buf *out)
{
    buf_addf(out,
             "%lld of the %lld KiB/s of %s's link are in use; this one uses "
             "%lld",
             (long long)t->use, (long long)t->has, host, (long long)t->own);
}

void plan_because(const struct fleet *f, const struct plan_move *m,
                  struct buf *out)
{
    static void (*const add[STRAINS])(const struct plan_trouble *, const char *,
                                      struct buf *) = {
        [STRAIN_CPU] = add_cpus,
        [STRAIN_MEMORY] = add_memory,
        [STRAIN_DISK] = add_disk,
        [STRAIN_NETWORK] = add_network,
    };
    if (m->reason == GOAL_RELIEVE && m->trouble.strain < STRAINS)
        add[m->trouble.strain](&m->trouble, f->hosts[m->from.host].name, out);
    else
        buf_addf(out, "%s", plan_reason_text(m->reason));
}
