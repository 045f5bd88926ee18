#include "daemon/node_libvirt.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "daemon/guest_pki.h"
#include "daemon/supervisor.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBVIRT_SOCKET "/run/libvirt/libvirt-sock"
#define LIBVIRT_CONF   "/etc/libvirt/libvirtd.conf"
#define QEMU_CONF      "/etc/libvirt/qemu.conf"

/* Unique and lasting: hosts that have the same refuse to migrate guests to
 * each other. */
static bool host_uuid(const struct config *cf, char uuid[UUID_SIZE],
                      struct error *err)
{
    _autofree_ char *path = xasprintf("%s/host-uuid", cf->state_dir);
    _autofile_ FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%36s", uuid) == 1 && uuid_valid(uuid))
        return true;
    env_uuid(&env_system, uuid);
    return node_write_file(path, uuid, err);
}

/* With TLS the other nodes' libvirt may come in, to bring guests; only a
 * member of the pool has a certificate of its CA. */
static char *libvirt_listen(const struct node_setup *n)
{
    const char *dir = n->config->state_dir;
    if (!n->config->tls)
        return xstrdup("listen_tls = 0\n");
    return xasprintf("listen_tls = 1\nlisten_addr = \"%s\"\n"
                     "auth_tls = \"none\"\n"
                     "key_file = \"%s/pki/server.key\"\n"
                     "cert_file = \"%s/pki/server.crt\"\n"
                     "ca_file = \"%s/pki/ca.crt\"\n",
                     n->address, dir, dir, dir);
}

static bool write_libvirt_conf(const struct node_setup *n, struct error *err)
{
    char uuid[UUID_SIZE];
    if (!host_uuid(n->config, uuid, err))
        return false;
    _autofree_ char *listen = libvirt_listen(n);
    _autofree_ char *text =
        xasprintf("# Written by cairnd.\n"
                  "host_uuid = \"%s\"\n"
                  "%slisten_tcp = 0\n"
                  "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\n"
                  "unix_sock_group = \"root\"\nunix_sock_rw_perms = \"0700\"\n"
                  "log_level = 3\n"
                  "log_outputs = \"3:file:/var/log/libvirt/libvirtd.log\"\n",
                  uuid, listen);
    return node_write_file(LIBVIRT_CONF, text, err);
}

/* stdio_handler: no virtlogd.  security_driver: the machine's AppArmor knows
 * nothing of Cairn's paths. */
static bool write_qemu_conf(const struct node_setup *n, struct error *err)
{
    const struct config *cf = n->config;
    _autofree_ char *tls =
        cf->tls ? xasprintf("migrate_tls_x509_cert_dir = \"%s/guest-pki\"\n"
                            "migrate_tls_x509_verify = 1\n",
                            cf->state_dir)
                : xstrdup("");
    _autofree_ char *text =
        xasprintf("# Written by cairnd.\n"
                  "user = \"%s\"\ngroup = \"kvm\"\n"
                  "dynamic_ownership = 1\nremember_owner = 0\n"
                  "stdio_handler = \"file\"\nsecurity_driver = \"none\"\n"
                  "max_core = 0\n"
                  "migration_address = \"%s\"\nmigration_host = \"%s\"\n%s",
                  cf->guest_user, n->address, n->address, tls);
    return node_write_file(QEMU_CONF, text, err);
}

/* By which libvirtd is a client of others' (pkipath), by libvirt's names. */
static bool link_libvirt_pki(const struct config *cf, struct error *err)
{
    static const char *const links[][2] = {
        { "cacert.pem", "../pki/ca.crt" },
        { "clientcert.pem", "../pki/server.crt" },
        { "clientkey.pem", "../pki/server.key" },
    };
    _autofree_ char *dir = xasprintf("%s/libvirt-pki", cf->state_dir);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return error_errno(err, ERR_INTERNAL, errno, "%s", dir);
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        _autofree_ char *path = xasprintf("%s/%s", dir, links[i][0]);
        if (symlink(links[i][1], path) != 0 && errno != EEXIST)
            return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    }
    return true;
}

/* What guests are moved with. */
static bool make_move_keys(const struct node_setup *n, struct error *err)
{
    const struct config *cf = n->config;
    uid_t user = 0;
    gid_t group = 0;
    if (!cf->tls)
        return true;
    _autofree_ char *cert = xasprintf("%s/pki/server.crt", cf->state_dir);
    _autofree_ char *key = xasprintf("%s/pki/ca.key", cf->state_dir);
    _autofree_ char *dir = xasprintf("%s/guest-pki", cf->state_dir);
    if (!node_file_exists(cert))
        return error_set(err, ERR_BUSY, "waits until this node is in a pool");
    config_user(cf->guest_user, 0, &user, &group);
    return link_libvirt_pki(cf, err) &&
           guest_pki_make(dir, key, n->address, user, group,
                          env_now(&env_system), err);
}

bool node_libvirt_prepare(void *arg, struct error *err)
{
    static const char *const dirs[] = { "/etc/libvirt",
                                        "/run/libvirt",
                                        "/var/log/libvirt",
                                        "/var/log/libvirt/qemu",
                                        "/var/lib/libvirt",
                                        "/var/lib/libvirt/qemu",
                                        "/var/lib/libvirt/images",
                                        NULL };
    const struct node_setup *n = arg;
    const struct passwd *pw = getpwnam(n->config->guest_user);
    if (!node_make_dirs(err, dirs))
        return false;
    if (pw && chown("/var/lib/libvirt/qemu", pw->pw_uid, pw->pw_gid) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "/var/lib/libvirt/qemu");
    return make_move_keys(n, err) && write_libvirt_conf(n, err) &&
           write_qemu_conf(n, err);
}

void node_libvirt_command(void *arg, struct words *w)
{
    words_add(w, "libvirtd");
    words_add(w, "--listen"); /* as its configuration says */
}

bool node_libvirt_probe(void *arg)
{
    return service_listens(LIBVIRT_SOCKET);
}
