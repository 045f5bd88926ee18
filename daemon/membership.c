#include "daemon/membership.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/jw.h"
#include "state/move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (64 * 1024)

static char *file_name(const char *state_dir)
{
    return xasprintf("%s/pool.json", state_dir);
}

/* In one step, and on the disk when it is done. */
static bool write_file(const char *path, const char *text, mode_t mode,
                       struct error *err)
{
    _autofree_ char *new = xasprintf("%s.new", path);
    _autoclose_ int fd =
        open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd) != 0 ||
        rename(new, path) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

static bool take(const json_t *o, const char *name, char *out, size_t size)
{
    const char *s = json_string_value(json_object_get(o, name));
    if (!s || strlen(s) >= size)
        return false;
    snprintf(out, size, "%s", s);
    return true;
}

static bool read_members(struct membership *m, const json_t *list)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        const char *s = json_string_value(v);
        if (!s || strlen(s) >= JOIN_TEXT_MAX || i >= JOIN_MEMBERS_MAX)
            return false;
        snprintf(m->members[m->n_members++], JOIN_TEXT_MAX, "%s", s);
    }
    return true;
}

bool membership_load(struct membership *m, const char *state_dir,
                     struct error *err)
{
    _autofree_ char *path = file_name(state_dir);
    error_clear(err);
    *m = (struct membership){ 0 };
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return false;
    _autojson_ json_t *o = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    m->founder = json_is_true(json_object_get(o, "founder"));
    return (take(o, "pool_id", m->pool_id, UUID_SIZE) &&
            take(o, "pool_name", m->pool_name, JOIN_TEXT_MAX) &&
            take(o, "node_id", m->node_id, UUID_SIZE) &&
            uuid_valid(m->node_id) && uuid_valid(m->pool_id) &&
            read_members(m, json_object_get(o, "members"))) ||
           error_set(err, ERR_INVALID, "%s is damaged", path);
}

bool membership_save(const struct membership *m, const char *state_dir,
                     struct error *err)
{
    struct buf text = BUF_INIT(FILE_MAX);
    struct jw w = JW_INIT(&text);
    _autofree_ char *path = file_name(state_dir);
    jw_obj(&w, NULL);
    jw_str(&w, "pool_id", m->pool_id);
    jw_str(&w, "pool_name", m->pool_name);
    jw_str(&w, "node_id", m->node_id);
    jw_bool(&w, "founder", m->founder);
    jw_arr(&w, "members");
    for (size_t i = 0; i < m->n_members; i++)
        jw_str(&w, NULL, m->members[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
    bool ok = write_file(path, buf_str(&text), 0600, err);
    buf_free(&text);
    return ok;
}

void membership_found(struct membership *m, const char *pool_name,
                      const struct env *env)
{
    *m = (struct membership){ .founder = true };
    env_uuid(env, m->pool_id);
    env_uuid(env, m->node_id);
    snprintf(m->pool_name, sizeof(m->pool_name), "%s", pool_name);
}

static bool remember_state(const struct join_welcome *w, const char *state_dir,
                           struct error *err)
{
    const char *urls[JOIN_STATE_MAX];
    for (size_t i = 0; i < w->n_state; i++)
        urls[i] = w->state[i];
    return move_write_mark(state_dir, urls, w->n_state, err);
}

bool membership_accept(struct membership *m, const struct join_welcome *w,
                       const char *state_dir, struct error *err)
{
    _autofree_ char *dir = xasprintf("%s/pki", state_dir);
    _autofree_ char *key = xasprintf("%s/ca.key", dir);
    _autofree_ char *cert = xasprintf("%s/ca.crt", dir);
    snprintf(m->pool_id, sizeof(m->pool_id), "%s", w->pool_id);
    snprintf(m->pool_name, sizeof(m->pool_name), "%s", w->pool_name);
    memcpy(m->members, w->members, sizeof(m->members));
    m->n_members = w->n_members;
    m->founder = false;
    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        return error_errno(err, ERR_INTERNAL, errno, "%s", dir);
    return write_file(key, w->ca_key, 0600, err) &&
           write_file(cert, w->ca_cert, 0644, err) &&
           remember_state(w, state_dir, err) &&
           membership_save(m, state_dir, err);
}
