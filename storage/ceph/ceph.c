#include "storage/ceph/ceph.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/ceph/ceph_io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct ceph {
    rados_t cluster;
    char *client;
};

static enum error_code code_of(int rc)
{
    static const struct {
        int rc;
        enum error_code code;
    } codes[] = {
        { -ENOENT, ERR_NOT_FOUND },   { -EEXIST, ERR_EXISTS },
        { -EINVAL, ERR_INVALID },     { -EBUSY, ERR_CONFLICT },
        { -ENOTEMPTY, ERR_CONFLICT }, { -EACCES, ERR_FORBIDDEN },
        { -EPERM, ERR_FORBIDDEN },    { -ETIMEDOUT, ERR_TIMEOUT },
        { -ENOSPC, ERR_NO_SPACE },    { -EDQUOT, ERR_NO_SPACE },
        { -EROFS, ERR_CONFLICT },     { -ESHUTDOWN, ERR_UNAVAILABLE },
        { -EAGAIN, ERR_UNAVAILABLE },
    };
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i].rc == rc)
            return codes[i].code;
    return ERR_INTERNAL;
}

bool ceph_error(struct error *err, int rc, const char *fmt, ...)
{
    char what[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    return error_errno(err, code_of(rc), -rc, "%.400s", what);
}

/* librados' own words; its defaults leave a call to a dead cluster hanging. */
static bool configure(rados_t cluster, const struct ceph_config *config,
                      struct error *err)
{
    int64_t us = config->timeout_us ? config->timeout_us : CEPH_TIMEOUT_US;
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%lld", (long long)(us / SECOND_US));
    const char *const options[][2] = {
        { "client_mount_timeout", seconds },
        { "rados_mon_op_timeout", seconds },
        { "rados_osd_op_timeout", seconds },
        /* Every write of ours is durable when it returns. */
        { "rbd_cache", "false" },
    };
    int rc = rados_conf_read_file(cluster, config->conf);
    if (rc < 0)
        return error_errno(err, ERR_INVALID, -rc, "cannot read %s",
                           config->conf ? config->conf : "ceph.conf");
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        rc = rados_conf_set(cluster, options[i][0], options[i][1]);
        if (rc < 0)
            return ceph_error(err, rc, "Ceph option %s", options[i][0]);
    }
    return true;
}

static bool answers(rados_t cluster, struct error *err)
{
    int rc = rados_connect(cluster);
    if (rc == -ETIMEDOUT || rc == -ENOENT)
        return error_set(err, ERR_UNAVAILABLE,
                         "no Ceph monitor answers, or there is no key");
    return rc >= 0 || ceph_error(err, rc, "cannot connect to Ceph");
}

struct ceph *ceph_connect(const struct ceph_config *config, struct error *err)
{
    rados_t cluster;
    int rc = rados_create(&cluster, config->client);
    if (rc < 0) {
        ceph_error(err, rc, "cannot start a Ceph client");
        return NULL;
    }
    if (!configure(cluster, config, err) || !answers(cluster, err)) {
        rados_shutdown(cluster);
        return NULL;
    }
    struct ceph *c = xcalloc(1, sizeof(*c));
    c->cluster = cluster;
    c->client = xstrdup(config->client);
    return c;
}

void ceph_free(struct ceph *c)
{
    if (!c)
        return;
    rados_shutdown(c->cluster);
    free(c->client);
    free(c);
}

static bool parse_reply(const char *text, size_t len, const char *prefix,
                        json_t **reply, struct error *err)
{
    *reply = len ? json_loadb(text, len, JSON_DECODE_ANY, NULL) : json_null();
    return *reply || error_set(err, ERR_INTERNAL,
                               "Ceph's answer to \"%s\" is no JSON", prefix);
}

static bool send_command(struct ceph *c, const char *prefix, const char *text,
                         const char *input, json_t **reply, struct error *err)
{
    char *out = NULL, *status = NULL;
    size_t out_len = 0, status_len = 0;
    int rc = rados_mon_command(c->cluster, &text, 1, input,
                               input ? strlen(input) : 0, &out, &out_len,
                               &status, &status_len);
    bool ok = rc >= 0 || ceph_error(err, rc, "Ceph, %s: %.*s", prefix,
                                    (int)status_len, status ? status : "");
    if (ok && out_len > CEPH_REPLY_MAX)
        ok =
            error_set(err, ERR_INTERNAL,
                      "Ceph's answer to \"%s\" has %zu bytes", prefix, out_len);
    if (ok && reply)
        ok = parse_reply(out, out_len, prefix, reply, err);
    rados_buffer_free(out);
    rados_buffer_free(status);
    return ok;
}

bool ceph_command(struct ceph *c, json_t *command, const char *input,
                  json_t **reply, struct error *err)
{
    _autojson_ json_t *owned = command;
    const char *prefix = json_string_value(json_object_get(owned, "prefix"));
    if (!prefix)
        return error_set(err, ERR_INVALID, "a Ceph command without a prefix");
    json_object_set_new(owned, "format", json_string("json"));
    _autofree_ char *text = json_dumps(owned, JSON_COMPACT);
    if (!text || strlen(text) > CEPH_COMMAND_MAX)
        return error_set(err, ERR_TOO_LARGE, "Ceph, %s: command too long",
                         prefix);
    return send_command(c, prefix, text, input, reply, err);
}

/* "key = ..." of the section [client.<name>] of a keyring. */
static bool key_in(FILE *f, const char *client, char key[CEPH_KEY_MAX])
{
    char line[512], section[128];
    bool ours = false, found = false;
    snprintf(section, sizeof(section), "[client.%s]", client);
    while (!found && fgets(line, sizeof(line), f)) {
        if (line[0] == '[')
            ours = strncmp(line, section, strlen(section)) == 0;
        found = ours && sscanf(line, " key = %127s", key) == 1;
    }
    explicit_bzero(line, sizeof(line));
    return found;
}

bool ceph_key(struct ceph *c, char key[CEPH_KEY_MAX], struct error *err)
{
    char paths[4096], *rest = paths;
    int rc = rados_conf_get(c->cluster, "keyring", paths, sizeof(paths));
    if (rc < 0)
        return ceph_error(err, rc, "Ceph's keyring");
    for (char *path; (path = strsep(&rest, ",; "));) {
        _autofile_ FILE *f = *path ? fopen(path, "re") : NULL;
        if (f && key_in(f, c->client, key))
            return true;
    }
    return error_set(err, ERR_NOT_FOUND, "no keyring has the key of client.%s",
                     c->client);
}

rados_ioctx_t ceph_pool(struct ceph *c, const char *pool, struct error *err)
{
    rados_ioctx_t io;
    int rc = rados_ioctx_create(c->cluster, pool, &io);
    if (rc >= 0)
        return io;
    ceph_error(err, rc, "Ceph pool %s", pool);
    return NULL;
}
