/*
 * log - one line an event, to standard error, for journald or a file.
 *
 * Only programs and the rims log; pure code returns errors.  Lines carry the
 * module's name and never a secret (token, password, key, body).  Safe from
 * any thread.  `log_limited` drops repeats of one call site beyond 5 in 10 s
 * and says later how many.
 */
#ifndef CAIRN_COMMON_LOG_H
#define CAIRN_COMMON_LOG_H

#include <stdint.h>

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level most);
void log_line(enum log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

struct log_site {
    int64_t window; /* start, monotonic seconds */
    unsigned count;
};
void log_site_line(struct log_site *site, enum log_level level,
                   const char *module, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define log_err(module, ...)   log_line(LOG_ERR, module, __VA_ARGS__)
#define log_warn(module, ...)  log_line(LOG_WARN, module, __VA_ARGS__)
#define log_info(module, ...)  log_line(LOG_INFO, module, __VA_ARGS__)
#define log_debug(module, ...) log_line(LOG_DEBUG, module, __VA_ARGS__)
#define log_limited(level, module, ...)                                        \
    do {                                                                       \
        static struct log_site site_;                                          \
        log_site_line(&site_, level, module, __VA_ARGS__);                     \
    } while (0)

#endif
