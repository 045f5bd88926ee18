#include "storage/heads.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define QCOW2    ".qcow2"
#define NAME_LEN 256

static char *link_path(const struct layers *l, enum place place, const char *id)
{
    _autofree_ char *name = xasprintf("%d~%s", (int)place, id);
    return layers_path(l, PLACE_HEADS, name, "");
}

/* The name that heads/ gives; false: the first one. */
static bool head_name(const struct layers *l, enum place place, const char *id,
                      char out[NAME_LEN])
{
    _autofree_ char *link = link_path(l, place, id);
    ssize_t n = readlink(link, out, NAME_LEN - 1);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

char *heads_path(const struct layers *l, enum place place, const char *id)
{
    char name[NAME_LEN];
    return head_name(l, place, id, name) ? layers_path(l, place, name, "")
                                         : layers_path(l, place, id, QCOW2);
}

void heads_id(char *name)
{
    size_t n = strlen(name), cut = strlen(QCOW2);
    if (n > cut && strcmp(name + n - cut, QCOW2) == 0)
        name[n - cut] = '\0';
    name[strcspn(name, "~")] = '\0';
}

/* ---- the other names of a volume ---------------------------------------- */

struct others {
    const char *id;
    char head[NAME_LEN]; /* not this one */
    bool (*fn)(struct layers *, const char *path, struct error *);
};

static bool each_other(struct layers *l, void *arg, enum place place,
                       const char *name, struct error *err)
{
    const struct others *o = arg;
    char id[NAME_LEN];
    snprintf(id, sizeof(id), "%s", name);
    heads_id(id);
    if (strcmp(id, o->id) != 0 || strcmp(name, o->head) == 0)
        return true;
    _autofree_ char *path = layers_path(l, place, name, "");
    return o->fn(l, path, err);
}

/* One that never was snapshotted while in use has no other names. */
static bool with_others(struct layers *l, enum place place, const char *id,
                        bool (*fn)(struct layers *, const char *,
                                   struct error *),
                        struct error *err)
{
    struct others o = { .id = id, .fn = fn };
    return !head_name(l, place, id, o.head) ||
           layers_each(l, place, each_other, &o, err);
}

/* What a guest has let go of is as it is now for ever. */
static bool retire(struct layers *l, const char *path, struct error *err)
{
    _autoclose_ int held = layers_guard(path, err);
    return held >= 0 && layers_finish(l, path, true, err) &&
           layers_drop(l, path, err);
}

bool heads_settle(struct layers *l, enum place place, const char *id,
                  struct error *err)
{
    return with_others(l, place, id, retire, err);
}

static bool is_unsettled(struct layers *l, const char *path, struct error *err)
{
    return false;
}

bool heads_settled(struct layers *l, enum place place, const char *id)
{
    return with_others(l, place, id, is_unsettled, NULL);
}

bool heads_drop(struct layers *l, enum place place, const char *id,
                struct error *err)
{
    _autofree_ char *head = heads_path(l, place, id);
    _autofree_ char *link = link_path(l, place, id);
    if (!with_others(l, place, id, layers_drop, err) ||
        !layers_drop(l, head, err))
        return false;
    return unlink(link) == 0 || errno == ENOENT ||
           error_errno(err, ERR_INTERNAL, errno, "cannot remove %s", link);
}

/* ---- a new head --------------------------------------------------------- */

static bool make_next(struct layers *l, enum place place, const char *head,
                      const char *next, struct error *err)
{
    int64_t size;
    char gen[GENERATION_SIZE];
    if (!layers_drop(l, next, err) || !layers_size(head, &size, err))
        return false;
    if (layers_depth(l, head) >= LAYERS_DEPTH_MAX)
        return error_set(err, ERR_CONFLICT,
                         "%s is in use by a guest and "
                         "stands on too many layers",
                         head);
    return layers_new(l, head, "qcow2", size, gen, err) &&
           layers_publish(l, gen, place, next, err);
}

/* From here on this file is the head. */
static bool point_to(struct layers *l, enum place place, const char *id,
                     const char *path, struct error *err)
{
    char name[GENERATION_SIZE];
    _autofree_ char *link = link_path(l, place, id);
    env_hex_id(l->env, name);
    _autofree_ char *tmp = layers_path(l, PLACE_TMP, name, "");
    layers_point(l, "points");
    if (symlink(strrchr(path, '/') + 1, tmp) < 0 || rename(tmp, link) < 0) {
        int saved = errno;
        unlink(tmp);
        return error_errno(err,
                           saved == ENOSPC || saved == EDQUOT ? ERR_NO_SPACE
                                                              : ERR_INTERNAL,
                           saved, "cannot make %s", link);
    }
    layers_point(l, "pointed");
    return layers_sync(l, PLACE_HEADS, err);
}

/* The link comes before the volume's second file, so that whoever removes
 * the volume finds both. */
static bool go_on_in(struct layers *l, enum place place, const char *id,
                     const char *head, const char *next, struct error *err)
{
    char name[NAME_LEN];
    return (head_name(l, place, id, name) ||
            point_to(l, place, id, head, err)) &&
           make_next(l, place, head, next, err) &&
           point_to(l, place, id, next, err);
}

bool heads_move(struct layers *l, enum place place, const char *id,
                const char *snapshot_id, struct error *err)
{
    _autofree_ char *head = heads_path(l, place, id);
    _autofree_ char *name = xasprintf("%s~%s", id, snapshot_id);
    _autofree_ char *next = layers_path(l, place, name, QCOW2);
    _autofree_ char *to = layers_path(l, PLACE_SNAPSHOTS, snapshot_id, QCOW2);
    if (layers_exists(to))
        return true;
    if (strcmp(head, next) != 0) {
        _autoclose_ int idle = layers_guard(head, err);
        if (idle >= 0)
            return true;
        if (err->code != ERR_CONFLICT || !heads_settle(l, place, id, err) ||
            !go_on_in(l, place, id, head, next, err))
            return false;
    }
    _autofree_ char *base = layers_base(l, next);
    if (!base)
        return error_set(err, ERR_INTERNAL, "%s stands on nothing", next);
    return layers_link(l, base, PLACE_SNAPSHOTS, to, err);
}
