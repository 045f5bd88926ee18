#include "storage/digest.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

struct digest {
    EVP_MD_CTX *md5, *sha512;
};

static EVP_MD_CTX *begin(const EVP_MD *type)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c || EVP_DigestInit_ex(c, type, NULL) != 1)
        abort(); /* out of memory, or an OpenSSL without MD5 */
    return c;
}

struct digest *digest_new(void)
{
    struct digest *d = xmalloc(sizeof(*d));
    *d = (struct digest){ begin(EVP_md5()), begin(EVP_sha512()) };
    return d;
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->md5);
    EVP_MD_CTX_free(d->sha512);
    free(d);
}
DEFINE_CLEANUP(struct digest *, digest_cleanup, digest_free);

void digest_add(struct digest *d, const void *data, size_t len)
{
    EVP_DigestUpdate(d->md5, data, len);
    EVP_DigestUpdate(d->sha512, data, len);
}

static void end_hex(EVP_MD_CTX *c, char *out)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    EVP_DigestFinal_ex(c, raw, &n);
    for (unsigned int i = 0; i < n; i++)
        snprintf(out + (size_t)2 * i, 3, "%02x", raw[i]);
}

void digest_end(struct digest *d, char md5[DIGEST_MD5_SIZE],
                char sha512[DIGEST_SHA512_SIZE])
{
    end_hex(d->md5, md5);
    end_hex(d->sha512, sha512);
}

bool digest_fd(int fd, char md5[DIGEST_MD5_SIZE],
               char sha512[DIGEST_SHA512_SIZE], struct error *err)
{
    size_t size = 256 << 10;
    _autofree_ char *chunk = xmalloc(size);
    _cleanup_(digest_cleanup) struct digest *d = digest_new();
    for (off_t at = 0;;) {
        ssize_t n = pread(fd, chunk, size, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, ERR_INTERNAL, errno, "cannot read a file");
        if (n == 0)
            break;
        digest_add(d, chunk, (size_t)n);
        at += n;
    }
    digest_end(d, md5, sha512);
    return true;
}
