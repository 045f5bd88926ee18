#include "storage/sparse.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)
#define CHUNK ((size_t)1 << 20)

static bool is_zero(const char *p, size_t n)
{
    return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* Punches the zero blocks of the n bytes at `at`, neighbours together. */
static bool dig_chunk(int fd, const char *chunk, size_t n, off_t at)
{
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n) {
            size_t len = n - end < BLOCK ? n - end : BLOCK;
            if (!is_zero(chunk + end, len))
                break;
            end += len;
        }
        if (end > i && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 at + (off_t)i, (off_t)(end - i)) < 0)
            return false;
        i = end + BLOCK; /* that one holds data */
    }
    return true;
}

bool sparse_dig(int fd, struct error *err)
{
    _autofree_ char *chunk = xmalloc(CHUNK);
    off_t at = lseek(fd, 0, SEEK_DATA); /* holes there already are skipped */
    while (at >= 0) {
        at -= at % (off_t)BLOCK;
        ssize_t n = pread(fd, chunk, CHUNK, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, ERR_INTERNAL, errno, "cannot read a file");
        if (n == 0)
            break;
        if (!dig_chunk(fd, chunk, (size_t)n, at))
            return errno == EOPNOTSUPP ||
                   error_errno(err, ERR_INTERNAL, errno, "cannot dig holes");
        at = lseek(fd, at + n, SEEK_DATA);
    }
    return true;
}
