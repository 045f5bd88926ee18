#include "daemon/node_services.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/node_etcd.h"
#include "daemon/node_libvirt.h"
#include "daemon/node_ovn.h"
#include "daemon/node_switch.h"
#include "daemon/supervisor.h"

#include <stdlib.h>

#define START_US (60 * SECOND_US)
#define ETCD_US  (30 * SECOND_US)

struct node_services {
    struct node_setup setup;
    struct supervisor *supervisor;
};

static const struct service_spec table[] = {
    { "ovsdb-server",
      { NULL },
      node_switch_prepare_db,
      node_switch_command_db,
      node_switch_probe_db },
    { "ovs-vswitchd",
      { "ovsdb-server" },
      node_switch_prepare,
      node_switch_command,
      NULL },
    { "uplink", { "ovs-vswitchd" }, node_switch_uplink, NULL, NULL },
    { "etcd",
      { "uplink" }, /* which has the address where it listens */
      node_etcd_prepare,
      node_etcd_command,
      node_etcd_probe,
      node_etcd_here },
    { "libvirtd",
      { NULL },
      node_libvirt_prepare,
      node_libvirt_command,
      node_libvirt_probe },
    { "ovn-nb",
      { NULL },
      node_ovn_prepare_nb,
      node_ovn_command_nb,
      node_ovn_probe_nb,
      node_setup_is_central },
    { "ovn-sb",
      { NULL },
      node_ovn_prepare_sb,
      node_ovn_command_sb,
      node_ovn_probe_sb,
      node_setup_is_central },
    { "ovn-northd",
      { "ovn-nb", "ovn-sb" },
      NULL,
      node_ovn_command_northd,
      NULL,
      node_setup_is_central },
    { "ovn-controller",
      { "uplink" },
      node_ovn_prepare_controller,
      node_ovn_command_controller,
      node_ovn_probe_controller,
      node_setup_is_member },
};

struct node_services *node_services_start(const struct config *config,
                                          const struct env *env,
                                          const char *node, struct error *err)
{
    struct node_services *n = xcalloc(1, sizeof(*n));
    struct error late = { 0 };
    _autofree_ char *dir = xasprintf("%s/services", config->run_dir);
    node_setup_init(&n->setup, config, node);
    node_setup_load(&n->setup);
    struct supervisor_config sc = {
        .env = env,
        .table = table,
        .n = ARRAY_SIZE(table),
        .arg = &n->setup,
        .dir = dir,
        .log_dir = config->log_dir,
    };
    n->supervisor = supervisor_start(&sc, err);
    if (!n->supervisor) {
        free(n);
        return NULL;
    }
    if (!supervisor_await(n->supervisor, "uplink", START_US, &late) ||
        (node_etcd_here(&n->setup) &&
         !supervisor_await(n->supervisor, "etcd", START_US, &late)))
        log_warn("services", "%s", late.text);
    return n;
}

void node_services_await(struct node_services *n)
{
    struct error late = { 0 };
    if (!supervisor_await(n->supervisor, NULL, START_US, &late))
        log_warn("services", "%s", late.text);
}

void node_services_members(struct node_services *n,
                           const struct service_member *members,
                           size_t n_members)
{
    static const char *const central_ones[] = { "ovn-nb", "ovn-sb",
                                                "ovn-northd" };
    struct supervisor *s = n->supervisor;
    size_t was;
    if (!node_setup_take(&n->setup, members, n_members, &was))
        return;
    node_setup_save(&n->setup);
    /* The databases change their ways only once; northd and the controllers
     * must hear of each. */
    supervisor_restart(s, "uplink");
    if (was == 1 && n_members > 1) {
        supervisor_restart(s, "ovn-nb");
        supervisor_restart(s, "ovn-sb");
    }
    supervisor_restart(s, "ovn-northd");
    for (size_t i = 0; i < ARRAY_SIZE(central_ones); i++)
        supervisor_want(s, central_ones[i], node_setup_is_central(&n->setup));
    supervisor_want(s, "ovn-controller", true);
    supervisor_hurry(s);
}

bool node_services_etcd(struct node_services *n, bool wanted, struct error *err)
{
    supervisor_want(n->supervisor, "etcd", wanted);
    supervisor_hurry(n->supervisor);
    return !wanted || supervisor_await(n->supervisor, "etcd", ETCD_US, err);
}

void node_services_renewed(struct node_services *n)
{
    if (n && n->setup.config->tls)
        supervisor_restart(n->supervisor, "libvirtd");
}

void node_services_free(struct node_services *n)
{
    if (!n)
        return;
    supervisor_free(n->supervisor, false);
    pthread_mutex_destroy(&n->setup.lock);
    free(n);
}
