/* shell - runs a command line of the test's own in a directory. */
#ifndef CAIRN_TESTS_SHELL_H
#define CAIRN_TESTS_SHELL_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

/* Its exit code; -1 when it died of a signal. */
static inline int __attribute__((format(printf, 2, 3)))
shell_in(const char *dir, const char *fmt, ...)
{
    char command[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = snprintf(command, sizeof(command), "cd %s && ", dir);
    vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
    va_end(ap);
    int status = system(command); /* NOLINT: a test's own command */
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
