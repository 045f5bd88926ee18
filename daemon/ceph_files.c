#include "daemon/ceph_files.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "daemon/command.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CEPH_USER "ceph"
#define MKFS_MS   120000

/* ---- small files ------------------------------------------------------- */

/* In one step; a secret is readable by its owner alone. */
static bool put(const char *path, const char *text, mode_t mode,
                struct error *err)
{
    _autofree_ char *new = xasprintf("%s.new", path);
    size_t len = strlen(text);
    unlink(new);
    _autoclose_ int fd =
        open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd) != 0 ||
        rename(new, path) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

/* The first line; false when there is no such file. */
static bool get(const char *path, char *text, size_t size)
{
    _autofile_ FILE *f = fopen(path, "re");
    if (!f || !fgets(text, (int)size, f))
        return false;
    text[strcspn(text, "\n")] = '\0';
    return true;
}

static bool make_dir(const char *path, mode_t mode, struct error *err)
{
    return mkdir(path, mode) == 0 || errno == EEXIST ||
           error_errno(err, ERR_INTERNAL, errno, "%s", path);
}

static bool give_away(const char *path, struct error *err)
{
    return command_do(err, "chown", "-R", CEPH_USER ":" CEPH_USER, path, NULL);
}

/* ---- the places -------------------------------------------------------- */

bool ceph_files_open(struct ceph_files *f, const struct config *config,
                     const struct env *env, const char *node, struct error *err)
{
    *f = (struct ceph_files){ .config = config, .env = env };
    snprintf(f->node, sizeof(f->node), "%s", node);
    snprintf(f->address, sizeof(f->address), "%.*s",
             (int)strcspn(config->address, "/"), config->address);
    f->dir = xasprintf("%s/ceph", config->state_dir);
    f->log_dir = xasprintf("%s/ceph", config->log_dir);
    _autofree_ char *path = xasprintf("%s/fsid", f->dir);
    get(path, f->fsid, sizeof(f->fsid));
    return *f->address || error_set(err, ERR_INVALID,
                                    "volumes = ceph with services = on needs "
                                    "this node's address");
}

void ceph_files_close(struct ceph_files *f)
{
    free(f->dir);
    free(f->log_dir);
    *f = (struct ceph_files){ 0 };
}

bool ceph_files_foreign(const struct config *config)
{
    char line[128];
    return get(config->ceph_conf, line, sizeof(line)) &&
           strcmp(line, CEPH_CONF_MARK) != 0;
}

bool ceph_files_founded(const struct ceph_files *f)
{
    return *f->fsid != '\0';
}

bool ceph_files_conf(const struct ceph_files *f, struct error *err)
{
    struct buf text = BUF_INIT(64 * 1024);
    struct ceph_place self;
    snprintf(self.name, sizeof(self.name), "%s", f->node);
    snprintf(self.address, sizeof(self.address), "%s", f->address);
    const struct ceph_conf conf = {
        .fsid = f->fsid,
        .mons = &self,
        .n_mons = 1,
        .node = f->node,
        .rack = "",
        .address = f->address,
        .dir = f->dir,
        .log_dir = f->log_dir,
    };
    _autofree_ char *dir = xstrdup(f->config->ceph_conf);
    *strrchr(dir, '/') = '\0';
    ceph_conf_text(&conf, &text);
    bool ok = (!*dir || make_dir(dir, 0755, err)) &&
              make_dir(f->log_dir, 0755, err) && give_away(f->log_dir, err) &&
              put(f->config->ceph_conf, buf_str(&text), 0644, err);
    buf_free(&text);
    return ok;
}

/* ---- founding ---------------------------------------------------------- */

static const char *const caps_admin[] = { "mon", "allow *", "osd", "allow *",
                                          "mgr", "allow *", NULL };
static const char *const caps_mon[] = { "mon", "allow *", NULL };
static const char *const caps_rbd[] = {
    "mon", "profile rbd", "osd", "profile rbd", "mgr", "profile rbd", NULL
};

/* A client's key: in the monitor's first keyring, and in a file. */
static bool add_client(const struct ceph_files *f, const char *dir,
                       const char *name, const char *const *caps,
                       struct buf *ring, struct error *err)
{
    char key[CEPH_SECRET_MAX];
    struct buf own = BUF_INIT(4096);
    _autofree_ char *entity = xasprintf("client.%s", name);
    _autofree_ char *path = xasprintf("%s/%s.keyring", dir, entity);
    ceph_conf_secret(f->env, key);
    ceph_conf_key(ring, entity, key, caps);
    ceph_conf_key(&own, entity, key, NULL);
    bool ok = put(path, buf_str(&own), 0600, err);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(own.data, own.len);
    buf_free(&own);
    return ok;
}

