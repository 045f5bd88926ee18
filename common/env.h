/*
 * env - where time and chance come from.
 *
 * Nothing in the house reads a clock or a random source by itself: it is
 * given a struct env.  The product's takes both from the kernel; the
 * simulation's is seeded and its clock stands still until it is moved, so a
 * run can be replayed exactly.  An env is immutable and may be shared by
 * threads if its functions may (the kernel's can).
 */
#ifndef CAIRN_COMMON_ENV_H
#define CAIRN_COMMON_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct env {
    void *self;
    int64_t (*now)(void *self);  /* wall clock, microseconds since 1970 */
    int64_t (*mono)(void *self); /* monotonic, microseconds */
    void (*random)(void *self, void *out, size_t len);
};

#define UUID_LEN      36
#define UUID_SIZE     (UUID_LEN + 1)
#define SECOND_US     INT64_C(1000000)
#define TIME_TEXT_MAX 32

extern const struct env env_system;

int64_t env_now(const struct env *env);
int64_t env_mono(const struct env *env);
void env_random(const struct env *env, void *out, size_t len);
uint64_t env_random_below(const struct env *env, uint64_t n); /* n > 0 */
/* A random (version 4) UUID in the 36-character form. */
void env_uuid(const struct env *env, char out[UUID_SIZE]);
/* The same as 32 hex digits, as keystone's ids are. */
void env_hex_id(const struct env *env, char out[33]);

bool uuid_valid(const char *s); /* 36-character form, any case */

/* "2026-11-21T21:39:14Z", or with ".000000" before Z when `micro`. */
enum time_style { TIME_Z, TIME_MICRO_Z, TIME_MICRO, TIME_SECONDS };
char *time_format(int64_t us, enum time_style style, char out[TIME_TEXT_MAX]);
/* Reads any of those, and "+00:00"; false when it is none. */
bool time_parse(const char *s, int64_t *us);

#endif
