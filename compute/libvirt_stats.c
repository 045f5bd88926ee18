#include "compute/libvirt_impl.h"

#include <stdio.h>
#include <string.h>

#define PIDS "/run/libvirt/qemu" /* libvirtd's, as it is built by Debian */

/* ---- typed parameters ---------------------------------------------------- */

static bool number_of(const virTypedParameter *p, int64_t *out)
{
    switch (p->type) {
    case VIR_TYPED_PARAM_ULLONG:
        *out = (int64_t)p->value.ul;
        return true;
    case VIR_TYPED_PARAM_LLONG:
        *out = p->value.l;
        return true;
    case VIR_TYPED_PARAM_INT:
        *out = p->value.i;
        return true;
    default:
        return false;
    }
}

/* By name; those of several devices ("net.0.rx.bytes", "net.1...") are summed
 * up by their ends.  `none`: there is none such. */
static int64_t sum_of(const virDomainStatsRecordPtr r, const char *group,
                      const char *end, int64_t none)
{
    int64_t sum = 0, value;
    bool any = false;
    for (int i = 0; i < r->nparams; i++) {
        const virTypedParameter *p = &r->params[i];
        size_t n = strlen(p->field), tail = strlen(end);
        if (n < tail || strncmp(p->field, group, strlen(group)) != 0 ||
            strcmp(p->field + n - tail, end) != 0 || !number_of(p, &value))
            continue;
        sum += value;
        any = true;
    }
    return any ? sum : none;
}

/* ---- reading ------------------------------------------------------------- */

static void read_swap(const virDomainStatsRecordPtr r,
                      struct domain_stats *stats)
{
    int64_t in = sum_of(r, "balloon.swap_in", "", -1);
    int64_t out = sum_of(r, "balloon.swap_out", "", -1);
    stats->swap_kb = in < 0 || out < 0 ? -1 : in + out;
}

static void read_dirty(const virDomainStatsRecordPtr r,
                       struct domain_stats *stats)
{
    if (sum_of(r, "dirtyrate.calc_status", "", -1) !=
        VIR_DOMAIN_DIRTYRATE_MEASURED)
        return;
    stats->dirty_mib_s = sum_of(r, "dirtyrate.megabytes_per_second", "", -1);
    stats->dirty_at = sum_of(r, "dirtyrate.calc_start_time", "", 0);
}

static void read_record(const virDomainStatsRecordPtr r,
                        struct domain_stats *stats)
{
    stats->wait_ns = sum_of(r, "vcpu.", ".delay", -1);
    stats->used_kb = sum_of(r, "balloon.rss", "", 0);
    stats->received_bytes = sum_of(r, "net.", ".rx.bytes", 0);
    stats->sent_bytes = sum_of(r, "net.", ".tx.bytes", 0);
    stats->disk_bytes = sum_of(r, "block.", ".rd.bytes", 0) +
                        sum_of(r, "block.", ".wr.bytes", 0);
    read_swap(r, stats);
    read_dirty(r, stats);
}

/* QEMU's process, to find its control group by. */
static int64_t pid_of(virDomainPtr dom)
{
    char path[256];
    long long pid = 0;
    snprintf(path, sizeof(path), PIDS "/%s.pid", virDomainGetName(dom));
    _autofile_ FILE *f = fopen(path, "re");
    return f && fscanf(f, "%lld", &pid) == 1 ? pid : 0;
}

bool libvirt_stats(struct hypervisor *h, const char *id,
                   struct domain_stats *stats, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    virDomainInfo info;
    virDomainStatsRecordPtr *all = NULL;
    if (!libvirt_find(h, id, true, &f, err))
        return false;
    if (virDomainGetInfo(f.dom, &info) < 0)
        return libvirt_failed(err, f.conn, id, "measure it");
    *stats = (struct domain_stats){ .cpu_ns = (int64_t)info.cpuTime,
                                    .memory_kb = (int64_t)info.memory,
                                    .vcpus = info.nrVirtCpu,
                                    .wait_ns = -1,
                                    .swap_kb = -1,
                                    .dirty_mib_s = -1 };
    pressure_of_guest("/proc", pid_of(f.dom), &stats->stalled);
    const unsigned what = VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU |
                          VIR_DOMAIN_STATS_INTERFACE | VIR_DOMAIN_STATS_BLOCK |
                          VIR_DOMAIN_STATS_DIRTYRATE;
    virDomainPtr one[] = { f.dom, NULL };
    if (virDomainListGetStats(one, what, &all,
                              VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT) < 0)
        return libvirt_failed(err, f.conn, id, "measure it");
    if (all[0])
        read_record(all[0], stats);
    virDomainStatsRecordListFree(all);
    return true;
}

/* By samples of its pages (QEMU's page-sampling): that costs a hash of 512
 * pages a GiB, and works where the CPU is emulated too. */
bool libvirt_count_dirty(struct hypervisor *h, const char *id,
                         struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    return libvirt_find(h, id, true, &f, err) &&
           (virDomainStartDirtyRateCalc(
                f.dom, 1, VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING) == 0 ||
            libvirt_failed(err, f.conn, id, "count what it writes"));
}
