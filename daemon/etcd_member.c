#include "daemon/etcd_member.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "state/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A leader that is gone is followed within twice ELECTION_MS: leases of the
 * dead begin anew then, and all that waits for them. */
#define HEARTBEAT_MS 100
#define ELECTION_MS  700
#define CLUSTER_MAX  4096 /* bytes of --initial-cluster */

static void url(const char *address, int port, char out[ETCD_PLACE_MAX])
{
    bool v6 = strchr(address, ':') != NULL;
    snprintf(out, ETCD_PLACE_MAX, "https://%s%.60s%s:%d", v6 ? "[" : "",
             address, v6 ? "]" : "", port);
}

void etcd_client_url(const char *address, char out[ETCD_PLACE_MAX])
{
    url(address, ETCD_CLIENT_PORT, out);
}

void etcd_peer_url(const char *address, char out[ETCD_PLACE_MAX])
{
    url(address, ETCD_PEER_PORT, out);
}

static char *role_file(const char *state_dir)
{
    return xasprintf("%s/etcd-member", state_dir);
}

bool etcd_member_here(const char *state_dir)
{
    _autofree_ char *path = role_file(state_dir);
    return access(path, F_OK) == 0;
}

/* At most one old one is kept: enough to look into, never used again. */
static bool put_aside(const char *state_dir, struct error *err)
{
    _autofree_ char *data = xasprintf("%s/etcd", state_dir);
    _autofree_ char *old = xasprintf("%s/etcd.old", state_dir);
    if (access(data, F_OK) != 0)
        return true;
    if (access(old, F_OK) == 0 &&
        !command_do(err, "rm", "-rf", "--one-file-system", old, NULL))
        return false;
    return rename(data, old) == 0 ||
           error_errno(err, ERR_INTERNAL, errno, "%s", data);
}

static bool write_role(const char *state_dir, const char *text,
                       struct error *err)
{
    _autofree_ char *path = role_file(state_dir);
    _autofree_ char *new = xasprintf("%s.new", path);
    _autoclose_ int fd =
        open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd) != 0 ||
        rename(new, path) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

bool etcd_member_make(const char *state_dir, bool first,
                      const char *initial_cluster, struct error *err)
{
    _autofree_ char *data = xasprintf("%s/etcd", state_dir);
    _autofree_ char *text =
        xasprintf("%s %s\n", first ? "new" : "existing", initial_cluster);
    if (!put_aside(state_dir, err))
        return false;
    if (mkdir(data, 0700) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", data);
    return write_role(state_dir, text, err);
}

bool etcd_member_drop(const char *state_dir, struct error *err)
{
    _autofree_ char *path = role_file(state_dir);
    return unlink(path) == 0 || errno == ENOENT ||
           error_errno(err, ERR_INTERNAL, errno, "%s", path);
}

/* What it was made with; "" when that cannot be read: etcd then says so. */
static void read_role(const char *state_dir, char state[16],
                      char cluster[CLUSTER_MAX])
{
    _autofree_ char *path = role_file(state_dir);
    _autofile_ FILE *f = fopen(path, "re");
    if (!f || fscanf(f, "%15s %4095s", state, cluster) != 2)
        state[0] = cluster[0] = '\0';
}

static void add_tls(const char *state_dir, const char *prefix, struct words *w)
{
    words_add(w, "--%scert-file=%s/pki/server.crt", prefix, state_dir);
    words_add(w, "--%skey-file=%s/pki/server.key", prefix, state_dir);
    words_add(w, "--%strusted-ca-file=%s/pki/ca.crt", prefix, state_dir);
    words_add(w, "--%sclient-cert-auth", prefix);
}

void etcd_member_command(const char *state_dir, const char *node,
                         const char *address, struct words *w)
{
    char state[16], cluster[CLUSTER_MAX];
    char client[ETCD_PLACE_MAX], peer[ETCD_PLACE_MAX];
    read_role(state_dir, state, cluster);
    etcd_client_url(address, client);
    etcd_peer_url(address, peer);
    words_add(w, "etcd");
    words_add(w, "--name=%s", node);
    words_add(w, "--data-dir=%s/etcd", state_dir);
    words_add(w, "--listen-client-urls=%s", client);
    words_add(w, "--advertise-client-urls=%s", client);
    words_add(w, "--listen-peer-urls=%s", peer);
    words_add(w, "--initial-advertise-peer-urls=%s", peer);
    words_add(w, "--initial-cluster=%s", cluster);
    words_add(w, "--initial-cluster-state=%s", state);
    add_tls(state_dir, "", w);
    add_tls(state_dir, "peer-", w);
    words_add(w, "--heartbeat-interval=%d", HEARTBEAT_MS);
    words_add(w, "--election-timeout=%d", ELECTION_MS);
    words_add(w, "--pre-vote=true"); /* who comes back does not disturb */
    words_add(w, "--max-txn-ops=%d", STORE_OPS_MAX);
    words_add(w, "--logger=zap");
    words_add(w, "--log-level=warn");
}
