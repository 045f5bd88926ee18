#include "daemon/node_ovn.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "daemon/node_switch.h"
#include "daemon/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NB_SOCKET    "/run/ovn/ovnnb_db.sock"
#define NB_RAFT_PORT 6643
#define SB_RAFT_PORT 6644

struct database {
    const char *name, *schema, *global, *file, *tables;
    int port, raft_port;
};

static const struct database nb = { "nb",
                                    "OVN_Northbound",
                                    "NB_Global",
                                    "/var/lib/ovn/nb.db",
                                    "/usr/share/ovn/ovn-nb.ovsschema",
                                    NODE_OVN_NB_PORT,
                                    NB_RAFT_PORT };
static const struct database sb = { "sb",
                                    "OVN_Southbound",
                                    "SB_Global",
                                    "/var/lib/ovn/sb.db",
                                    "/usr/share/ovn/ovn-sb.ovsschema",
                                    NODE_OVN_SB_PORT,
                                    SB_RAFT_PORT };

static bool ovsdb_tool(struct error *err, const char *verb,
                       const struct database *db)
{
    return command_do(err, "ovsdb-tool", verb, db->file, NULL);
}

/* With the one row of its global table, which northd would make as well, but
 * not before the controller connects: that one (23.03 and later) dies of
 * signal 11 in a southbound database without it. */
static bool create(const struct database *db, struct error *err)
{
    _autofree_ char *row =
        xasprintf("[\"%s\",{\"op\":\"insert\",\"table\":\"%s\",\"row\":{}}]",
                  db->schema, db->global);
    _autofree_ char *new = xasprintf("%s.new", db->file);
    unlink(new);
    if (!command_do(err, "ovsdb-tool", "create", new, db->tables, NULL) ||
        !command_do(err, "ovsdb-tool", "transact", new, row, NULL))
        return false;
    return rename(new, db->file) == 0 ||
           error_errno(err, ERR_INTERNAL, errno, "%s", db->file);
}

/* The first member's content becomes the cluster's. */
static bool become_cluster(const struct node_setup *n,
                           const struct database *db, struct error *err)
{
    _autofree_ char *own = xasprintf("ssl:%s:%d", n->address, db->raft_port);
    _autofree_ char *alone = xasprintf("%s.alone", db->file);
    unlink(alone);
    if (rename(db->file, alone) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", db->file);
    if (command_do(err, "ovsdb-tool", "create-cluster", db->file, alone, own,
                   NULL))
        return true;
    (void)rename(alone, db->file);
    return false;
}

/* What this node had alone is derived from the pool's records as well. */
static bool join_cluster(struct node_setup *n, const struct database *db,
                         struct error *err)
{
    _autowords_ struct words w = WORDS_INIT;
    unlink(db->file);
    words_add(&w, "ovsdb-tool");
    words_add(&w, "join-cluster");
    words_add(&w, "%s", db->file);
    words_add(&w, "%s", db->schema);
    words_add(&w, "ssl:%s:%d", n->address, db->raft_port);
    node_setup_add_others(n, db->raft_port, &w);
    return command_run(&w, 20000, NULL, err);
}

static bool prepare_database(struct node_setup *n, const struct database *db,
                             struct error *err)
{
    static const char *const dirs[] = { "/var/lib/ovn", "/run/ovn",
                                        "/var/log/ovn", NULL };
    struct error no;
    if (!node_setup_in_a_pool(n, err) || !node_make_dirs(err, dirs))
        return false;
    bool there = node_file_exists(db->file), first = node_setup_is_first(n);
    if (!there && first && !create(db, err))
        return false;
    if (!node_setup_is_clustered(n) ||
        (there && ovsdb_tool(&no, "db-is-clustered", db)))
        return true;
    return first ? become_cluster(n, db, err) : join_cluster(n, db, err);
}

bool node_ovn_prepare_nb(void *arg, struct error *err)
{
    return prepare_database(arg, &nb, err);
}

bool node_ovn_prepare_sb(void *arg, struct error *err)
{
    return prepare_database(arg, &sb, err);
}

static void command_database(struct node_setup *n, struct words *w,
                             const struct database *db)
{
    words_add(w, "ovsdb-server");
    words_add(w, "%s", db->file);
    words_add(w, "-vconsole:off");
    words_add(w, "--remote=punix:/run/ovn/ovn%s_db.sock", db->name);
    words_add(w, "--unixctl=/run/ovn/ovn%s_db.ctl", db->name);
    words_add(w, "--pidfile=/run/ovn/ovn%s_db.pid", db->name);
    words_add(w, "--log-file=/var/log/ovn/ovsdb-server-%s.log", db->name);
    if (!node_setup_is_clustered(n))
        return;
    words_add(w, "--remote=pssl:%d:%s", db->port, n->address);
    node_setup_add_tls(n, w);
}

void node_ovn_command_nb(void *arg, struct words *w)
{
    command_database(arg, w, &nb);
}

void node_ovn_command_sb(void *arg, struct words *w)
{
    command_database(arg, w, &sb);
}

bool node_ovn_probe_nb(void *arg)
{
    return service_listens(NB_SOCKET);
}

bool node_ovn_probe_sb(void *arg)
{
    return service_listens(NODE_OVN_SB_SOCKET);
}

void node_ovn_command_northd(void *arg, struct words *w)
{
    struct node_setup *n = arg;
    _autofree_ char *north =
        node_setup_remotes(n, NODE_OVN_NB_PORT, "unix:" NB_SOCKET);
    _autofree_ char *south =
        node_setup_remotes(n, NODE_OVN_SB_PORT, "unix:" NODE_OVN_SB_SOCKET);
    words_add(w, "ovn-northd");
    words_add(w, "-vconsole:off");
    words_add(w, "--ovnnb-db=%s", north);
    words_add(w, "--ovnsb-db=%s", south);
    words_add(w, "--pidfile=/run/ovn/ovn-northd.pid");
    words_add(w, "--log-file=/var/log/ovn/ovn-northd.log");
    if (node_setup_is_clustered(n))
        node_setup_add_tls(n, w);
}

bool node_ovn_prepare_controller(void *arg, struct error *err)
{
    static const char *const dirs[] = { "/run/ovn", "/var/log/ovn", NULL };
    return node_setup_in_a_pool(arg, err) && node_make_dirs(err, dirs);
}

void node_ovn_command_controller(void *arg, struct words *w)
{
    static const char *const words[] = {
        "ovn-controller",
        "-vconsole:off",
        ("unix:" NODE_SWITCH_SOCKET),
        "--pidfile=/run/ovn/ovn-controller.pid",
        "--log-file=/var/log/ovn/ovn-controller.log",
        NULL
    };
    words_list(w, words);
    node_setup_add_tls(arg, w);
}

/* It makes br-int when it knows what to make; guests are plugged into it. */
bool node_ovn_probe_controller(void *arg)
{
    struct error err;
    return command_do(&err, "ovs-vsctl", "--timeout=2", "br-exists", "br-int",
                      NULL);
}
