#include "daemon/broker.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/env.h"
#include "common/jw.h"
#include "daemon/enroll.h"
#include "model/compute.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>

/* ---- images ------------------------------------------------------------ */

static bool image_write(const struct broker *b, const json_t *in,
                        struct buf *out, int *fd, struct error *err)
{
    const char *id = json_string_value(json_object_get(in, "upload_id"));
    if (!b->volumes || !id || !storage_name_ok(id))
        return error_set(err, ERR_INVALID, "image.write: no such upload");
    *fd = b->volumes->ops->image_open_write(b->volumes, id, err);
    return *fd >= 0;
}

static bool image_read(const struct broker *b, const json_t *in,
                       struct buf *out, int *fd, struct error *err)
{
    const char *blob = json_string_value(json_object_get(in, "blob"));
    if (!b->volumes || !blob || !storage_name_ok(blob))
        return error_set(err, ERR_INVALID, "image.read: no such image");
    *fd = b->volumes->ops->image_open_read(b->volumes, blob, err);
    return *fd >= 0;
}

/* ---- consoles ---------------------------------------------------------- */

/* Bytes of the character at s, 0 if it is none (overlong, surrogate ...). */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t len = s[0] < 0x80             ? 1
                 : (s[0] & 0xe0) == 0xc0 ? 2
                 : (s[0] & 0xf0) == 0xe0 ? 3
                 : (s[0] & 0xf8) == 0xf0 ? 4
                                         : 0;
    if (len < 2 || len > n)
        return len > n ? 0 : len;
    uint32_t c = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    bool ok = c >= least[len] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
    return ok ? len : 0;
}

static void add_text(struct buf *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = utf8_length((const unsigned char *)text + i, n - i);
        if (len && text[i])
            buf_add(out, text + i, len);
        else if (!len)
            buf_adds(out, "\xef\xbf\xbd");
        i += len ? len : 1;
    }
}

/* Where the last `lines` lines begin. */
static size_t tail_start(const char *text, size_t n, int64_t lines)
{
    size_t at = n && text[n - 1] == '\n' ? n - 1 : n;
    if (lines < 0)
        return 0;
    if (lines == 0)
        return n;
    while (at && (text[at - 1] != '\n' || --lines > 0))
        at--;
    return at;
}

/* The last `lines` lines (-1: all) of the last BROKER_CONSOLE_MAX bytes of a
 * file; what is no UTF-8 becomes U+FFFD, NULs go. */
static bool broker_tail(const char *path, int64_t lines, struct buf *out,
                        struct error *err)
{
    _autoclose_ int fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        return true; /* nothing was said yet */
    if (fd < 0 || fstat(fd, &st) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "the console's log");
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERR_INTERNAL, "the console's log is no file");
    off_t from =
        st.st_size > BROKER_CONSOLE_MAX ? st.st_size - BROKER_CONSOLE_MAX : 0;
    _autofree_ char *text = xmalloc(BROKER_CONSOLE_MAX);
    ssize_t n = pread(fd, text, BROKER_CONSOLE_MAX, from);
    if (n < 0)
        return error_errno(err, ERR_INTERNAL, errno, "the console's log");
    size_t start = tail_start(text, (size_t)n, lines);
    add_text(out, text + start, (size_t)n - start);
    return true;
}

static bool console_here(const struct broker *b, const json_t *in,
                         struct buf *out, int *fd, struct error *err)
{
    const char *id = json_string_value(json_object_get(in, "id"));
    const json_t *lines = json_object_get(in, "lines");
    struct domain_info info;
    if (!b->hypervisor || !id || !uuid_valid(id))
        return error_set(err, ERR_INVALID, "console.read: no such server");
    if (!b->hypervisor->ops->info(b->hypervisor, id, &info, err))
        return false;
    /* The path is the hypervisor's word: a record could be anybody's. */
    return !info.serial_log[0] ||
           broker_tail(info.serial_log, lines ? json_integer_value(lines) : -1,
                       out, err);
}

/* Where its record says that it is; malloced, NULL: here, or nowhere. */
static char *other_node(const struct broker *b, const char *id)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(b->cache);
    const struct server *s = snap_get(snap, &kind_server, id);
    bool other =
        b->ask && s && s->node && *s->node && strcmp(s->node, b->node) != 0;
    return other ? xstrdup(s->node) : NULL;
}

static bool console_read(const struct broker *b, const json_t *in,
                         struct buf *out, int *fd, struct error *err)
{
    const char *id = json_string_value(json_object_get(in, "id"));
    _autofree_ char *node = other_node(b, id);
    if (!node)
        return console_here(b, in, out, fd, err);
    _autofree_ char *json = json_dumps(in, JSON_COMPACT);
    return b->ask(b->arg, node, "console.read", json, out, err);
}

