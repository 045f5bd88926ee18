#include "compute/emulator.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CMDLINE_MAX 65536

struct words {
    char *text; /* each ends with a NUL, the last with two */
    size_t n;
};

static struct words words_of(const char *proc, const char *pid)
{
    _autofree_ char *path = xasprintf("%s/%s/cmdline", proc, pid);
    struct words w = { xcalloc(CMDLINE_MAX + 2, 1), 0 };
    _autofile_ FILE *f = fopen(path, "re");
    if (f)
        w.n = fread(w.text, 1, CMDLINE_MAX, f);
    return w;
}

/* The word behind "-uuid"; NULL: it carries no guest. */
static const char *guest_of(const struct words *w)
{
    for (const char *at = w->text; at < w->text + w->n; at += strlen(at) + 1)
        if (strcmp(at, "-uuid") == 0 && at[sizeof("-uuid")])
            return at + sizeof("-uuid");
    return NULL;
}

/* As libvirt describes a disk to QEMU (-blockdev, in JSON). */
static bool is_shared(const struct words *w)
{
    for (const char *at = w->text; at < w->text + w->n; at += strlen(at) + 1)
        if (strstr(at, "\"driver\":\"rbd\""))
            return true;
    return false;
}

static bool kill_if(const char *proc, const char *pid, emulator_stale_fn *stale,
                    void *arg)
{
    long number = strtol(pid, NULL, 10);
    if (number <= 1)
        return false;
    struct words w = words_of(proc, pid);
    const char *id = guest_of(&w);
    bool kills = id && stale(arg, id, is_shared(&w)) &&
                 kill((pid_t)number, SIGKILL) == 0;
    free(w.text);
    return kills;
}

static bool kill_all(const char *proc, emulator_stale_fn *stale, void *arg)
{
    bool found = false;
    DIR *dir = opendir(proc);
    if (!dir)
        return false;
    for (const struct dirent *d; (d = readdir(dir));)
        found |= kill_if(proc, d->d_name, stale, arg);
    closedir(dir);
    return found;
}

static bool is_it(void *arg, const char *id, bool shared)
{
    return strcmp(arg, id) == 0;
}

bool emulator_kill(const char *proc, const char *id)
{
    return kill_all(proc, is_it, (char *)(uintptr_t)id);
}

void emulator_kill_stale(const char *proc, emulator_stale_fn *stale, void *arg)
{
    (void)kill_all(proc, stale, arg);
}
