#include "model/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *server_property(const struct server *s, const char *image_name)
{
    char spec[64];
    snprintf(spec, sizeof(spec), "%s", image_name);
    if (strncmp(spec, "hw_", 3) == 0)
        spec[2] = ':';
    const char *value = map_get(&s->extra_specs, spec);
    return value ? value : map_get(&s->image_properties, image_name);
}

/* ---- what is not honoured ------------------------------------------------ */

/* A name that ends in '.' is a prefix; `only`: values that are, between
 * spaces (they come to what is done anyway); image names follow. */
static const struct {
    const char *spec, *only;
} limits[] = {
    { "hw:cpu_policy", " shared dedicated " },
    { "hw:cpu_thread_policy", " prefer " },
    { "hw:cpu_dedicated_mask", "" },
    { "hw:cpu_realtime", " no false False " },
    { "hw:cpu_realtime_mask", "" },
    { "hw:emulator_threads_policy", "" },
    { "hw:locked_memory", " no false False " },
    { "hw:mem_encryption", " no false False " },
    { "hw:numa_cpus.", "" },
    { "hw:numa_mem.", "" },
    { "hw:pci_numa_affinity_policy", " preferred " },
    { "hw:pmem", "" },
    { "hw:tpm_model", "" },
    { "hw:tpm_version", "" },
    { "hw:viommu_model", "" },
    { "resources:PCPU", "" }, /* hw:cpu_policy=dedicated says which CPUs */
    { "os:secure_boot", " disabled optional " },
};

static bool is_limited(const char *key, const char *spec)
{
    size_t n = strlen(spec);
    bool prefix = spec[n - 1] == '.';
    if (strlen(key) < n || (!prefix && key[n]))
        return false;
    for (size_t i = 0; i < n; i++) /* the image's hw_x is the flavor's hw:x */
        if (key[i] != spec[i] && !(spec[i] == ':' && key[i] == '_'))
            return false;
    return true;
}

static bool check_item(const struct map_item *item, struct error *err)
{
    char value[80];
    snprintf(value, sizeof(value), " %.64s ", item->value);
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
        if (is_limited(item->key, limits[i].spec) &&
            !strstr(limits[i].only, value))
            return error_set(
                err, ERR_INVALID, "%s=%.64s cannot be honoured here%s%s.",
                item->key, item->value, *limits[i].only ? "; what can be:" : "",
                limits[i].only);
    return true;
}

static bool check_all(const struct map *specs, struct error *err)
{
    for (size_t i = 0; i < specs->n; i++)
        if (!check_item(&specs->v[i], err))
            return false;
    return true;
}

/* ---- what is ------------------------------------------------------------- */

/* "2MB", "1GB", "2048" (KiB), "large": the size in KiB; 0: ordinary pages
 * ("small", "any"), -1: no size. */
static int64_t shape_page_kib(const char *text)
{
    static const struct {
        const char *unit;
        int64_t kib;
    } units[] = { { "", 1 },         { "KB", 1 },     { "KiB", 1 },
                  { "MB", 1024 },    { "MiB", 1024 }, { "GB", 1 << 20 },
                  { "GiB", 1 << 20 } };
    char *end;
    if (strcmp(text, "small") == 0 || strcmp(text, "any") == 0)
        return 0;
    if (strcmp(text, "large") == 0)
        return SHAPE_HUGE_KIB;
    long long n = strtoll(text, &end, 10);
    for (size_t i = 0; n > 0 && n <= SHAPE_GIGA_KIB && i < ARRAY_SIZE(units);
         i++)
        if (strcasecmp(end, units[i].unit) == 0)
            return n * units[i].kib > 4 ? n * units[i].kib : 0;
    return -1;
}

static bool read_pages(const struct server *s, struct shape *out,
                       struct error *err)
{
    const char *text = server_property(s, "hw_mem_page_size");
    int64_t kib = text ? shape_page_kib(text) : 0;
    if (kib < 0)
        return error_set(err, ERR_INVALID,
                         "hw:mem_page_size=%.64s is no size of a page.", text);
    if (kib && kib != SHAPE_HUGE_KIB && kib != SHAPE_GIGA_KIB)
        return error_set(err, ERR_INVALID,
                         "hw:mem_page_size=%.64s: huge pages are of 2 MiB or "
                         "1 GiB.",
                         text);
    out->page_kib = kib;
    return true;
}

static bool read_cells(const struct server *s, struct shape *out,
                       struct error *err)
{
    const char *text = server_property(s, "hw_numa_nodes");
    char *end;
    long n = text ? strtol(text, &end, 10) : 0;
    if (text && (*end || n < 1 || n > SHAPE_CELLS_MAX))
        return error_set(err, ERR_INVALID,
                         "hw:numa_nodes=%.64s: 1 to %d are possible.", text,
                         SHAPE_CELLS_MAX);
    out->cells = n;
    if (!n && (out->page_kib || out->pinned))
        out->cells = 1; /* as nova: where it sits matters */
    return true;
}

/* Each cell has as much as the others, in whole pages. */
static bool divides(const struct server *s, const struct shape *h,
                    struct error *err)
{
    int64_t n = h->cells ? h->cells : 1;
    int64_t page_mb = h->page_kib ? h->page_kib / 1024 : 1;
    if (h->cells && (s->vcpus % n || s->ram_mb % n))
        return error_set(err, ERR_INVALID,
                         "%lld vCPUs and %lld MB cannot be divided evenly "
                         "among %lld NUMA nodes.",
                         (long long)s->vcpus, (long long)s->ram_mb,
                         (long long)n);
    if (s->ram_mb / n % page_mb)
        return error_set(err, ERR_INVALID,
                         "%lld MB on each of %lld NUMA nodes are not whole "
                         "pages of %lld MB.",
                         (long long)(s->ram_mb / n), (long long)n,
                         (long long)page_mb);
    return true;
}

bool shape_of_server(const struct server *s, struct shape *out,
                     struct error *err)
{
    const char *policy = server_property(s, "hw_cpu_policy");
    *out =
        (struct shape){ .pinned = policy && strcmp(policy, "dedicated") == 0 };
    return check_all(&s->extra_specs, err) &&
           check_all(&s->image_properties, err) && read_pages(s, out, err) &&
           read_cells(s, out, err) && divides(s, out, err);
}
