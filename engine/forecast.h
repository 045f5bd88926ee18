/*
 * forecast - what measured use will be shortly: smoothed, with its trend.
 *
 * Holt's double exponential smoothing (Holt 1957; irregular intervals after
 * Wright 1986): a level and a slope, both followed with a half-life in time,
 * so that samples may come late or be missing.  The slope fades (Gardner and
 * McKenzie 1985), because a load that rose for ten minutes does not rise for
 * ever.  Beside it goes the mean deviation, by which a caller tells a change
 * from noise.
 *
 * All in whole numbers: values as measured (thousandths, MiB, MiB/s), time
 * in milliseconds.  Pure; a zeroed struct has seen nothing.
 */
#ifndef CAIRN_ENGINE_FORECAST_H
#define CAIRN_ENGINE_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

struct forecast_policy {
    int64_t half_life;  /* ms, of what a sample counts in the level */
    int64_t trend_life; /* ms, ... in the slope; longer */
    int64_t fade;       /* ms, in which a slope is worth half */
};
extern const struct forecast_policy forecast_usual; /* 2, 10, 10 minutes */

struct forecast {
    int64_t level;     /* thousandths of a unit */
    int64_t slope;     /* ... by the hour */
    int64_t deviation; /* ... mean distance of samples from the forecast */
    int64_t at;        /* ms, of the last sample */
    uint32_t samples;
};

/* A sample.  One that is not later than the last is ignored; after a gap of
 * more than twenty half-lives everything begins anew. */
void forecast_add(struct forecast *f, const struct forecast_policy *p,
                  int64_t now, int64_t value);
/* The value expected `ahead` ms after the last sample; never below 0. */
int64_t forecast_value(const struct forecast *f,
                       const struct forecast_policy *p, int64_t ahead);
/* The larger of the smoothed value and the one expected: what room has to
 * be there for. */
int64_t forecast_peak(const struct forecast *f, const struct forecast_policy *p,
                      int64_t ahead);
int64_t forecast_deviation(const struct forecast *f);

/* What is watched of a guest, or of a host. */
#define FORECAST_METRICS(X)                                                    \
    X(VCPU, "vCPU, or the machine's CPUs, thousandths")                        \
    X(STEAL, "time lost to others, thousandths")                               \
    X(CPU_PRESSURE, "tasks that wait for a CPU (PSI some), thousandths")       \
    X(MEMORY, "memory, MiB")                                                   \
    X(MEMORY_PRESSURE, "tasks that wait for memory (PSI some), thousandths")   \
    X(SWAP, "swapped in and out, KiB/s")                                       \
    X(DIRTY, "memory written, MiB/s")                                          \
    X(DISK, "disk, KiB/s")                                                     \
    X(IO_PRESSURE, "tasks that wait for a disk (PSI some), thousandths")       \
    X(NETWORK, "network, the busier direction, KiB/s")

enum forecast_metric {
#define X(name, text) FORECAST_##name,
    FORECAST_METRICS(X)
#undef X
        FORECAST_METRICS_N
};

struct forecast_set {
    struct forecast of[FORECAST_METRICS_N];
};

/* One reading of all; a value below 0 was not measured. */
void forecast_read(struct forecast_set *s, const struct forecast_policy *p,
                   int64_t now, const int64_t values[FORECAST_METRICS_N]);

#endif
