#include "engine/forecast.h"

#include <stdlib.h>

#define MINUTE   60000
#define HOUR     (60 * MINUTE)
#define ONE      1000000 /* weights are millionths */
#define GAP      20      /* half-lives after which nothing is known */
#define ROUND(x) ((x) < 0 ? ((x)-500) / 1000 : ((x) + 500) / 1000)

const struct forecast_policy forecast_usual = {
    .half_life = 2 * MINUTE,
    .trend_life = 10 * MINUTE,
    .fade = 10 * MINUTE,
};

/* 2^(-time / half): halved for each whole one, a parabola in between (exact
 * at both ends, 0.2 % off at most). */
static int64_t remains(int64_t time, int64_t half)
{
    int64_t whole = time / half;
    if (whole >= 20)
        return 0;
    int64_t x = (time % half) * 1000 / half; /* 0 .. 999 */
    int64_t part = ONE - 673 * x + x * x * 173 / 1000;
    return part >> whole;
}

static int64_t mix(int64_t old, int64_t new, int64_t keep)
{
    return (old * keep + new *(ONE - keep)) / ONE;
}

/* How long the slope counts, of `time`: the integral of its fading. */
static int64_t slope_time(const struct forecast_policy *p, int64_t time)
{
    /* fade / ln 2 * (1 - 2^(-time / fade)) */
    return p->fade * 1443 / 1000 * (ONE - remains(time, p->fade)) / ONE;
}

static int64_t expected(const struct forecast *f,
                        const struct forecast_policy *p, int64_t time)
{
    return f->level + f->slope * slope_time(p, time) / HOUR;
}

void forecast_add(struct forecast *f, const struct forecast_policy *p,
                  int64_t now, int64_t value)
{
    int64_t time = now - f->at, sample = value * 1000;
    if (f->samples && time <= 0)
        return;
    if (!f->samples || time > GAP * p->half_life) {
        *f = (struct forecast){ .level = sample, .at = now, .samples = 1 };
        return;
    }
    int64_t keep = remains(time, p->half_life);
    int64_t guess = expected(f, p, time);
    int64_t level = mix(guess, sample, keep);
    int64_t slope = (level - f->level) * HOUR / time;
    f->deviation = mix(f->deviation, llabs(sample - guess), keep);
    f->slope = mix(f->slope, slope, remains(time, p->trend_life));
    f->level = level;
    f->at = now;
    f->samples += f->samples < UINT32_MAX;
}

int64_t forecast_value(const struct forecast *f,
                       const struct forecast_policy *p, int64_t ahead)
{
    int64_t value = expected(f, p, ahead);
    return value > 0 ? ROUND(value) : 0;
}

int64_t forecast_peak(const struct forecast *f, const struct forecast_policy *p,
                      int64_t ahead)
{
    int64_t now = forecast_value(f, p, 0), then = forecast_value(f, p, ahead);
    return then > now ? then : now;
}

int64_t forecast_deviation(const struct forecast *f)
{
    return ROUND(f->deviation);
}

void forecast_read(struct forecast_set *s, const struct forecast_policy *p,
                   int64_t now, const int64_t values[FORECAST_METRICS_N])
{
    for (int i = 0; i < FORECAST_METRICS_N; i++)
        if (values[i] >= 0)
            forecast_add(&s->of[i], p, now, values[i]);
}
