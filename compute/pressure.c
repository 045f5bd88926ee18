#include "compute/pressure.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <stdio.h>
#include <string.h>

#define PATH_SIZE 1024

static const char *const names[PRESSURE_KINDS] = { "cpu", "memory", "io" };

/* <dir><before>cpu<after> */
static void read_all(const char *dir, const char *before, const char *after,
                     struct pressure_counters *out)
{
    for (int i = 0; i < PRESSURE_KINDS; i++) {
        _autofree_ char *path =
            xasprintf("%s%s%s%s", dir, before, names[i], after);
        long long total = 0;
        out->us[i] = PRESSURE_NONE;
        _autofile_ FILE *f = fopen(path, "re");
        if (f && fscanf(f, "some avg10=%*f avg60=%*f avg300=%*f total=%lld",
                        &total) == 1)
            out->us[i] = total;
    }
}

void pressure_of_machine(const char *proc, struct pressure_counters *out)
{
    read_all(proc, "/pressure/", "", out);
}

/* Where version 2 is mounted; often beside version 1. */
static bool find_mount(const char *proc, char out[PATH_SIZE])
{
    char line[PATH_SIZE], dir[PATH_SIZE];
    bool found = false;
    _autofree_ char *path = xasprintf("%s/self/mounts", proc);
    _autofile_ FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof(line), f))
        found =
            sscanf(line, "cgroup2 %1023s", dir) == 1 || /* its name */
            (strstr(line, " cgroup2 ") && sscanf(line, "%*s %1023s", dir) == 1);
    if (found)
        memcpy(out, dir, strlen(dir) + 1);
    return found;
}

/* "0::/machine.slice/machine-qemu\x2d1\x2d...scope/libvirt/emulator": up to
 * the part that libvirt names after the guest.  None such: it is in a group
 * with others. */
static bool find_group(const char *proc, int64_t pid, char out[PATH_SIZE])
{
    char line[PATH_SIZE];
    _autofree_ char *path = xasprintf("%s/%lld/cgroup", proc, (long long)pid);
    _autofile_ FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        char *own = strncmp(line, "0::", 3) == 0 ? strstr(line, "qemu") : NULL;
        if (!own || !strpbrk(own, "/\n"))
            continue;
        *strpbrk(own, "/\n") = '\0';
        snprintf(out, PATH_SIZE, "%s", line + 3);
        return true;
    }
    return false;
}

void pressure_of_guest(const char *proc, int64_t pid,
                       struct pressure_counters *out)
{
    char mount[PATH_SIZE], group[PATH_SIZE];
    for (int i = 0; i < PRESSURE_KINDS; i++)
        out->us[i] = PRESSURE_NONE;
    if (!find_group(proc, pid, group) || !find_mount(proc, mount))
        return;
    _autofree_ char *dir = xasprintf("%s%s", mount, group);
    read_all(dir, "/", ".pressure", out);
}