/* ---- networks ---------------------------------------------------------- */

static bool rebuild_here(const struct broker *b, const json_t *in,
                         struct buf *out, int *fd, struct error *err)
{
    if (!b->networks)
        return error_set(err, ERR_UNAVAILABLE,
                         "network.rebuild: no networks here");
    return net_reconcile_rebuild(b->networks) ||
           error_set(err, ERR_UNAVAILABLE, "node %s does not lead the pool",
                     b->node);
}

/* Elsewhere it would be forgotten: only who leads writes them. */
static bool rebuild_networks(const struct broker *b, const json_t *in,
                             struct buf *out, int *fd, struct error *err)
{
    _autofree_ char *leader = b->leader ? b->leader(b->arg) : xstrdup(b->node);
    if (!leader)
        return error_set(err, ERR_UNAVAILABLE, "nobody leads the pool now");
    if (!b->ask || strcmp(leader, b->node) == 0)
        return rebuild_here(b, in, out, fd, err);
    return b->ask(b->arg, leader, "network.rebuild", "{}", out, err);
}

/* ---- who belongs to the pool ------------------------------------------- */

static bool create_secret(const struct broker *b, const json_t *in,
                          struct buf *out, int *fd, struct error *err)
{
    char text[JOIN_SECRET_SIZE];
    struct jw w = JW_INIT(out);
    json_int_t seconds = json_integer_value(json_object_get(in, "seconds"));
    bool once = json_is_true(json_object_get(in, "once"));
    if (!enroll_secret(b->store, b->env, once, seconds, text, err))
        return false;
    jw_obj(&w, NULL);
    jw_str(&w, "join_secret", text);
    jw_obj_end(&w);
    OPENSSL_cleanse(text, sizeof(text));
    return true;
}

static bool revoke_secret(const struct broker *b, const json_t *in,
                          struct buf *out, int *fd, struct error *err)
{
    const char *id = json_string_value(json_object_get(in, "id"));
    return enroll_revoke(b->store, b->cache, id ? id : "", err);
}

static bool remove_member(const struct broker *b, const json_t *in,
                          struct buf *out, int *fd, struct error *err)
{
    const char *id = json_string_value(json_object_get(in, "id"));
    return enroll_remove(b->store, b->cache, b->env, id ? id : "", err);
}

static bool ask_disk(const struct broker *b, const json_t *in, bool leave,
                     struct error *err)
{
    const char *id = json_string_value(json_object_get(in, "id"));
    return enroll_disk(b->store, b->cache, id ? id : "", leave, err);
}

static bool remove_disk(const struct broker *b, const json_t *in,
                        struct buf *out, int *fd, struct error *err)
{
    return ask_disk(b, in, true, err);
}

static bool keep_disk(const struct broker *b, const json_t *in, struct buf *out,
                      int *fd, struct error *err)
{
    return ask_disk(b, in, false, err);
}

/* ---- all --------------------------------------------------------------- */

struct op {
    const char *name;
    bool (*fn)(const struct broker *b, const json_t *in, struct buf *out,
               int *fd, struct error *err);
};

/* Up to a row without a name.  NULL: there is no such op. */
static const struct op *find_op(const struct op *ops, const char *name)
{
    while (ops->name && strcmp(ops->name, name) != 0)
        ops++;
    return ops->name ? ops : NULL;
}

bool broker_call(const struct broker *b, const char *op, const char *json,
                 struct buf *out, int *fd, struct error *err)
{
    static const struct op ops[] = {
        { "image.write", image_write },
        { "image.read", image_read },
        { "console.read", console_read },
        { "network.rebuild", rebuild_networks },
        { "join_secret.create", create_secret },
        { "join_secret.revoke", revoke_secret },
        { "member.remove", remove_member },
        { "disk.remove", remove_disk },
        { "disk.keep", keep_disk },
        { 0 },
    };
    const struct op *found = find_op(ops, op);
    _autojson_ json_t *in = json_loads(json ? json : "{}", 0, NULL);
    return found && in
               ? found->fn(b, in, out, fd, err)
               : error_set(err, ERR_NOT_IMPLEMENTED, "no call %.60s", op);
}

bool broker_answer(const struct broker *b, const char *op, const char *json,
                   struct buf *out, struct error *err)
{
    static const struct op ops[] = {
        { "console.read", console_here },
        { "network.rebuild", rebuild_here },
        { 0 },
    };
    int fd = -1;
    const struct op *found = find_op(ops, op);
    _autojson_ json_t *in = json_loads(json, 0, NULL);
    return found && in
               ? found->fn(b, in, out, &fd, err)
               : error_set(err, ERR_FORBIDDEN, "no call %.60s for nodes", op);
}
