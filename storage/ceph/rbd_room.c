#include "storage/ceph/rbd_room.h"

#include "common/cleanup.h"

#include <stdio.h>
#include <string.h>

/* The worst last. */
static const char *const marks[] = { "nearfull", "backfillfull", "full" };

static bool has_flag(const char *flags, const char *flag)
{
    size_t n = strlen(flag);
    for (const char *at = flags; at && *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        if (len == n && strncmp(at, flag, n) == 0)
            return true;
        at += len;
    }
    return false;
}

static void read_flags(struct rbd_room *room, json_t *pools, const char *name)
{
    size_t i;
    json_t *pool;
    json_array_foreach(pools, i, pool)
    {
        const char *is = json_string_value(json_object_get(pool, "pool_name"));
        const char *flags =
            json_string_value(json_object_get(pool, "flags_names"));
        if (!is || strcmp(is, name) != 0)
            continue;
        for (size_t k = 0; k < ARRAY_SIZE(marks); k++)
            if (has_flag(flags, marks[k]))
                snprintf(room->flag, sizeof(room->flag), "%s", marks[k]);
    }
}

static void look(struct rbd_room *room, struct ceph *c, const char *pool,
                 int64_t now)
{
    struct error none;
    _autojson_ json_t *pools = NULL;
    bool ok = ceph_command(
        c, json_pack("{ss ss}", "prefix", "osd pool ls", "detail", "detail"),
        NULL, &pools, &none);
    room->looked = now;
    room->flag[0] = '\0';
    if (ok)
        read_flags(room, pools, pool);
}

bool rbd_has_room(struct rbd_room *room, struct ceph *c, const char *pool,
                  const struct env *env, struct error *err)
{
    int64_t now = env_mono(env);
    pthread_mutex_lock(&room->lock);
    if (!room->looked || now - room->looked >= RBD_ROOM_AGE_US)
        look(room, c, pool, now);
    bool ok = !room->flag[0] ||
              error_set(err, ERR_NO_SPACE,
                        "the pool's storage is %s: nothing new is made in it",
                        room->flag);
    pthread_mutex_unlock(&room->lock);
    return ok;
}
