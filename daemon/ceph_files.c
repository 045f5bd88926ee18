#include "daemon/ceph_files.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "daemon/command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
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

static char *in_dir(const char *dir, const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

/* The first IPv4 address of a network device; "": none. */
static void address_of(const char *nic, char out[CEPH_NAME_MAX])
{
    struct ifaddrs *all = NULL;
    out[0] = '\0';
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *i = all; i && !*out; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
            strcmp(i->ifa_name, nic) == 0)
            inet_ntop(AF_INET,
                      &((const struct sockaddr_in *)i->ifa_addr)->sin_addr, out,
                      CEPH_NAME_MAX);
    freeifaddrs(all);
}

static void find_address(struct ceph_files *f)
{
    _autofree_ char *kept = in_dir(f->dir, "address");
    if (get(kept, f->address, sizeof(f->address)))
        return;
    if (!ceph_files_founded(f)) /* else it was before there were such NICs */
        address_of(f->config->storage_nic, f->address);
    if (!*f->address)
        snprintf(f->address, sizeof(f->address), "%.*s",
                 (int)strcspn(f->config->address, "/"), f->config->address);
}

static void only_mon(struct ceph_files *f)
{
    memcpy(f->mons[0].name, f->node, CEPH_NAME_MAX);
    memcpy(f->mons[0].address, f->address, CEPH_NAME_MAX);
    f->n_mons = 1;
}

static void load_mons(struct ceph_files *f)
{
    _autofree_ char *path = in_dir(f->dir, "mons");
    _autofile_ FILE *in = fopen(path, "re");
    while (in && f->n_mons < CEPH_PLACES_MAX &&
           fscanf(in, "%63s %63s", f->mons[f->n_mons].name,
                  f->mons[f->n_mons].address) == 2)
        f->n_mons++;
    if (!f->n_mons)
        only_mon(f);
}

static bool save_mons(const struct ceph_files *f, const char *dir,
                      struct error *err)
{
    struct buf text = BUF_INIT(4096);
    _autofree_ char *path = in_dir(dir, "mons");
    for (size_t i = 0; i < f->n_mons; i++)
        buf_addf(&text, "%s %s\n", f->mons[i].name, f->mons[i].address);
    bool ok = put(path, buf_str(&text), 0644, err);
    buf_free(&text);
    return ok;
}

