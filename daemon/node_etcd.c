#include "daemon/node_etcd.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "daemon/etcd_member.h"
#include "daemon/pool_store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ETCD_CLIENT "127.0.0.1:2379"
#define ETCD_PEER   "http://127.0.0.1:2380"

bool node_etcd_prepare(void *arg, struct error *err)
{
    const struct node_setup *n = arg;
    _autofree_ char *dir = xasprintf("%s/etcd", n->config->state_dir);
    if (mkdir(dir, 0700) == 0 || errno == EEXIST)
        return true;
    return error_errno(err, ERR_INTERNAL, errno, "%s", dir);
}

/* A node alone whose state is in etcd: it speaks to nobody else. */
static void command_alone(const struct node_setup *n, struct words *w)
{
    words_add(w, "etcd");
    words_add(w, "--name=%s", n->node);
    words_add(w, "--data-dir=%s/etcd", n->config->state_dir);
    words_add(w, "--listen-client-urls=http://" ETCD_CLIENT);
    words_add(w, "--advertise-client-urls=http://" ETCD_CLIENT);
    words_add(w, "--listen-peer-urls=" ETCD_PEER);
    words_add(w, "--initial-advertise-peer-urls=" ETCD_PEER);
    words_add(w, "--initial-cluster=%s=" ETCD_PEER, n->node);
    words_add(w, "--max-txn-ops=%d", STORE_OPS_MAX);
    words_add(w, "--logger=zap");
    words_add(w, "--log-level=warn");
}

void node_etcd_command(void *arg, struct words *w)
{
    const struct node_setup *n = arg;
    const char *dir = n->config->state_dir;
    if (etcd_member_here(dir))
        etcd_member_command(dir, n->node, n->address, w);
    else
        command_alone(n, w);
}

bool node_etcd_probe(void *arg)
{
    const struct node_setup *n = arg;
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons(2379),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (etcd_member_here(n->config->state_dir) &&
        inet_pton(AF_INET, n->address, &sa.sin_addr) != 1)
        return true; /* it is not found out this way */
    _autoclose_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (void *)&sa, sizeof(sa)) == 0;
}

/* A member of the pool's, or one for this node alone unless the configuration
 * names others. */
bool node_etcd_here(void *arg)
{
    const struct node_setup *n = arg;
    const struct config *cf = n->config;
    return etcd_member_here(cf->state_dir) ||
           (strcmp(cf->etcd_endpoints, ETCD_CLIENT) == 0 &&
            pool_store_is_alone(cf));
}
