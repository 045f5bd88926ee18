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

static char *put_digits(char *p, unsigned value, int n)
{
    for (int i = n - 1; i >= 0; i--, value /= 10)
        p[i] = (char)('0' + value % 10);
    return p + n;
}

/* The date of a day since 1970, by the Gregorian calendar's eras of 400
 * years that begin in March. */
static char *put_date(char *p, int64_t day)
{
    int64_t z = day + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = (int64_t)yoe + era * 400 + (month <= 2);
    p = put_digits(p, (unsigned)((year % 10000 + 10000) % 10000), 4);
    *p++ = '-';
    p = put_digits(p, month, 2);
    *p++ = '-';
    return put_digits(p, doy - (153 * mp + 2) / 5 + 1, 2);
}

char *time_format(int64_t us, enum time_style style, char out[TIME_TEXT_MAX])
{
    int64_t micro = us % SECOND_US, seconds = us / SECOND_US;
    if (micro < 0) {
        micro += SECOND_US;
        seconds--;
    }
    int64_t second = seconds % 86400, day = seconds / 86400;
    if (second < 0) {
        second += 86400;
        day--;
    }
    char *p = put_date(out, day);
    *p++ = 'T';
    p = put_digits(p, (unsigned)(second / 3600), 2);
    *p++ = ':';
    p = put_digits(p, (unsigned)(second / 60 % 60), 2);
    *p++ = ':';
    p = put_digits(p, (unsigned)(second % 60), 2);
    if (style == TIME_MICRO_Z || style == TIME_MICRO) {
        *p++ = '.';
        p = put_digits(p, (unsigned)micro, 6);
    }
    if (style == TIME_Z || style == TIME_MICRO_Z)
        *p++ = 'Z';
    *p = '\0';
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