/* The monitors' own key, with what they know at first; both in `dir`. */
static bool make_keys(const struct ceph_files *f, const char *dir,
                      struct error *err)
{
    char key[CEPH_SECRET_MAX];
    struct buf ring = BUF_INIT(16 * 1024);
    _autofree_ char *first = xasprintf("%s/first.keyring", dir);
    ceph_conf_secret(f->env, key);
    ceph_conf_key(&ring, "mon.", key, caps_mon);
    OPENSSL_cleanse(key, sizeof(key));
    bool ok =
        add_client(f, dir, "admin", caps_admin, &ring, err) &&
        (strcmp(f->config->ceph_client, "admin") == 0 ||
         add_client(f, dir, f->config->ceph_client, caps_rbd, &ring, err)) &&
        put(first, buf_str(&ring), 0600, err);
    OPENSSL_cleanse(ring.data, ring.len);
    buf_free(&ring);
    return ok;
}

static bool make_monmap(const struct ceph_files *f, const char *dir,
                        struct error *err)
{
    _autofree_ char *map = xasprintf("%s/monmap", dir);
    _autofree_ char *at =
        xasprintf("[v2:%s:3300,v1:%s:6789]", f->address, f->address);
    return command_do(err, "monmaptool", "--create", "--clobber", "--fsid",
                      f->fsid, "--enable-all-features", "--addv", f->node, at,
                      map, NULL);
}

static bool make_monitor(const struct ceph_files *f, const char *dir,
                         struct error *err)
{
    _autofree_ char *data = xasprintf("%s/mon-%s", dir, f->node);
    _autofree_ char *ring = xasprintf("%s/first.keyring", dir);
    _autofree_ char *kept = xasprintf("%s/keyring", data);
    _autofree_ char *map = xasprintf("%s/monmap", dir);
    _autowords_ struct words w = WORDS_INIT;
    words_add(&w, "ceph-mon");
    words_add(&w, "--mkfs");
    words_add(&w, "--conf=%s", f->config->ceph_conf);
    words_add(&w, "--id=%s", f->node);
    words_add(&w, "--mon-data=%s", data);
    words_add(&w, "--monmap=%s", map);
    words_add(&w, "--keyring=%s", ring);
    words_add(&w, "--log-file=/dev/null");
    if (!make_dir(data, 0750, err) || !command_run(&w, MKFS_MS, NULL, err) ||
        (rename(ring, kept) != 0 &&
         !error_errno(err, ERR_INTERNAL, errno, "%s", kept)))
        return false;
    unlink(map);
    return give_away(data, err);
}

/* Beside its place, so that there is never half of it there. */
bool ceph_files_found(struct ceph_files *f, struct error *err)
{
    _autofree_ char *new = xasprintf("%s.new", f->dir);
    _autofree_ char *id = xasprintf("%s/fsid", new);
    _autofree_ char *run = xasprintf("%s/run", new);
    _autofree_ char *crash = xasprintf("%s/crash", new);
    char fsid[UUID_SIZE];
    env_uuid(f->env, fsid);
    memcpy(f->fsid, fsid, sizeof(fsid));
    bool ok = command_do(err, "rm", "-rf", new, NULL) &&
              make_dir(new, 0711, err) && make_dir(run, 0755, err) &&
              make_dir(crash, 0755, err) && give_away(run, err) &&
              give_away(crash, err) && put(id, fsid, 0644, err) &&
              ceph_files_conf(f, err) && make_keys(f, new, err) &&
              make_monmap(f, new, err) && make_monitor(f, new, err) &&
              (rename(new, f->dir) == 0 ||
               error_errno(err, ERR_INTERNAL, errno, "%s", f->dir));
    if (!ok)
        f->fsid[0] = '\0';
    return ok;
}

/* ---- daemons ----------------------------------------------------------- */

bool ceph_files_has(const struct ceph_files *f, const char *kind)
{
    _autofree_ char *path =
        xasprintf("%s/%s-%s/keyring", f->dir, kind, f->node);
    return access(path, F_OK) == 0;
}

bool ceph_files_keep(const struct ceph_files *f, const char *kind,
                     const char *key, struct error *err)
{
    struct buf ring = BUF_INIT(4096);
    _autofree_ char *dir = xasprintf("%s/%s-%s", f->dir, kind, f->node);
    _autofree_ char *path = xasprintf("%s/keyring", dir);
    _autofree_ char *entity = xasprintf("%s.%s", kind, f->node);
    ceph_conf_key(&ring, entity, key, NULL);
    bool ok = make_dir(dir, 0750, err) &&
              put(path, buf_str(&ring), 0600, err) && give_away(dir, err);
    OPENSSL_cleanse(ring.data, ring.len);
    buf_free(&ring);
    return ok;
}

/* ---- OSDs -------------------------------------------------------------- */

char *ceph_slot_dir(const struct ceph_files *f, int n)
{
    return xasprintf("%s/disk-%d", f->dir, n);
}

