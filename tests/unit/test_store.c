/* The store suite on the drivers that stand alone. */
#include "store_suite.h"

#include "tempdir.h"

static void *memory_open(void)
{
    return store_memory_open(&suite_env);
}

static struct store *itself(void *opened)
{
    return opened;
}

static void memory_tick(void *opened)
{
    store_memory_tick(opened);
}

static void close_store(void *opened)
{
    store_close(opened);
}

static char dir[TEMPDIR_MAX];

static void *sqlite_open(void)
{
    char path[TEMPDIR_MAX + 16];
    struct error err;
    snprintf(path, sizeof(path), "%s/store.db", tempdir_make(dir));
    return store_sqlite_open(path, &suite_env, &err);
}

static void sqlite_close(void *opened)
{
    store_close(opened);
    tempdir_remove(dir);
}

int main(void)
{
    static const struct suite_driver memory = { "memory", memory_open, itself,
                                                memory_tick, close_store };
    static const struct suite_driver sqlite = { "sqlite", sqlite_open, itself,
                                                NULL, sqlite_close };
    return store_suite(&memory) + store_suite(&sqlite);
}
