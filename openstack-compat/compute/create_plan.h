/*
 * create_plan - what POST /servers asks for, checked before anything is made.
 *
 * create_plan() reads the body once: names, counts, flavor, image, key, place
 * (create_plan.c), networks and security groups (create_plan_nics.c), block
 * devices (create_plan_disks.c).  Nothing is written to the transaction; what
 * the plan points to belongs to the request and its snapshot, but for
 * `groups`, which lie in `scratch`, and `image_devices`.  A function that
 * returns false, or NULL, has set r->err.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_COMPUTE_CREATE_PLAN_H
#define CAIRN_OPENSTACK_COMPAT_COMPUTE_CREATE_PLAN_H

#include "openstack-compat/compute/nova.h"

#define NICS_MAX    16
#define VOLUMES_MAX 16

struct nic {
    const struct network *network; /* make a port on it, or */
    const struct port *port;       /* take this one */
    const char *fixed_ip;
    const char *tag;
};

struct block_device {
    const char *source; /* image, volume, snapshot, blank */
    const char *id;
    int64_t size_gb;
    bool delete_on_termination;
    bool boot;
    const char *tag;
    const char *volume_type;
};

struct plan {
    const json_t *body;
    const json_t *hints;
    const char *name;
    const struct flavor *flavor;
    const struct image *image; /* local disk from it; NULL: from a volume */
    const struct keypair *keypair;
    const struct server_group *group;
    const char *zone, *host;
    int64_t min_count, max_count;
    struct nic nics[NICS_MAX];
    size_t n_nics;
    struct block_device devices[VOLUMES_MAX];
    size_t n_devices;
    json_t *image_devices;  /* those of its image; the caller frees it */
    struct strs groups;     /* ids of security groups */
    struct record *scratch; /* whose arena holds them */
    const char *reservation;
};

/* The whole of it; `p` has its scratch record and is zero otherwise. */
bool create_plan(struct req *r, struct plan *p);

/* Its parts in other files. */
bool create_plan_groups(struct req *r, struct plan *p);
bool create_plan_networks(struct req *r, struct plan *p);
bool create_plan_devices(struct req *r, struct plan *p);

/* What they share.  create_invalid is always false. */
bool create_invalid(struct req *r, const char *what);
bool create_zone_exists(struct req *r, const char *zone); /* else 400 */
const struct image *create_find_image(struct req *r, const char *id);
/* Whether a server of that flavor may have the image; `local`: as the disk
 * that the flavor brings. */
bool create_image_fits(struct req *r, const struct image *i,
                       const struct flavor *f, bool local);
/* The tag of a network or device, from microversion `since` on. */
bool create_read_tag(struct req *r, const json_t *item, microversion since,
                     const char **tag);

#endif
