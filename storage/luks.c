#include "storage/luks.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/layers.h"
#include "storage/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define QEMU_IMG   "/usr/bin/qemu-img"
#define TIMEOUT_US (1800 * SECOND_US)
#define SLOTS      8
#define STRIPES    4000 /* of the key, against forensics of one slot */
#define SECTOR     512
#define ALIGN      8 /* sectors */

/* XTS takes two keys; each slot begins at a multiple of 4 KiB, as does the
 * disk after the last. */
int64_t luks_overhead(int64_t key_size)
{
    int64_t slot = (key_size / 8 * 2 * STRIPES + SECTOR - 1) / SECTOR;
    slot = (slot + ALIGN - 1) / ALIGN * ALIGN;
    return (ALIGN + SLOTS * slot) * SECTOR;
}

/* The passphrase as a file that nobody else has a name for. */
static int secret_file(const char *passphrase, struct error *err)
{
    _autoclose_ int fd = memfd_create("secret", MFD_CLOEXEC);
    size_t n = strlen(passphrase);
    if (fd < 0 || write(fd, passphrase, n) != (ssize_t)n) {
        error_errno(err, ERR_INTERNAL, errno, "cannot keep a passphrase");
        return -1;
    }
    return steal_fd(&fd);
}

static bool run(const char *const *argv, const struct env *env,
                struct error *err)
{
    struct sandbox_job job = { .argv = argv, .timeout_us = TIMEOUT_US };
    _autoresult_ struct sandbox_result r;
    if (!sandbox_run(&job, env, &r, err))
        return false;
    return r.code == 0 ||
           layers_qemu_error(buf_str(&r.errors), ERR_INTERNAL, err);
}

bool luks_make(const struct luks *l, const char *raw, int64_t size,
               const char *path, const struct env *env, struct error *err)
{
    _autoclose_ int fd = secret_file(l->passphrase, err);
    if (fd < 0)
        return false;
    _autofree_ char *secret =
        xasprintf("secret,id=k,file=/proc/%d/fd/%d", (int)getpid(), fd);
    _autofree_ char *options =
        xasprintf("key-secret=k,cipher-alg=aes-%lld,cipher-mode=xts,"
                  "ivgen-alg=plain64,iter-time=10",
                  (long long)l->key_size);
    _autofree_ char *bytes = xasprintf("%lld", (long long)size);
    const char *empty[] = { QEMU_IMG, "create",   "-q",   "-f",
                            "luks",   "--object", secret, "-o",
                            options,  path,       bytes,  NULL };
    const char *filled[] = { QEMU_IMG, "convert", "-q",       "-f",   "raw",
                             "-O",     "luks",    "--object", secret, "-o",
                             options,  raw,       path,       NULL };
    return run(raw ? filled : empty, env, err);
}
