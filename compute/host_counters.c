#include "compute/host_counters.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_SIZE 512
#define PAGE_KIB  4
#define SECTORS   2 /* a KiB */

DEFINE_CLEANUP(DIR *, cleanup_dir, closedir);

static FILE *open_file(const char *dir, const char *name)
{
    _autofree_ char *path = xasprintf("%s/%s", dir, name);
    return fopen(path, "re");
}

/* user nice system idle iowait irq softirq steal */
static void read_cpu(const char *proc, struct host_counters *out)
{
    long long t[8] = { 0 };
    _autofile_ FILE *f = open_file(proc, "stat");
    if (!f || fscanf(f, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &t[0],
                     &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) != 8)
        return;
    out->steal = t[7];
    out->busy = t[0] + t[1] + t[2] + t[5] + t[6];
    out->all = out->busy + out->steal + t[3] + t[4];
}

static void read_memory(const char *proc, struct host_counters *out)
{
    char line[LINE_SIZE];
    long long total = -1, available = -1;
    _autofile_ FILE *f = open_file(proc, "meminfo");
    while (f && fgets(line, sizeof(line), f)) {
        sscanf(line, "MemTotal: %lld", &total);
        sscanf(line, "MemAvailable: %lld", &available);
    }
    out->memory_mb =
        total < 0 || available < 0 ? -1 : (total - available) / 1024;
}

static void read_swap(const char *proc, struct host_counters *out)
{
    char line[LINE_SIZE];
    long long in = -1, gone = -1;
    _autofile_ FILE *f = open_file(proc, "vmstat");
    while (f && fgets(line, sizeof(line), f)) {
        sscanf(line, "pswpin %lld", &in);
        sscanf(line, "pswpout %lld", &gone);
    }
    out->swap_kib = in < 0 || gone < 0 ? -1 : (in + gone) * PAGE_KIB;
}

/* sda, vda, xvda, nvme0n1, mmcblk0: what stands on them (partitions, md,
 * device mapper, loops) would count twice. */
static bool is_disk(const char *name)
{
    static const char *const letters[] = { "sd", "vd", "hd", "xvd" };
    size_t digits = strcspn(name, "0123456789");
    for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
        if (strncmp(name, letters[i], strlen(letters[i])) == 0)
            return !name[digits];
    return (strncmp(name, "nvme", 4) == 0 || strncmp(name, "mmcblk", 6) == 0) &&
           !strchr(name, 'p');
}

static void read_disks(const char *proc, struct host_counters *out)
{
    char line[LINE_SIZE];
    _autofile_ FILE *f = open_file(proc, "diskstats");
    while (f && fgets(line, sizeof(line), f)) {
        char name[64];
        long long in = 0, gone = 0;
        /* major minor name reads merged sectors ms writes merged sectors */
        if (sscanf(line, "%*d %*d %63s %*d %*d %lld %*d %*d %*d %lld", name,
                   &in, &gone) != 3 ||
            !is_disk(name))
            continue;
        out->disk_kib = out->disk_kib < 0 ? 0 : out->disk_kib;
        out->disk_kib += (in + gone) / SECTORS;
    }
}

static void read_link(const char *proc, const char *sys, const char *uplink,
                      struct host_counters *out)
{
    char line[LINE_SIZE];
    long long in = 0, gone = 0, mbit = 0;
    size_t n = strlen(uplink);
    _autofile_ FILE *f = *uplink ? open_file(proc, "self/net/dev") : NULL;
    while (f && fgets(line, sizeof(line), f)) {
        const char *at = line + strspn(line, " ");
        if (strncmp(at, uplink, n) == 0 && at[n] == ':' &&
            sscanf(at + n + 1, "%lld %*d %*d %*d %*d %*d %*d %*d %lld", &in,
                   &gone) == 2) {
            out->received_kib = in / 1024;
            out->sent_kib = gone / 1024;
        }
    }
    _autofree_ char *path = xasprintf("class/net/%s/speed", uplink);
    _autofile_ FILE *speed = *uplink ? open_file(sys, path) : NULL;
    if (speed && fscanf(speed, "%lld", &mbit) == 1 && mbit > 0)
        out->link_kib_s = mbit * 1000000 / 8 / 1024;
}

void host_counters_read(const char *proc, const char *sys, const char *uplink,
                        struct host_counters *out)
{
    *out = (struct host_counters){
        .disk_kib = -1, .received_kib = -1, .sent_kib = -1, .link_kib_s = -1
    };
    read_cpu(proc, out);
    read_memory(proc, out);
    read_swap(proc, out);
    read_disks(proc, out);
    read_link(proc, sys, uplink, out);
    pressure_of_machine(proc, &out->stalled);
}

/* ---- the uplink ---------------------------------------------------------- */

static bool has_address(const struct ifaddrs *i, const char *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (!i->ifa_addr)
        return false;
    if (i->ifa_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text,
                  sizeof(text));
    else if (i->ifa_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr,
                  text, sizeof(text));
    return strcmp(text, address) == 0;
}

/* The wire behind a bridge. */
static void find_port(const char *sys, char name[UPLINK_NAME])
{
    _autofree_ char *ports = xasprintf("%s/class/net/%s/brif", sys, name);
    _cleanup_(cleanup_dir) DIR *d = opendir(ports);
    for (const struct dirent *e; d && (e = readdir(d));) { /* NOLINT: ours */
        _autofree_ char *device =
            xasprintf("%s/class/net/%s/device", sys, e->d_name);
        if (*e->d_name != '.' && strlen(e->d_name) < UPLINK_NAME &&
            access(device, F_OK) == 0) {
            memcpy(name, e->d_name, strlen(e->d_name) + 1);
            return;
        }
    }
}

bool host_uplink(const char *sys, const char *address, char out[UPLINK_NAME])
{
    struct ifaddrs *all = NULL;
    bool found = false;
    *out = '\0';
    if (!address || getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next)
        if (has_address(i, address) && strlen(i->ifa_name) < UPLINK_NAME) {
            memcpy(out, i->ifa_name, strlen(i->ifa_name) + 1);
            found = true;
        }
    freeifaddrs(all);
    if (found)
        find_port(sys, out);
    return found;
}
