/* bench/fill: the records of a pool in use (pool/pool.h), put into the
 * database of a cairnd that is not running.  Prints one JSON line.
 *
 *   fill FILE */
#include "bench/pool/pool.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct pool_names names;
    struct error err = { 0 };
    struct store *store =
        argc == 2 ? store_sqlite_open(argv[1], &env_system, &err) : NULL;
    if (!store) {
        fprintf(stderr, "usage: fill FILE\n%s\n", err.text);
        return 1;
    }
    pool_fill(store, &env_system, &names);
    store_close(store);
    printf("{\"servers\":%d,\"listed\":%d,\"server\":\"%s\"}\n", POOL_SERVERS,
           POOL_LISTED, names.server);
    return 0;
}
