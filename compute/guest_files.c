#include "compute/guest_files.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/env.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG   "console.log"
#define DRIVE "config.iso"

static char *file_of(const char *dir, const char *id, const char *name)
{
    return xasprintf("%s/%s/%s", dir, id, name);
}

char *guest_files_log(const char *dir, const char *id)
{
    return file_of(dir, id, LOG);
}

char *guest_files_drive(const char *dir, const char *id)
{
    return file_of(dir, id, DRIVE);
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_drive(const char *dir, const char *id, const char *data,
                        size_t len, struct error *err)
{
    _autofree_ char *path = file_of(dir, id, DRIVE);
    unlink(path); /* QEMU's user owns the old one */
    _autoclose_ int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || !write_all(fd, data, len)) {
        int e = errno;
        return error_errno(err, e == ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL, e,
                           "domain %s: cannot write its config drive", id);
    }
    return true;
}

bool guest_files_make(const char *dir, const char *id, const char *drive,
                      size_t drive_len, struct error *err)
{
    _autofree_ char *own = file_of(dir, id, "");
    if (mkdir(own, 0711) < 0 && errno != EEXIST)
        return error_errno(err, ERR_INTERNAL, errno,
                           "domain %s: cannot make its directory", id);
    return !drive_len || write_drive(dir, id, drive, drive_len, err);
}

void guest_files_remove(const char *dir, const char *id)
{
    static const char *const names[] = { DRIVE, LOG, "" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        _autofree_ char *path = file_of(dir, id, names[i]);
        if (*names[i])
            unlink(path);
        else
            rmdir(path);
    }
}

void guest_files_sweep(const char *dir, guest_wanted_fn *wanted, void *arg)
{
    DIR *all = opendir(dir);
    for (struct dirent *e; all && (e = readdir(all));) {
        if (!uuid_valid(e->d_name) || wanted(arg, e->d_name))
            continue;
        log_info("compute", "server %s: what was left of it here goes",
                 e->d_name);
        guest_files_remove(dir, e->d_name);
    }
    if (all)
        closedir(all);
}
