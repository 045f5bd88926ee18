/*
 * config - cairnd's configuration: one file of "key = value" lines.
 *
 * Blank lines and lines that begin with '#' are skipped; a value may stand in
 * double quotes; a key given twice or a value that cannot be right is an
 * error that names its line.  An unknown key may be of another version: it is
 * kept with its line, to be warned of.  Every key has a default, so an empty
 * file is a configuration.  The keys are one table (config.c), from
 * which `cairnd --help` is written too.
 *
 * A struct config is immutable after loading and owned by the caller.
 */
#ifndef CAIRN_DAEMON_CONFIG_H
#define CAIRN_DAEMON_CONFIG_H

#include "common/alloc.h"
#include "common/buf.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CONFIG_FILE     "/etc/cairn/cairnd.conf"
#define CONFIG_FILE_MAX (64 * 1024) /* bytes */

#define CONFIG_UNKNOWN_MAX 16

struct config_unknown {
    int line;
    const char *key;
};

/* Strings are never NULL, "" when not set. */
struct config {
    const char *state_dir;  /* database, images, disks, keys */
    const char *run_dir;    /* gone after a restart of the machine */
    const char *listen;     /* "192.0.2.1:443", "[::]:443" */
    const char *public_url; /* "" : https://<address of listen> */
    const char *pool_name;
    const char *region;
    const char *node_name; /* "": the host's name */
    const char *face_user; /* unprivileged user of the API's process */
    const char *libvirt_uri;
    const char *guest_user;          /* user that QEMU runs as */
    const char *passthrough_devices; /* "10de:20b0=a100, 0000:3b:00.0" */
    const char *mdev_types;          /* "nvidia-35, nvidia-36"; "": all */
    const char *pinned_cpus;         /* "4-31" */
    const char *store;               /* "sqlite" or "etcd" */
    const char *etcd_endpoints;      /* "host:port,..." */
    const char *etcd_ca, *etcd_cert, *etcd_key; /* "": without TLS */
    const char *volumes;                        /* "local" or "ceph" */
    const char *ceph_conf, *ceph_client, *ceph_pool;
    const char *disks;           /* patterns of paths, or "auto" */
    const char *storage_nic;     /* Ceph's, where it is there */
    const char *ovn_nb, *ovs_db; /* "unix:/path" */
    bool join;                   /* a pool that is there; else: found one */
    const char *join_secret_file;
    const char *peers; /* "192.0.2.1, 192.0.2.2": members to ask */
    int peer_port;
    int copy_mib_s;       /* of disks that go to other nodes; 0: no limit */
    bool services;        /* cairnd starts the daemons a node needs */
    const char *log_dir;  /* what they print */
    const char *uplink;   /* NIC that br-ex gets; "": others did that */
    const char *address;  /* "192.0.2.1/24", of br-ex */
    const char *gateway;  /* "": none */
    const char *datapath; /* "netdev" or "system" */
    const char *physnet;
    const char *external_cidr; /* "": no network "public" */
    const char *external_gateway;
    const char *external_pool_start, *external_pool_end;
    const char *admin_password_file;
    const char *demo_password_file; /* "": no user demo */
    bool tls;
    int log_level; /* enum log_level */
    /* Keys that this version does not know, the first so many. */
    struct config_unknown unknown[CONFIG_UNKNOWN_MAX];
    size_t n_unknown;
    struct arena arena;
};

bool config_parse(struct config *c, const char *text, size_t len,
                  struct error *err);
bool config_load(struct config *c, const char *path, struct error *err);
void config_free(struct config *c);
/* "192.0.2.1:443" into both parts; the host of "[::1]:443" is "::1". */
bool config_split_address(const char *text, char host[64], int *port);
/* The ids of a user named in it; `dflt` for both when there is none. */
void config_user(const char *name, uid_t dflt, uid_t *uid, gid_t *gid);
/* All keys with default and meaning, a line each. */
void config_describe(struct buf *out);
/* The same as a page of Markdown: docs/config.md. */
void config_page(struct buf *out);

#endif
