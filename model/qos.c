#include "model/qos.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_BASIC  (QOS_write_iops_sec + 1) /* those said per GB as well */
#define NAME_MAX 64
#define VALUE_MAX                                                              \
    INT64_C(1000000000000000) /* libvirt: QEMU_BLOCK_IOTUNE_MAX                \
                               */

const char *const qos_limit_names[N_QOS_LIMITS] = {
#define X(name) #name,
    QOS_LIMITS(X)
#undef X
};

static bool parse(const char *text, int64_t *n)
{
    char *end;
    errno = 0;
    *n = text ? strtoll(text, &end, 10) : 0;
    return text && *text >= '0' && *text <= '9' && !*end && !errno &&
           *n <= VALUE_MAX;
}

static int64_t number(const struct map *specs, const char *name,
                      const char *suffix)
{
    char key[NAME_MAX];
    int64_t n;
    snprintf(key, sizeof(key), "%s%s", name, suffix);
    return parse(map_get(specs, key), &n) ? n : 0;
}

/* As cinder reckons it when it hands the volume out. */
static int64_t by_size(const struct map *specs, const char *name,
                       int64_t per_gb, int64_t size_gb)
{
    int64_t least = number(specs, name, "_per_gb_min");
    int64_t most = number(specs, name, "_max");
    int64_t n = per_gb > VALUE_MAX / size_gb ? VALUE_MAX : per_gb * size_gb;
    n = n < least ? least : n;
    return most && n > most ? most : n;
}

void qos_tune(const struct map *specs, int64_t size_gb, struct qos_tune *out)
{
    for (int i = 0; i < N_QOS_LIMITS; i++)
        out->v[i] = number(specs, qos_limit_names[i], "");
    for (int i = 0; i < N_BASIC; i++) {
        int64_t per_gb = number(specs, qos_limit_names[i], "_per_gb");
        if (per_gb && size_gb > 0)
            out->v[i] = by_size(specs, qos_limit_names[i], per_gb, size_gb);
    }
}

bool qos_of_volume(const struct snapshot *s, const struct volume *v,
                   struct qos_tune *out)
{
    const struct volume_type *t =
        snap_get(s, &kind_volume_type, v->volume_type_id);
    const struct qos_specs *q =
        t ? snap_get(s, &kind_qos_specs, t->qos_specs_id) : NULL;
    if (!q || q->consumer == QOS_BACK_END)
        return false;
    qos_tune(&q->specs, v->size_gb, out);
    for (int i = 0; i < N_QOS_LIMITS; i++)
        if (out->v[i])
            return true;
    return false;
}

/* ---- what may be said ---------------------------------------------------- */

static bool is_known(const char *name)
{
    char known[NAME_MAX];
    for (int i = 0; i < N_QOS_LIMITS; i++)
        if (strcmp(name, qos_limit_names[i]) == 0)
            return true;
    for (int i = 0; i < N_BASIC; i++) {
        snprintf(known, sizeof(known), "%s_per_gb", qos_limit_names[i]);
        size_t n = strlen(known);
        if (strncmp(name, known, n) == 0 &&
            (!name[n] || strcmp(name + n, "_min") == 0))
            return true;
    }
    return false;
}

/* What the map comes to for a volume of one GB. */
static bool check_whole(const struct qos_tune *t, struct error *err)
{
    for (int i = QOS_total_bytes_sec; i < QOS_size_iops_sec; i += 3)
        if (t->v[i] && (t->v[i + 1] || t->v[i + 2]))
            return error_set(err, ERR_INVALID,
                             "%s cannot be given beside a limit of reads or "
                             "of writes",
                             qos_limit_names[i]);
    for (int i = 0; i < N_BASIC; i++) {
        int64_t burst = t->v[QOS_total_bytes_sec_max + i];
        if (burst && burst < t->v[i])
            return error_set(err, ERR_INVALID, "%s_max is less than %s",
                             qos_limit_names[i], qos_limit_names[i]);
        if (burst && !t->v[i])
            return error_set(err, ERR_INVALID, "%s_max needs %s",
                             qos_limit_names[i], qos_limit_names[i]);
        if (t->v[QOS_total_bytes_sec_max_length + i] && !burst)
            return error_set(err, ERR_INVALID, "%s_max_length needs %s_max",
                             qos_limit_names[i], qos_limit_names[i]);
    }
    return true;
}

bool qos_check(const char *consumer, const struct map *specs, struct error *err)
{
    struct qos_tune tune;
    int64_t n;
    if (strcmp(consumer, "back-end") == 0)
        return true;
    for (size_t i = 0; i < specs->n; i++) {
        const struct map_item *x = &specs->v[i];
        if (!is_known(x->key))
            return error_set(err, ERR_INVALID,
                             "%.64s is no limit that the hypervisor has",
                             x->key);
        if (!parse(x->value, &n))
            return error_set(err, ERR_INVALID,
                             "%.64s must be a whole number, not \"%.32s\"",
                             x->key, x->value);
    }
    qos_tune(specs, 1, &tune);
    return check_whole(&tune, err);
}
