#include "daemon/etcd_upkeep.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/etcd_member.h"
#include "daemon/pool_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define LOG_NAME  "etcd"
#define KEY       "upkeep"
#define NAME_SIZE sizeof("etcd-20261122T041500Z.db")

struct etcd_upkeep {
    struct etcd_upkeep_config c;
    char *url, *dir; /* dir: of the snapshots */
    bool tried;      /* defragmented since the alarm */
    struct reconciler *queue;
};

/* ---- snapshots ----------------------------------------------------------- */

static int is_snapshot(const struct dirent *e)
{
    return strlen(e->d_name) == NAME_SIZE - 1 &&
           strncmp(e->d_name, "etcd-", 5) == 0 &&
           strcmp(e->d_name + NAME_SIZE - 4, ".db") == 0;
}

static int64_t age_of(const char *dir, const char *name, int64_t now)
{
    struct stat st;
    _autofree_ char *path = xasprintf("%s/%s", dir, name);
    return stat(path, &st) == 0 ? now - st.st_mtime * SECOND_US : INT64_MAX;
}

/* Removes all but the newest; the age of that, us. */
static int64_t tidy_snapshots(const char *dir, int64_t now)
{
    struct dirent **names;
    int64_t age = INT64_MAX;
    int n = scandir(dir, &names, is_snapshot, alphasort);
    for (int i = 0; i < n; i++) {
        if (i + ETCD_SNAPSHOTS_KEPT < n) {
            _autofree_ char *old = xasprintf("%s/%s", dir, names[i]->d_name);
            unlink(old);
        }
        if (i == n - 1)
            age = age_of(dir, names[i]->d_name, now);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return age;
}

static bool has_room(const char *dir, int64_t bytes, struct error *err)
{
    struct statvfs st;
    if (statvfs(dir, &st) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", dir);
    if ((int64_t)st.f_bavail * (int64_t)st.f_frsize > 2 * bytes)
        return true;
    return error_set(err, ERR_NO_SPACE, "no room for a snapshot in %s", dir);
}

static bool write_snapshot(struct grpc *g, const char *dir, const char *name,
                           struct error *err)
{
    int64_t bytes = 0;
    _autofree_ char *path = xasprintf("%s/%s", dir, name);
    _autofree_ char *fresh = xasprintf("%s/new", dir);
    _autoclose_ int fd =
        open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", fresh);
    if (!etcd_snapshot(g, fd, &bytes, err) ||
        (fsync(fd) != 0 && !error_errno(err, ERR_INTERNAL, errno, "%s", fresh)))
        return unlink(fresh) != 0 && false;
    if (rename(fresh, path) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    log_info(LOG_NAME, "wrote the snapshot %s, %lld bytes", path,
             (long long)bytes);
    return true;
}

static bool keep_snapshot(struct etcd_upkeep *u, struct grpc *g,
                          const struct etcd_status *status, struct error *err)
{
    char name[NAME_SIZE];
    int64_t now = env_now(u->c.env);
    time_t seconds = (time_t)(now / SECOND_US);
    struct tm tm;
    if (mkdir(u->dir, 0700) != 0 && errno != EEXIST)
        return error_errno(err, ERR_INTERNAL, errno, "%s", u->dir);
    if (tidy_snapshots(u->dir, now) < ETCD_SNAPSHOT_EVERY_US)
        return true;
    gmtime_r(&seconds, &tm);
    strftime(name, sizeof(name), "etcd-%Y%m%dT%H%M%SZ.db", &tm);
    bool ok = has_room(u->dir, status->bytes, err) &&
              write_snapshot(g, u->dir, name, err);
    tidy_snapshots(u->dir, now);
    return ok;
}

/* ---- chores -------------------------------------------------------------- */

bool etcd_upkeep_turn(size_t i, size_t n, int64_t now)
{
    return n > 0 && (size_t)(now / ETCD_UPKEEP_US) % n == i;
}

/* Is it this member's turn?  The list has the same order for all. */
static bool is_our_turn(struct etcd_upkeep *u, struct grpc *g, uint64_t member)
{
    struct etcd_members list;
    struct error err;
    size_t at = 0;
    if (!etcd_list(g, &list, &err))
        return false;
    for (size_t i = 0; i < list.n; i++)
        at += list.all[i].id < member;
    return etcd_upkeep_turn(at, list.n, env_now(u->c.env));
}

static bool defragment(struct etcd_upkeep *u, struct grpc *g,
                       const struct etcd_status *s, struct error *err)
{
    if (!s->no_space && !is_our_turn(u, g, s->member))
        return true;
    log_info(LOG_NAME, "defragments: %lld of %lld bytes are used",
             (long long)s->bytes_used, (long long)s->bytes);
    u->tried = s->no_space;
    return etcd_defragment(g, err);
}

static bool do_chore(struct etcd_upkeep *u, struct grpc *g,
                     const struct etcd_status *s, struct error *err)
{
    switch (etcd_chore(s, ETCD_QUOTA, u->tried)) {
    case ETCD_CHORE_DEFRAGMENT:
        return defragment(u, g, s, err);
    case ETCD_CHORE_DISARM:
        u->tried = false;
        log_info(LOG_NAME, "has room again");
        return etcd_disarm_no_space(g, s->member, err);
    case ETCD_CHORE_ROOM:
        log_err(LOG_NAME, "the pool's state has no room left: %lld bytes",
                (long long)s->bytes);
        return true;
    case ETCD_CHORE_NONE:
        return true;
    }
    return true;
}

static bool look(struct etcd_upkeep *u, struct error *err)
{
    struct etcd_status status;
    struct grpc *g = pool_store_dial(u->c.config, u->c.env, u->url, err);
    if (!g)
        return false;
    bool ok = etcd_status(g, &status, err) && do_chore(u, g, &status, err) &&
              (status.learner || keep_snapshot(u, g, &status, err));
    grpc_close(g);
    return ok;
}

static enum reconcile_verdict work(void *self, const char *key,
                                   int64_t *delay_us, struct error *err)
{
    struct etcd_upkeep *u = self;
    if (etcd_member_here(u->c.config->state_dir) && !look(u, err))
        log_limited(LOG_WARN, LOG_NAME, "upkeep: %s", err->text);
    *delay_us = ETCD_UPKEEP_US;
    return RECONCILE_AGAIN;
}

/* ---- life ---------------------------------------------------------------- */

struct etcd_upkeep *etcd_upkeep_start(const struct etcd_upkeep_config *config)
{
    struct etcd_upkeep *u = xcalloc(1, sizeof(*u));
    u->c = *config;
    u->url = xstrdup(config->url);
    u->dir = xasprintf("%s/snapshots", config->config->state_dir);
    u->queue = reconciler_new(LOG_NAME, work, u, config->env, config->workers);
    reconciler_add_after(u->queue, KEY, ETCD_UPKEEP_FIRST_US);
    return u;
}

struct reconciler *etcd_upkeep_queue(struct etcd_upkeep *u)
{
    return u->queue;
}

void etcd_upkeep_stop(struct etcd_upkeep *u)
{
    if (!u)
        return;
    reconciler_stop(u->queue);
    free(u->url);
    free(u->dir);
    free(u);
}
