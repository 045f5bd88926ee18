#include "daemon/node_switch.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "daemon/node_ovn.h"
#include "daemon/supervisor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OVS_DB     "/etc/openvswitch/conf.db"
#define OVS_BOOTED "/run/openvswitch/cairn-booted"

bool node_switch_prepare_db(void *arg, struct error *err)
{
    static const char *const dirs[] = { "/etc/openvswitch", "/run/openvswitch",
                                        "/var/log/openvswitch", NULL };
    if (!node_make_dirs(err, dirs))
        return false;
    if (node_file_exists(OVS_BOOTED) && node_file_exists(OVS_DB))
        return true;
    unlink(OVS_DB);
    return command_do(err, "ovsdb-tool", "create", OVS_DB,
                      "/usr/share/openvswitch/vswitch.ovsschema", NULL) &&
           node_write_file(OVS_BOOTED, "its database is of this boot\n", err);
}

void node_switch_command_db(void *arg, struct words *w)
{
    static const char *const words[] = {
        "ovsdb-server",
        OVS_DB,
        "-vconsole:off",
        ("--remote=punix:" NODE_SWITCH_SOCKET),
        "--pidfile=/run/openvswitch/ovsdb-server.pid",
        "--log-file=/var/log/openvswitch/ovsdb-server.log",
        NULL
    };
    words_list(w, words);
}

bool node_switch_probe_db(void *arg)
{
    return service_listens(NODE_SWITCH_SOCKET);
}

bool node_switch_prepare(void *arg, struct error *err)
{
    return command_do(err, "ovs-vsctl", "--no-wait", "--timeout=5", "init",
                      NULL);
}

void node_switch_command(void *arg, struct words *w)
{
    static const char *const words[] = {
        "ovs-vswitchd",
        ("unix:" NODE_SWITCH_SOCKET),
        "-vconsole:off",
        "--pidfile=/run/openvswitch/ovs-vswitchd.pid",
        "--log-file=/var/log/openvswitch/ovs-vswitchd.log",
        NULL
    };
    words_list(w, words);
}

/* ---- the node's NIC and address ---------------------------------------- */

/* br-ex has the NIC's MAC, or each neighbour would have to notice. */
static bool nic_mac(const char *nic, char mac[32], struct error *err)
{
    _autofree_ char *path = xasprintf("/sys/class/net/%s/address", nic);
    _autofile_ FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%31s", mac) == 1)
        return true;
    return error_set(err, ERR_UNAVAILABLE, "no network device %s yet", nic);
}

static bool add_bridge(const struct config *cf, struct error *err)
{
    char mac[32];
    _autowords_ struct words w = WORDS_INIT;
    if (!nic_mac(cf->uplink, mac, err))
        return false;
    static const char *const words[] = { "ovs-vsctl",   "--timeout=10",
                                         "--may-exist", "add-br",
                                         "br-ex",       NULL };
    words_list(&w, words);
    words_add(&w, "--");
    words_add(&w, "--may-exist");
    words_add(&w, "add-port");
    words_add(&w, "br-ex");
    words_add(&w, "%s", cf->uplink);
    words_add(&w, "--");
    words_add(&w, "set");
    words_add(&w, "Bridge");
    words_add(&w, "br-ex");
    words_add(&w, "datapath_type=%s", cf->datapath);
    words_add(&w, "other-config:hwaddr=\"%s\"", mac);
    return command_run(&w, 20000, NULL, err);
}

/* The NIC is the switch's: the kernel must not answer on it as well. */
static bool move_address(const struct config *cf, struct error *err)
{
    return command_do(err, "ip", "link", "set", cf->uplink, "arp", "off", "up",
                      NULL) &&
           command_do(err, "ip", "link", "set", "br-ex", "up", NULL) &&
           command_do(err, "ip", "addr", "replace", cf->address, "dev", "br-ex",
                      NULL) &&
           (!*cf->gateway || command_do(err, "ip", "route", "replace",
                                        "default", "via", cf->gateway, NULL));
}

static bool tell_controller(struct node_setup *n, struct error *err)
{
    const struct config *cf = n->config;
    _autofree_ char *sb =
        node_setup_remotes(n, NODE_OVN_SB_PORT, "unix:" NODE_OVN_SB_SOCKET);
    _autowords_ struct words w = WORDS_INIT;
    words_add(&w, "ovs-vsctl");
    words_add(&w, "--timeout=10");
    words_add(&w, "set");
    words_add(&w, "Open_vSwitch");
    words_add(&w, ".");
    words_add(&w, "external_ids:system-id=%s", n->node);
    words_add(&w, "external_ids:hostname=%s", n->node);
    words_add(&w, "external_ids:ovn-remote=\"%s\"", sb);
    words_add(&w, "external_ids:ovn-encap-type=geneve");
    words_add(&w, "external_ids:ovn-encap-ip=%.*s",
              (int)strcspn(cf->address, "/"), cf->address);
    words_add(&w, "external_ids:ovn-bridge-datapath-type=%s", cf->datapath);
    words_add(&w, "external_ids:ovn-bridge-mappings=%s:br-ex", cf->physnet);
    return command_run(&w, 20000, NULL, err);
}

bool node_switch_uplink(void *arg, struct error *err)
{
    struct node_setup *n = arg;
    const struct config *cf = n->config;
    return (!*cf->uplink || (add_bridge(cf, err) && move_address(cf, err))) &&
           tell_controller(n, err);
}