static char *in_slot(const struct ceph_files *f, int n, const char *name)
{
    return xasprintf("%s/disk-%d/%s", f->dir, n, name);
}

void ceph_slot_load(const struct ceph_files *f, struct ceph_slot *slot, int n)
{
    char line[UUID_SIZE + DISK_PATH_MAX], number[16];
    _autofree_ char *mine = in_slot(f, n, "cairn");
    _autofree_ char *done = in_slot(f, n, "osd");
    *slot = (struct ceph_slot){ .n = n };
    if (!get(mine, line, sizeof(line)) || strlen(line) <= UUID_SIZE)
        return;
    snprintf(slot->uuid, sizeof(slot->uuid), "%.36s", line);
    snprintf(slot->path, sizeof(slot->path), "%s", line + UUID_SIZE);
    slot->used = uuid_valid(slot->uuid);
    slot->ready = slot->used && get(done, number, sizeof(number));
    if (slot->ready)
        slot->osd = (int)strtol(number, NULL, 10);
}

bool ceph_slot_take(const struct ceph_files *f, struct ceph_slot *slot,
                    const char *path, struct error *err)
{
    char uuid[UUID_SIZE], key[CEPH_SECRET_MAX];
    _autofree_ char *dir = ceph_slot_dir(f, slot->n);
    _autofree_ char *mine = in_slot(f, slot->n, "cairn");
    _autofree_ char *secret = in_slot(f, slot->n, "secret");
    env_uuid(f->env, uuid);
    ceph_conf_secret(f->env, key);
    _autofree_ char *line = xasprintf("%s %s\n", uuid, path);
    bool ok = make_dir(dir, 0750, err) && put(secret, key, 0600, err) &&
              put(mine, line, 0644, err);
    OPENSSL_cleanse(key, sizeof(key));
    if (ok)
        ceph_slot_load(f, slot, slot->n);
    return ok;
}

bool ceph_slot_secret(const struct ceph_files *f, const struct ceph_slot *slot,
                      char key[CEPH_SECRET_MAX], struct error *err)
{
    _autofree_ char *path = in_slot(f, slot->n, "secret");
    return get(path, key, CEPH_SECRET_MAX) ||
           error_set(err, ERR_NOT_FOUND, "%s is gone", path);
}

bool ceph_slot_attach(const struct ceph_files *f, const struct ceph_slot *slot,
                      const char *path, struct error *err)
{
    const struct passwd *pw = getpwnam(CEPH_USER);
    _autofree_ char *block = in_slot(f, slot->n, "block");
    if (!pw)
        return error_set(err, ERR_UNAVAILABLE, "there is no user " CEPH_USER);
    unlink(block);
    if (symlink(path, block) != 0 || chown(path, pw->pw_uid, pw->pw_gid) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

static bool keep_key(const struct ceph_files *f, const struct ceph_slot *slot,
                     int osd, struct error *err)
{
    char key[CEPH_SECRET_MAX];
    struct buf ring = BUF_INIT(4096);
    _autofree_ char *path = in_slot(f, slot->n, "keyring");
    _autofree_ char *entity = xasprintf("osd.%d", osd);
    if (!ceph_slot_secret(f, slot, key, err))
        return false;
    ceph_conf_key(&ring, entity, key, NULL);
    bool ok = put(path, buf_str(&ring), 0600, err);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(ring.data, ring.len);
    buf_free(&ring);
    return ok;
}

static bool make_store(const struct ceph_files *f, const struct ceph_slot *slot,
                       int osd, struct error *err)
{
    _autofree_ char *dir = ceph_slot_dir(f, slot->n);
    _autowords_ struct words w = WORDS_INIT;
    words_add(&w, "ceph-osd");
    words_add(&w, "--mkfs");
    words_add(&w, "--conf=%s", f->config->ceph_conf);
    words_add(&w, "--id=%d", osd);
    words_add(&w, "--osd-uuid=%s", slot->uuid);
    words_add(&w, "--osd-data=%s", dir);
    words_add(&w, "--keyring=%s/keyring", dir);
    words_add(&w, "--log-file=/dev/null");
    return command_run(&w, MKFS_MS, NULL, err) && give_away(dir, err);
}

bool ceph_slot_make(const struct ceph_files *f, struct ceph_slot *slot, int osd,
                    struct error *err)
{
    _autofree_ char *done = in_slot(f, slot->n, "osd");
    _autofree_ char *secret = in_slot(f, slot->n, "secret");
    _autofree_ char *number = xasprintf("%d\n", osd);
    if (!keep_key(f, slot, osd, err) ||
        !ceph_slot_attach(f, slot, slot->path, err) ||
        !make_store(f, slot, osd, err) || !put(done, number, 0644, err))
        return false;
    unlink(secret);
    ceph_slot_load(f, slot, slot->n);
    return true;
}
