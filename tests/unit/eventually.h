/*
 * eventually - waiting in a test until something is so.
 *
 * What is waited for is looked at every millisecond; when it is not so after
 * the given seconds the test fails and names it.
 */
#ifndef CAIRN_TESTS_EVENTUALLY_H
#define CAIRN_TESTS_EVENTUALLY_H

#include "test.h"

#include "common/env.h"

#include <unistd.h>

#define EVENTUALLY_S 10

#define eventually(is_so_)                                                     \
    do {                                                                       \
        int64_t until_ = env_mono(&env_system) + EVENTUALLY_S * SECOND_US;     \
        while (!(is_so_)) {                                                    \
            if (env_mono(&env_system) > until_)                                \
                fail_msg("not within %d s: %s", EVENTUALLY_S, #is_so_);        \
            usleep(1000);                                                      \
        }                                                                      \
    } while (0)

#endif
