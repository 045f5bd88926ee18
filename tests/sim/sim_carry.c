/*
 * Disks on their way between nodes, as daemon/carry.h has it, without a
 * cable: who asks pulls piece after piece, and the world may go on between
 * any two.
 */
#include "core.h"
#include "daemon/carry.h"
#include "files.h"

#include <string.h>

struct carrying {
    struct sim_node *to, *from;
    const struct core *sender; /* its incarnation */
    char disk[STORAGE_NAME_MAX];
};

/* Whoever sends lives, and both reach each other. */
static bool is_up(const struct carrying *c)
{
    const struct sim_node *n = c->from;
    return n->core == c->sender && !n->core_dying && !n->busy &&
           !(sim_node_cut(n) & CUT_STORE) &&
           !(sim_node_cut(c->to) & CUT_STORE) &&
           !(n->w->chaos && n->still_until > n->w->time);
}

static struct file *disk_of(const struct carrying *c)
{
    return files_find(c->to->w->files, c->from, STORED_DISK, c->disk);
}

static bool get(void *arg, void *data, size_t len, struct error *err)
{
    struct carrying *c = arg;
    struct carried piece;
    if (!effect_begin(c->to, "takes of disk", c->disk, err))
        return false;
    const struct file *x = disk_of(c);
    if (!is_up(c) || !x || len != sizeof(piece))
        return error_set(err, ERR_UNAVAILABLE,
                         "simulated: %s sends disk %s no more", c->from->name,
                         c->disk);
    piece = (struct carried){ x->content, x->size, 3 };
    memcpy(data, &piece, sizeof(piece));
    return effect_end(c->to, err);
}

/* What is sent no guest may write to. */
static bool hold(struct carrying *c, struct error *err)
{
    struct file *x = disk_of(c);
    if (!x)
        return error_set(err, ERR_NOT_FOUND, "disk %s has no file", c->disk);
    if (files_used(c->to->w->files, x))
        return error_set(err, ERR_CONFLICT, "%s is in use", c->disk);
    x->readers++;
    return true;
}

static void let_go(const struct carrying *c)
{
    struct file *x = disk_of(c);
    if (x && c->from->core == c->sender)
        x->readers--;
}

static bool permitted(struct carrying *c, const char *disk_id,
                      struct error *err)
{
    _autosnap_ struct snapshot *s = core_snapshot(c->from->core);
    const char *source = carry_permits(s, c->from->name, disk_id, err);
    if (source)
        snprintf(c->disk, sizeof(c->disk), "%s", source);
    return source != NULL;
}

bool files_fetch(void *self, const char *node, const char *disk_id,
                 storage_take_fn *take, void *arg, struct error *err)
{
    struct carrying c = { .to = self };
    const struct byte_source from = { get, NULL, &c };
    if (!effect_begin(c.to, "fetches disk", disk_id, err))
        return false;
    c.from = sim_node_named(c.to->w, node);
    c.sender = c.from ? c.from->core : NULL;
    if (!c.sender || !is_up(&c))
        return error_set(err, ERR_UNAVAILABLE, "simulated: %s does not answer",
                         node);
    if (!permitted(&c, disk_id, err) || !hold(&c, err))
        return false;
    bool ok = take(arg, &from, err);
    let_go(&c);
    return ok;
}
