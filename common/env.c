#include "common/env.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

static int64_t system_now(void *self)
{
    return clock_us(CLOCK_REALTIME);
}

static int64_t system_mono(void *self)
{
    return clock_us(CLOCK_MONOTONIC);
}

static void system_random(void *self, void *out, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = getrandom((char *)out + got, len - got, 0);
        if (n < 0)
            abort();
        got += (size_t)n;
    }
}

const struct env env_system = {
    .now = system_now,
    .mono = system_mono,
    .random = system_random,
};

int64_t env_now(const struct env *env)
{
    return env->now(env->self);
}

int64_t env_mono(const struct env *env)
{
    return env->mono(env->self);
}

void env_random(const struct env *env, void *out, size_t len)
{
    env->random(env->self, out, len);
}

uint64_t env_random_below(const struct env *env, uint64_t n)
{
    uint64_t r;
    do
        env_random(env, &r, sizeof(r));
    while (r >= UINT64_MAX - UINT64_MAX % n);
    return r % n;
}

static void to_hex(const uint8_t *in, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", in[i]);
}

void env_uuid(const struct env *env, char out[UUID_SIZE])
{
    uint8_t b[16];
    char hex[33];
    env_random(env, b, sizeof(b));
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    to_hex(b, sizeof(b), hex);
    snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
             hex + 12, hex + 16, hex + 20);
}

void env_hex_id(const struct env *env, char out[33])
{
    uint8_t b[16];
    env_random(env, b, sizeof(b));
    to_hex(b, sizeof(b), out);
}

bool uuid_valid(const char *s)
{
    if (!s || strlen(s) != UUID_LEN)
        return false;
    for (int i = 0; i < UUID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
            return false;
    }
    return true;
}

char *time_format(int64_t us, enum time_style style, char out[TIME_TEXT_MAX])
{
    time_t seconds = (time_t)(us / SECOND_US);
    int micro = (int)(us % SECOND_US);
    struct tm tm;
    char base[TIME_TEXT_MAX];
    gmtime_r(&seconds, &tm);
    snprintf(base, sizeof(base), "%04d-%02d-%02dT%02d:%02d:%02d",
             (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
             tm.tm_min, tm.tm_sec);
    if (style == TIME_MICRO_Z || style == TIME_MICRO)
        snprintf(out, TIME_TEXT_MAX,
                 style == TIME_MICRO ? "%.19s.%06d" : "%.19s.%06dZ", base,
                 micro);
    else
        snprintf(out, TIME_TEXT_MAX, style == TIME_Z ? "%.19sZ" : "%.19s",
                 base);
    return out;
}

bool time_parse(const char *s, int64_t *us)
{
    struct tm tm = { 0 };
    const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest)
        return false;
    int64_t micro = 0;
    if (*rest == '.') {
        int64_t unit = 100000;
        for (rest++; isdigit((unsigned char)*rest); rest++, unit /= 10)
            micro += (*rest - '0') * unit;
    }
    if (*rest && strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0)
        return false;
    *us = (int64_t)timegm(&tm) * SECOND_US + micro;
    return true;
}
