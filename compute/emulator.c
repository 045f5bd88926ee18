#include "compute/emulator.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CMDLINE_MAX 65536

/* "-uuid", NUL, the id, NUL. */
static bool has_uuid(const char *words, size_t n, const char *id)
{
    const char *end = words + n;
    for (const char *w = words; w < end; w += strlen(w) + 1) {
        const char *next = w + strlen(w) + 1;
        if (strcmp(w, "-uuid") == 0 && next < end && strcmp(next, id) == 0)
            return true;
    }
    return false;
}

static bool is_of(const char *proc, const char *pid, const char *id)
{
    _autofree_ char *path = xasprintf("%s/%s/cmdline", proc, pid);
    _autofree_ char *words = xcalloc(CMDLINE_MAX + 1, 1);
    _autofile_ FILE *f = fopen(path, "re");
    return f && has_uuid(words, fread(words, 1, CMDLINE_MAX, f), id);
}

bool emulator_kill(const char *proc, const char *id)
{
    bool found = false;
    DIR *dir = opendir(proc);
    if (!dir)
        return false;
    for (const struct dirent *d; (d = readdir(dir));) {
        long pid = strtol(d->d_name, NULL, 10);
        if (pid > 1 && is_of(proc, d->d_name, id))
            found |= kill((pid_t)pid, SIGKILL) == 0;
    }
    closedir(dir);
    return found;
}
