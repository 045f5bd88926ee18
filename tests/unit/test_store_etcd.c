/* The store suite on a real etcd. */
#include "store_suite.h"

#include "etcd_child.h"

#include "state/store_etcd.h"

static struct etcd_child etcd;
static int stores;

static void *open_etcd(void)
{
    const char *endpoints[ETCD_MEMBERS];
    char name[16];
    struct error err = { 0 };
    snprintf(name, sizeof(name), "t%d", ++stores);
    struct store *s = store_etcd_open(
        &(struct store_etcd_config){ .endpoints = endpoints,
                                     .n_endpoints =
                                         etcd_endpoints(&etcd, endpoints),
                                     .name = name,
                                     .begin = ETCD_MAY_CREATE,
                                     .env = &env_system },
        &err);
    if (!s)
        print_error("%s\n", err.text);
    return s;
}

static struct store *itself(void *opened)
{
    return opened;
}

static void close_store(void *opened)
{
    store_close(opened);
}

int main(void)
{
    static const struct suite_driver driver = {
        "etcd", open_etcd, itself, NULL, close_store, .real_time = 10,
    };
    if (!etcd_there()) {
        print_message("skipped: there is no etcd on this machine\n");
        return 0;
    }
    etcd_child_start(&etcd, 1);
    int failed = store_suite(&driver);
    etcd_child_stop(&etcd);
    return failed;
}
