#include "common/log.h"

#include "common/env.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define SITE_WINDOW_S 10
#define SITE_BURST    5

static enum log_level most_level = LOG_INFO;
static pthread_mutex_t site_lock = PTHREAD_MUTEX_INITIALIZER;

void log_set_level(enum log_level most)
{
    most_level = most;
}

static void linev(enum log_level level, const char *module, const char *fmt,
                  va_list args)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    char when[TIME_TEXT_MAX];
    char text[1024];
    if (level > most_level)
        return;
    vsnprintf(text, sizeof(text), fmt, args);
    time_format(env_now(&env_system), TIME_MICRO_Z, when);
    fprintf(stderr, "%s %-7s %s: %s\n", when, names[level], module, text);
}

void log_line(enum log_level level, const char *module, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    linev(level, module, fmt, args);
    va_end(args);
}

/* Counts this call; sets *dropped to what an ended window swallowed. */
static bool site_passes(struct log_site *site, unsigned *dropped)
{
    int64_t now = env_mono(&env_system) / SECOND_US;
    pthread_mutex_lock(&site_lock);
    *dropped = 0;
    if (now - site->window >= SITE_WINDOW_S) {
        *dropped = site->count > SITE_BURST ? site->count - SITE_BURST : 0;
        *site = (struct log_site){ .window = now };
    }
    bool passes = ++site->count <= SITE_BURST;
    pthread_mutex_unlock(&site_lock);
    return passes;
}

void log_site_line(struct log_site *site, enum log_level level,
                   const char *module, const char *fmt, ...)
{
    unsigned dropped;
    if (!site_passes(site, &dropped))
        return;
    if (dropped)
        log_line(level, module, "(%u lines like the next were dropped)",
                 dropped);
    va_list args;
    va_start(args, fmt);
    linev(level, module, fmt, args);
    va_end(args);
}
