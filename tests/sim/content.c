#include "content.h"

#include "common/alloc.h"
#include "model/compute.h"
#include "model/migration.h"
#include "model/volume.h"

#include <string.h>

struct content {
    struct content *next;
    enum stored_kind kind;
    char name[STORAGE_NAME_MAX];
    int64_t newest;
    bool gone; /* whoever has this name next is another */
};

static struct content *known(struct world *w, enum stored_kind kind,
                             const char *name)
{
    struct content *c = w->content;
    while (c && (c->kind != kind || strcmp(c->name, name) != 0))
        c = c->next;
    return c;
}

static struct content *add(struct world *w, const struct file *x)
{
    struct content *c = xcalloc(1, sizeof(*c));
    c->kind = x->kind;
    memcpy(c->name, x->name, sizeof(c->name));
    c->next = w->content;
    return w->content = c;
}

/* What should be in it: what was last written to it, or to what it is a copy
 * of.  0: nobody knows. */
static int64_t expected(struct world *w, const struct file *x)
{
    const struct content *c = known(w, x->kind, x->name);
    bool same = c && !c->gone;
    if (same || x->kind != STORED_DISK)
        return same ? c->newest : 0;
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    const struct disk *d = snap_get(s, &kind_disk, x->name);
    c = d && d->source_id ? known(w, STORED_DISK, d->source_id) : NULL;
    return c ? c->newest : 0;
}

void content_opens(struct world *w, const char *server, const char *path)
{
    struct file *x = files_at(w->files, path);
    if (!x)
        return;
    int64_t was = expected(w, x);
    if (was && x->content != was)
        world_broken(w,
                     "no write is lost: server %s has %s with content %lld, "
                     "the newest is %lld",
                     server, path, (long long)x->content, (long long)was);
    struct content *c = known(w, x->kind, x->name);
    c = c ? c : add(w, x);
    c->gone = false;
    c->newest = x->content = ++w->contents;
}

void content_goes_on(struct world *w, const char *from, const char *to)
{
    const struct file *old = files_at(w->files, from);
    struct file *new = files_at(w->files, to);
    if (old && new)
        new->content = old->content;
}

/* ---- what is removed -------------------------------------------------------
 */

static bool is_at(const struct file *x, const char *node)
{
    return !x->node || (node && strcmp(node, x->node->name) == 0);
}

/* A resize that is not confirmed may go back to the disks of before. */
static bool is_way_back(const struct snapshot *s, const struct server *server,
                        const struct disk *d)
{
    const struct migration *m = server_migration(s, server);
    return m && migration_is_cold(m) && m->status > MIGRATION_PREPARING &&
           d->generation == m->old_disks;
}

static void disk_goes(struct world *w, const struct snapshot *s,
                      const struct file *x)
{
    char id[STORE_KEY_MAX];
    struct snap_iter it = snap_all(s, &kind_disk);
    for (const struct disk *d; (d = snap_next(&it));) {
        const struct server *server = snap_get(s, &kind_server, d->server_id);
        if (strcmp(disk_file_id(id, d), x->name) != 0 || !is_at(x, d->node) ||
            d->migration_id || !server || server->goal == GOAL_DELETED ||
            server->vm_state == VM_SHELVED_OFFLOADED)
            continue;
        if (d->generation == server->disks || is_way_back(s, server, d))
            world_broken(
                w, "no write is lost: disk %s is removed, server %s %s",
                x->path, server->rec.id,
                d->generation == server->disks ? "has it" : "may want it back");
    }
}

/* Of a disk that went to another node the file there is the same. */
static bool is_last(struct world *w, const struct file *x)
{
    for (const struct file *o = files_first(w->files); o; o = o->next)
        if (o != x && o->kind == x->kind && strcmp(o->name, x->name) == 0)
            return false;
    return true;
}

void content_goes(struct world *w, const struct file *x)
{
    struct content *c = known(w, x->kind, x->name);
    if (c && is_last(w, x))
        c->gone = true;
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    if (x->kind == STORED_DISK)
        disk_goes(w, s, x);
    const struct volume *v =
        x->kind == STORED_VOLUME ? snap_get(s, &kind_volume, x->name) : NULL;
    if (v && is_at(x, v->node) &&
        (v->status == VOLUME_AVAILABLE || v->status == VOLUME_IN_USE))
        world_broken(w, "no write is lost: volume %s is removed, it is %s",
                     x->name, volume_status_names[v->status]);
}

void content_forget(struct world *w)
{
    for (struct content *c; (c = w->content);) {
        w->content = c->next;
        free(c);
    }
}
