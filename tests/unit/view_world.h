/*
 * view_world - a view of the engine that follows a store, for tests.
 */
#ifndef CAIRN_TESTS_VIEW_WORLD_H
#define CAIRN_TESTS_VIEW_WORLD_H

#include "server_world.h"

#include "engine/view.h"

static struct view *view;

static inline int setup(void **state)
{
    world_open();
    world_follow();
    view = view_new();
    return 0;
}

static inline int teardown(void **state)
{
    view_free(view);
    world_close();
    return 0;
}

static inline struct snapshot *follow(void)
{
    struct snapshot *s = cache_snapshot(world_cache);
    view_follow(view, s, world_time);
    return s;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
