#include "rest-api/upload.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

struct upload {
    int fd;
    int64_t max, taken, written;
    struct error err;
    EVP_MD_CTX *md5, *sha512;
    size_t len;
    char block[UPLOAD_BLOCK];
};

struct upload *upload_new(int fd, int64_t max)
{
    struct upload *u = xmalloc(sizeof(*u));
    memset(u, 0, offsetof(struct upload, block));
    u->fd = fd;
    u->max = max;
    u->md5 = EVP_MD_CTX_new();
    u->sha512 = EVP_MD_CTX_new();
    if (!u->md5 || !u->sha512 || !EVP_DigestInit(u->md5, EVP_md5()) ||
        !EVP_DigestInit(u->sha512, EVP_sha512()))
        error_set(&u->err, ERR_INTERNAL, "no digests for the upload");
    return u;
}

void upload_free(struct upload *u)
{
    if (!u)
        return;
    EVP_MD_CTX_free(u->md5);
    EVP_MD_CTX_free(u->sha512);
    free(u);
}

size_t upload_take(struct upload *u, const void *data, size_t len)
{
    if (u->err.code == ERR_NONE && (int64_t)len > u->max - u->taken)
        error_set(&u->err, ERR_TOO_LARGE, "more than %lld bytes were sent",
                  (long long)u->max);
    if (u->err.code != ERR_NONE)
        return 0;
    size_t n = len < UPLOAD_BLOCK - u->len ? len : UPLOAD_BLOCK - u->len;
    memcpy(u->block + u->len, data, n);
    u->len += n;
    u->taken += (int64_t)n;
    return n;
}

bool upload_full(const struct upload *u)
{
    return u->len == UPLOAD_BLOCK;
}

static bool write_all(struct upload *u)
{
    for (size_t done = 0; done < u->len;) {
        ssize_t n = write(u->fd, u->block + done, u->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            bool full = errno == ENOSPC || errno == EDQUOT;
            return error_errno(&u->err, full ? ERR_NO_SPACE : ERR_INTERNAL,
                               errno, "the upload could not be written");
        }
        done += (size_t)n;
    }
    return true;
}

void upload_write(struct upload *u)
{
    if (u->err.code == ERR_NONE && u->len && write_all(u)) {
        EVP_DigestUpdate(u->md5, u->block, u->len);
        EVP_DigestUpdate(u->sha512, u->block, u->len);
        u->written += (int64_t)u->len;
    }
    u->len = 0;
}

const struct error *upload_error(const struct upload *u)
{
    return &u->err;
}

static void hex_digest(EVP_MD_CTX *ctx, char *out)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_DigestFinal(ctx, bytes, &n);
    for (unsigned i = 0; i < n; i++) {
        static const char digits[] = "0123456789abcdef";
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

int64_t upload_finish(struct upload *u, char md5[33], char sha512[129])
{
    md5[0] = sha512[0] = '\0';
    if (u->err.code == ERR_NONE) {
        hex_digest(u->md5, md5);
        hex_digest(u->sha512, sha512);
    }
    return u->written;
}
