#include "daemon/first_content.h"

#include "common/cleanup.h"
#include "openstack-compat/bootstrap.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

#define PASSWORD_LINE 1024

/* The first line of a file; "" when there is no such file. */
static bool read_password(const char *path, char out[PASSWORD_LINE],
                          struct error *err)
{
    out[0] = '\0';
    if (!*path)
        return true;
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true;
    ssize_t n = fd < 0 ? -1 : read(fd, out, PASSWORD_LINE - 1);
    if (n < 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    out[n] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static const char *or_null(const char *s)
{
    return *s ? s : NULL;
}

static bool repeat(const struct bootstrap_opts *opts, struct store *store,
                   struct cache *cache, struct error *err)
{
    for (int i = 0; i < FIRST_CONTENT_TRIES; i++) {
        _autosnap_ struct snapshot *snap = cache_snapshot(cache);
        error_clear(err);
        if (bootstrap(store, snap, opts, err))
            return true;
        if (err->code != ERR_CONFLICT)
            break;
    }
    return false;
}

bool first_content_make(const struct config *cf, const char *public_url,
                        struct store *store, struct cache *cache,
                        const struct env *env, struct error *err)
{
    char admin[PASSWORD_LINE], demo[PASSWORD_LINE];
    if (!read_password(cf->admin_password_file, admin, err) ||
        !read_password(cf->demo_password_file, demo, err))
        return false;
    struct bootstrap_opts opts = {
        .env = env,
        .replicated = strcmp(cf->volumes, "ceph") == 0,
        .pool_name = cf->pool_name,
        .region = cf->region,
        .public_url = public_url,
        .admin_password = admin,
        .demo_password = or_null(demo),
        .external_cidr = or_null(cf->external_cidr),
        .external_gateway = or_null(cf->external_gateway),
        .external_first = or_null(cf->external_pool_start),
        .external_last = or_null(cf->external_pool_end),
        .external_physnet = cf->physnet,
    };
    bool ok = repeat(&opts, store, cache, err);
    OPENSSL_cleanse(admin, sizeof(admin));
    OPENSSL_cleanse(demo, sizeof(demo));
    return ok;
}
