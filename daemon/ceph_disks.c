#include "daemon/ceph_disks.h"

#include "common/log.h"

#include <string.h>

void ceph_disks_load(struct ceph_disks *d, const struct ceph_files *files)
{
    *d = (struct ceph_disks){ .files = files };
    for (int i = 0; i < CEPH_SLOTS; i++)
        ceph_slot_load(files, &d->slots[i], i + 1);
}

/* An unfinished slot for this very disk, or NULL. */
static struct ceph_slot *begun_for(struct ceph_disks *d,
                                   const struct disk *disk)
{
    for (int i = 0; i < CEPH_SLOTS; i++) {
        struct ceph_slot *s = &d->slots[i];
        bool same = *disk->facts.osd
                        ? strcmp(s->uuid, disk->facts.osd) == 0
                        : disk->free && strcmp(s->path, disk->path) == 0;
        if (s->used && !s->ready && same)
            return s;
    }
    return NULL;
}

bool ceph_disks_may_take(struct ceph_disks *d, const struct disk *disk)
{
    return disk->free || begun_for(d, disk);
}

const struct ceph_slot *ceph_disks_owner(const struct ceph_disks *d,
                                         const struct disk *disk)
{
    for (int i = 0; i < CEPH_SLOTS; i++)
        if (*disk->facts.osd && d->slots[i].used &&
            strcmp(d->slots[i].uuid, disk->facts.osd) == 0)
            return &d->slots[i];
    return NULL;
}

const struct disk *ceph_disks_of(const struct ceph_disks *d,
                                 const struct ceph_slot *slot)
{
    for (size_t i = 0; i < d->n; i++)
        if (*d->all[i].facts.osd &&
            strcmp(d->all[i].facts.osd, slot->uuid) == 0)
            return &d->all[i];
    return NULL;
}

bool ceph_disks_is_gone(const struct ceph_disks *d,
                        const struct ceph_slot *slot)
{
    int64_t since = d->missing[slot->n - 1];
    return since && env_mono(d->files->env) >= since + CEPH_GONE_US;
}

static void watch_slots(struct ceph_disks *d)
{
    for (int i = 0; i < CEPH_SLOTS; i++) {
        const struct ceph_slot *s = &d->slots[i];
        if (!s->ready || ceph_disks_of(d, s))
            d->missing[i] = 0;
        else if (!d->missing[i])
            d->missing[i] = env_mono(d->files->env);
    }
}

int ceph_disks_look(struct ceph_disks *d)
{
    int free_ones = 0;
    uint64_t mark = 1;
    d->n = disks_look(d->files->config->disks, d->all, DISKS_MAX);
    for (size_t i = 0; i < d->n; i++) {
        const struct disk *one = &d->all[i];
        free_ones += ceph_disks_may_take(d, one);
        for (const char *c = one->path; *c; c++)
            mark = mark * 31 + (unsigned char)*c;
        mark = mark * 31 + one->free;
    }
    for (size_t i = 0; i < d->n && mark != d->told; i++)
        if (!d->all[i].free && !ceph_disks_owner(d, &d->all[i]))
            log_info("ceph", "%s is left alone: %s", d->all[i].path,
                     d->all[i].reason);
    d->told = mark;
    watch_slots(d);
    return free_ones;
}

struct ceph_slot *ceph_disks_slot(struct ceph_disks *d, const struct disk *disk,
                                  struct error *err)
{
    struct ceph_slot *s = begun_for(d, disk);
    for (int i = 0; i < CEPH_SLOTS && !s; i++)
        if (!d->slots[i].used)
            s = &d->slots[i];
    if (!s)
        error_set(err, ERR_NO_SPACE, "no more than %d OSDs a node", CEPH_SLOTS);
    else if (!s->used && !ceph_slot_take(d->files, s, disk->path, err))
        return NULL;
    return s;
}
