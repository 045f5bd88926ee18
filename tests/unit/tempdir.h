/* tempdir - a directory for one test, removed with what is in it. */
#ifndef CAIRN_TESTS_TEMPDIR_H
#define CAIRN_TESTS_TEMPDIR_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEMPDIR_MAX 256

static inline char *tempdir_make(char dir[TEMPDIR_MAX])
{
    const char *base = getenv("TMPDIR");
    snprintf(dir, TEMPDIR_MAX, "%.200s/cairn-test-XXXXXX",
             base ? base : "/tmp");
    if (!mkdtemp(dir))
        abort();
    return dir;
}

/* Plain files only: what a test makes beside them it removes itself. */
static inline void tempdir_remove(const char *dir)
{
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(dir);
}

#endif