bool ceph_files_open(struct ceph_files *f, const struct config *config,
                     const struct env *env, const char *node, struct error *err)
{
    *f = (struct ceph_files){ .config = config, .env = env };
    snprintf(f->node, sizeof(f->node), "%s", node);
    f->dir = xasprintf("%s/ceph", config->state_dir);
    f->log_dir = xasprintf("%s/ceph", config->log_dir);
    _autofree_ char *path = in_dir(f->dir, "fsid");
    get(path, f->fsid, sizeof(f->fsid));
    _autofree_ char *rack = in_dir(f->dir, "rack");
    get(rack, f->rack, sizeof(f->rack));
    find_address(f);
    load_mons(f);
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
    const struct ceph_conf conf = {
        .fsid = f->fsid,
        .mons = f->mons,
        .n_mons = f->n_mons,
        .node = f->node,
        .rack = f->rack,
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

static bool same_mons(const struct ceph_files *f, const struct ceph_place *mons,
                      size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (i >= f->n_mons || strcmp(f->mons[i].name, mons[i].name) != 0 ||
            strcmp(f->mons[i].address, mons[i].address) != 0)
            return false;
    return f->n_mons == n;
}

bool ceph_files_mons(struct ceph_files *f, const struct ceph_place *mons,
                     size_t n, struct error *err)
{
    if (!n || n > CEPH_PLACES_MAX || same_mons(f, mons, n))
        return true;
    memcpy(f->mons, mons, n * sizeof(*mons));
    f->n_mons = n;
    return save_mons(f, f->dir, err) && ceph_files_conf(f, err);
}

bool ceph_files_rack(struct ceph_files *f, const char *rack, struct error *err)
{
    _autofree_ char *path = in_dir(f->dir, "rack");
    if (strcmp(f->rack, rack) == 0)
        return true;
    snprintf(f->rack, sizeof(f->rack), "%s", rack);
    return put(path, rack, 0644, err) && ceph_files_conf(f, err);
}

/* ---- founding ---------------------------------------------------------- */

static const char *const caps_admin[] = { "mon", "allow *", "osd", "allow *",
                                          "mgr", "allow *", NULL };
static const char *const caps_mon[] = { "mon", "allow *", NULL };
static const char *const caps_rbd[] = {
    "mon", "profile rbd", "osd", "profile rbd", "mgr", "profile rbd", NULL
};

static char *client_ring(const char *dir, const char *name)
{
    return xasprintf("%s/client.%s.keyring", dir, name);
}

/* A keyring of one. */
static bool put_key(const char *path, const char *entity, const char *key,
                    const char *const *caps, struct error *err)
{
    struct buf ring = BUF_INIT(4096);
    ceph_conf_key(&ring, entity, key, caps);
    bool ok = put(path, buf_str(&ring), 0600, err);
    OPENSSL_cleanse(ring.data, ring.len);
    buf_free(&ring);
    return ok;
}

static bool put_client(const char *dir, const char *name, const char *key,
                       struct error *err)
{
    _autofree_ char *path = client_ring(dir, name);
    _autofree_ char *entity = xasprintf("client.%s", name);
    return put_key(path, entity, key, NULL, err);
}

/* A client's key: in the monitor's first keyring, and in a file. */
static bool add_client(const struct ceph_files *f, const char *dir,
                       const char *name, const char *const *caps,
                       struct buf *ring, struct error *err)
{
    char key[CEPH_SECRET_MAX];
    _autofree_ char *entity = xasprintf("client.%s", name);
    ceph_conf_secret(f->env, key);
    ceph_conf_key(ring, entity, key, caps);
    bool ok = put_client(dir, name, key, err);
    OPENSSL_cleanse(key, sizeof(key));
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

static bool make_monmap(const struct ceph_files *f, const char *map,
                        struct error *err)
{
    _autowords_ struct words w = WORDS_INIT;
    words_add(&w, "monmaptool");
    words_add(&w, "--create");
    words_add(&w, "--clobber");
    words_add(&w, "--fsid");
    words_add(&w, "%s", f->fsid);
    words_add(&w, "--enable-all-features");
    for (size_t i = 0; i < f->n_mons; i++) {
        const char *at = f->mons[i].address;
        words_add(&w, "--addv");
        words_add(&w, "%s", f->mons[i].name);
        words_add(&w, "[v2:%s:3300,v1:%s:6789]", at, at);
    }
    words_add(&w, "%s", map);
    return command_run(&w, MKFS_MS, NULL, err);
}

/* In `data`; `ring` becomes its keyring. */
static bool make_monitor(const struct ceph_files *f, const char *data,
                         const char *ring, struct error *err)
{
    _autofree_ char *kept = in_dir(data, "keyring");
    _autofree_ char *map = xasprintf("%s.monmap", data);
    _autowords_ struct words w = WORDS_INIT;
    words_add(&w, "ceph-mon");
    words_add(&w, "--mkfs");
    words_add(&w, "--conf=%s", f->config->ceph_conf);
    words_add(&w, "--id=%s", f->node);
    words_add(&w, "--mon-data=%s", data);
    words_add(&w, "--monmap=%s", map);
    words_add(&w, "--keyring=%s", ring);
    words_add(&w, "--log-file=/dev/null");
    if (!make_dir(data, 0750, err) || !make_monmap(f, map, err) ||
        !command_run(&w, MKFS_MS, NULL, err) ||
        (rename(ring, kept) != 0 &&
         !error_errno(err, ERR_INTERNAL, errno, "%s", kept)))
        return false;
    unlink(map);
    return give_away(data, err);
}

static bool move_to(const char *from, const char *to, struct error *err)
{
    return rename(from, to) == 0 ||
           error_errno(err, ERR_INTERNAL, errno, "%s", to);
}

/* What every node of a cluster has, in `new`; ceph.conf too. */
static bool make_place(const struct ceph_files *f, const char *new,
                       struct error *err)
{
    _autofree_ char *id = in_dir(new, "fsid");
    _autofree_ char *at = in_dir(new, "address");
    _autofree_ char *run = in_dir(new, "run");
    _autofree_ char *crash = in_dir(new, "crash");
    return command_do(err, "rm", "-rf", new, NULL) &&
           make_dir(new, 0711, err) && make_dir(run, 0755, err) &&
           make_dir(crash, 0755, err) && give_away(run, err) &&
           give_away(crash, err) && put(id, f->fsid, 0644, err) &&
           put(at, f->address, 0644, err) && save_mons(f, new, err) &&
           ceph_files_conf(f, err);
}

static bool make_first(const struct ceph_files *f, const char *new,
                       struct error *err)
{
    _autofree_ char *mon = xasprintf("%s/mon-%s", new, f->node);
    _autofree_ char *ring = in_dir(new, "first.keyring");
    return make_place(f, new, err) && make_keys(f, new, err) &&
           make_monitor(f, mon, ring, err);
}

/* Beside its place, so that there is never half of it there. */
bool ceph_files_found(struct ceph_files *f, struct error *err)
{
    _autofree_ char *new = xasprintf("%s.new", f->dir);
    env_uuid(f->env, f->fsid);
    only_mon(f);
    bool ok = make_first(f, new, err) && move_to(new, f->dir, err);
    if (!ok)
        f->fsid[0] = '\0';
    return ok;
}

/* ---- from member to member ----------------------------------------------- */

/* The key in a keyring of one. */
static bool read_ring(const char *path, char key[CEPH_SECRET_MAX])
{
    char line[256] = "";
    _autofile_ FILE *f = fopen(path, "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof(line), f))
        found = sscanf(line, " key = %63s", key) == 1;
    OPENSSL_cleanse(line, sizeof(line));
    return found;
}

bool ceph_files_share(const struct ceph_files *f, struct ceph_share *s,
                      struct error *err)
{
    _autofree_ char *admin = client_ring(f->dir, "admin");
    _autofree_ char *client = client_ring(f->dir, f->config->ceph_client);
    *s = (struct ceph_share){ .n_mons = f->n_mons };
    if (!ceph_files_founded(f) || !read_ring(admin, s->admin_key) ||
        !read_ring(client, s->client_key))
        return error_set(err, ERR_UNAVAILABLE, "there is no Ceph here yet");
    memcpy(s->fsid, f->fsid, sizeof(s->fsid));
    memcpy(s->mons, f->mons, sizeof(s->mons));
    snprintf(s->client, sizeof(s->client), "%.63s", f->config->ceph_client);
    return true;
}

bool ceph_files_accept(struct ceph_files *f, const struct ceph_share *s,
                       struct error *err)
{
    _autofree_ char *new = xasprintf("%s.new", f->dir);
    if (strcmp(s->client, f->config->ceph_client) != 0)
        return error_set(err, ERR_INVALID,
                         "the pool's volumes are client.%s's: ceph_client",
                         s->client);
    memcpy(f->fsid, s->fsid, sizeof(f->fsid));
    memcpy(f->mons, s->mons, sizeof(f->mons));
    f->n_mons = s->n_mons;
    bool ok = make_place(f, new, err) &&
              put_client(new, "admin", s->admin_key, err) &&
              (strcmp(s->client, "admin") == 0 ||
               put_client(new, s->client, s->client_key, err)) &&
              move_to(new, f->dir, err);
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
    _autofree_ char *dir = xasprintf("%s/%s-%s", f->dir, kind, f->node);
    _autofree_ char *path = in_dir(dir, "keyring");
    _autofree_ char *entity = xasprintf("%s.%s", kind, f->node);
    return make_dir(dir, 0750, err) && put_key(path, entity, key, NULL, err) &&
           give_away(dir, err);
}

bool ceph_files_add_mon(const struct ceph_files *f, const char *key,
                        struct error *err)
{
    _autofree_ char *data = xasprintf("%s/mon-%s", f->dir, f->node);
    _autofree_ char *new = xasprintf("%s.new", data);
    _autofree_ char *ring = xasprintf("%s.keyring", new);
    return command_do(err, "rm", "-rf", new, data, NULL) &&
           put_key(ring, "mon.", key, caps_mon, err) &&
           make_monitor(f, new, ring, err) && move_to(new, data, err);
}

bool ceph_files_drop(const struct ceph_files *f, const char *kind,
                     struct error *err)
{
    _autofree_ char *data = xasprintf("%s/%s-%s", f->dir, kind, f->node);
    return command_do(err, "rm", "-rf", data, NULL);
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
    _autofree_ char *path = in_slot(f, slot->n, "keyring");
    _autofree_ char *entity = xasprintf("osd.%d", osd);
    if (!ceph_slot_secret(f, slot, key, err))
        return false;
    bool ok = put_key(path, entity, key, NULL, err);
    OPENSSL_cleanse(key, sizeof(key));
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

bool ceph_slot_drop(const struct ceph_files *f, struct ceph_slot *slot,
                    struct error *err)
{
    _autofree_ char *dir = ceph_slot_dir(f, slot->n);
    _autofree_ char *old = xasprintf("%s.old", dir);
    if ((rename(dir, old) != 0 && errno != ENOENT) ||
        !command_do(err, "rm", "-rf", old, NULL))
        return error_set(err, ERR_INTERNAL, "cannot remove %s", dir);
    *slot = (struct ceph_slot){ .n = slot->n };
    return true;
}
