#include "state/sqlite_parts.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Of each file: some thousand changes of records. */
#define RESERVE_BYTES (INT64_C(16) << 20)

/* Blocks behind the end of the file, into which it grows. */
static void keep(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 &&
        (int64_t)st.st_blocks * 512 < st.st_size + RESERVE_BYTES / 2)
        fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, st.st_size + RESERVE_BYTES);
}

void sqlite_reserve_keep(struct sqlite *s)
{
    struct statvfs fs;
    s->scarce = fstatvfs(s->reserve[0], &fs) == 0 &&
                (int64_t)fs.f_bavail * (int64_t)fs.f_frsize < RESERVE_BYTES;
    for (size_t i = 0; i < ARRAY_SIZE(s->reserve); i++)
        keep(s->reserve[i]);
}

void sqlite_reserve_open(struct sqlite *s, const char *path)
{
    int yes = 1; /* the log stays, and so do its blocks */
    _autofree_ char *wal = xasprintf("%s-wal", path);
    sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL, &yes);
    s->reserve[0] = open(path, O_RDWR | O_CLOEXEC);
    s->reserve[1] = open(wal, O_RDWR | O_CLOEXEC);
    sqlite_reserve_keep(s);
}

void sqlite_reserve_close(struct sqlite *s)
{
    for (size_t i = 0; i < ARRAY_SIZE(s->reserve); i++)
        if (s->reserve[i] >= 0)
            close(s->reserve[i]);
}
