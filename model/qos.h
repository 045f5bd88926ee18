/*
 * qos - what a guest may do to a volume, by the volume's type.
 *
 * A set of limits is cinder's qos_specs: names and numbers as text, of which
 * the hypervisor carries out those of libvirt's <iotune> (QOS_LIMITS), when
 * their consumer is "front-end" or "both".  Six of them may be said per GB of
 * the volume as well ("read_iops_sec_per_gb", with "..._per_gb_min" below
 * which it never falls, capped by the limit's "_max"), as cinder has it.
 *
 * Pure.  Sources: api-ref block-storage, "Quality of service (QoS)
 * specifications"; libvirt.org, formatdomain, "iotune".
 */
#ifndef CAIRN_MODEL_QOS_H
#define CAIRN_MODEL_QOS_H

#include "model/volume.h"

/* Bytes or operations a second; in bursts; seconds; bytes that count as one
 * operation.  The names are libvirt's. */
#define QOS_LIMITS(X)                                                          \
    X(total_bytes_sec)                                                         \
    X(read_bytes_sec)                                                          \
    X(write_bytes_sec)                                                         \
    X(total_iops_sec)                                                          \
    X(read_iops_sec)                                                           \
    X(write_iops_sec)                                                          \
    X(total_bytes_sec_max)                                                     \
    X(read_bytes_sec_max)                                                      \
    X(write_bytes_sec_max)                                                     \
    X(total_iops_sec_max)                                                      \
    X(read_iops_sec_max)                                                       \
    X(write_iops_sec_max)                                                      \
    X(size_iops_sec)                                                           \
    X(total_bytes_sec_max_length)                                              \
    X(read_bytes_sec_max_length)                                               \
    X(write_bytes_sec_max_length)                                              \
    X(total_iops_sec_max_length)                                               \
    X(read_iops_sec_max_length)                                                \
    X(write_iops_sec_max_length)

enum qos_limit {
#define X(name) QOS_##name,
    QOS_LIMITS(X)
#undef X
        N_QOS_LIMITS
};
extern const char *const qos_limit_names[N_QOS_LIMITS];

struct qos_tune {
    int64_t v[N_QOS_LIMITS]; /* 0: no limit */
};

/* What holds for a volume of `size_gb`. */
void qos_tune(const struct map *specs, int64_t size_gb, struct qos_tune *out);
/* The same by the volume's type; false: no limit at all. */
bool qos_of_volume(const struct snapshot *s, const struct volume *v,
                   struct qos_tune *out);

/* INVALID and err for what the hypervisor would not take: a limit that is no
 * whole number, one it does not know, a total beside a read or write limit, a
 * burst without its limit or below it.  With a consumer "back-end" all is
 * text for somebody else and passes. */
bool qos_check(const char *consumer, const struct map *specs,
               struct error *err);

#endif
