#include "compute/mdev.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "compute/inventory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_NAME  "mdev"
#define TEXT_SIZE 1024
#define API       "vfio-pci"
#define TYPES     "mdev_supported_types"

/* ---- files --------------------------------------------------------------- */

struct names {
    struct dirent **at;
    int n;
};

static void names_free(struct names *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->at[i]);
    free(l->at); /* NOLINT: of pointers */
}
#define _autonames_ _cleanup_(names_free)

static int is_name(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* In their order; a directory that is not there has none. */
static struct names list(const char *dir)
{
    struct names l = { 0 };
    l.n = scandir(dir, &l.at, is_name, alphasort);
    return l.n < 0 ? (struct names){ 0 } : l;
}

/* "" when it cannot be read; without the last line's end. */
static void get(const char *dir, const char *name, char out[TEXT_SIZE])
{
    _autofree_ char *path = xasprintf("%s/%s", dir, name);
    _autofile_ FILE *f = fopen(path, "re");
    size_t n = f ? fread(out, 1, TEXT_SIZE - 1, f) : 0;
    while (n && out[n - 1] == '\n')
        n--;
    out[n] = '\0';
}

static int64_t get_number(const char *dir, const char *name, int64_t absent)
{
    char text[TEXT_SIZE];
    get(dir, name, text);
    return *text ? strtoll(text, NULL, 0) : absent;
}

/* Where a link points to, its last name; "": it is none. */
static void get_link(const char *dir, const char *name, char out[64])
{
    char to[512];
    _autofree_ char *path = xasprintf("%s/%s", dir, name);
    ssize_t n = readlink(path, to, sizeof(to) - 1);
    to[n < 0 ? 0 : n] = '\0';
    const char *slash = strrchr(to, '/');
    snprintf(out, 64, "%.63s", slash ? slash + 1 : to);
}

static int put(const struct mdev_host *h, const char *path, const char *text)
{
    if (h->put)
        return h->put(h->arg, path, text);
    _autoclose_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno;
    return write(fd, text, strlen(text)) < 0 ? errno : 0;
}

/* ---- whose it is --------------------------------------------------------- */

/* RFC 9562, version 8: "cair", 56 bits of the server, 32 of the part. */
#define MARK    "63616972-"
#define OF_WHOM 28 /* characters up to the part's */

static uint64_t digest(const char *a, const char *b)
{
    uint64_t h = 0xCBF29CE484222325ULL;
    for (const char *p = a; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001B3ULL;
    h = (h ^ '/') * 0x100000001B3ULL;
    for (const char *p = b; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001B3ULL;
    h = (h ^ h >> 32) * 0xD6E8FEB86659FD93ULL;
    return h ^ h >> 32;
}

void mdev_uuid(const char *server_id, const char *parent, const char *type,
               char out[UUID_SIZE])
{
    uint64_t s = digest("server", server_id), part = digest(parent, type);
    snprintf(out, UUID_SIZE, MARK "%04x-8%03x-8%03x-%04x%08x",
             (unsigned)(s & 0xffff), (unsigned)(s >> 16 & 0xfff),
             (unsigned)(s >> 28 & 0xfff), (unsigned)(s >> 40 & 0xffff),
             (unsigned)(part & 0xffffffff));
}

bool mdev_is_ours(const char *uuid)
{
    return strncmp(uuid, MARK, sizeof(MARK) - 1) == 0;
}

bool mdev_is_of(const char *uuid, const char *server_id)
{
    char like[UUID_SIZE];
    mdev_uuid(server_id, "", "", like);
    return strncmp(uuid, like, OF_WHOM) == 0;
}

/* ---- parents ------------------------------------------------------------- */

static char *parents_dir(const struct mdev_host *h)
{
    return xasprintf("%s/class/mdev_bus", h->sys);
}

/* The card that a parent is, or is a function of. */
static void card_of(const char *dir, const char *parent, char out[64])
{
    get_link(dir, "physfn", out);
    if (!*out)
        snprintf(out, 64, "%.63s", parent);
}

/* What is read of a type, over all functions of the card. */
struct part_type {
    char type[64], name[64];
    int64_t available, used, most; /* most: by the vendor's word, 0: none */
};

struct card {
    char address[64];
    int64_t vendor, product, cell;
    struct part_type *kinds;
    size_t n;
    bool foreign; /* somebody else has parts of it */
    int64_t used;
};

static void card_free(struct card *c)
{
    free(c->kinds);
}
#define _autocard_ _cleanup_(card_free)

static struct part_type *type_of(struct card *c, const char *type)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->kinds[i].type, type) == 0)
            return &c->kinds[i];
    c->kinds = xrealloc(c->kinds, (c->n + 1) * sizeof(*c->kinds));
    c->kinds[c->n] = (struct part_type){ .name = "" };
    snprintf(c->kinds[c->n].type, sizeof(c->kinds->type), "%.63s", type);
    return &c->kinds[c->n++];
}

/* "num_heads=4, frl_config=60, framebuffer=2048M, max_instance=8" */
static int64_t max_instance(const char *description)
{
    static const char word[] = "max_instance=";
    const char *at = strstr(description, word);
    return at ? strtoll(at + sizeof(word) - 1, NULL, 10) : 0;
}

static void read_type(const char *types, const char *type, struct card *c)
{
    char text[TEXT_SIZE];
    _autofree_ char *dir = xasprintf("%s/%s", types, type);
    _autofree_ char *made = xasprintf("%s/devices", dir);
    _autonames_ struct names parts = list(made);
    get(dir, "device_api", text);
    for (int i = 0; i < parts.n; i++)
        c->foreign |= !mdev_is_ours(parts.at[i]->d_name);
    c->used += parts.n;
    if (strcmp(text, API) != 0)
        return;
    struct part_type *k = type_of(c, type);
    k->used += parts.n;
    k->available += get_number(dir, "available_instances", 0);
    get(dir, "description", text);
    k->most = max_instance(text);
    get(dir, "name", text);
    snprintf(k->name, sizeof(k->name), "%.63s", text);
}

static void read_parent(const char *dir, struct card *c)
{
    _autofree_ char *types = xasprintf("%s/" TYPES, dir);
    _autonames_ struct names all = list(types);
    c->vendor = get_number(dir, "vendor", 0);
    c->product = get_number(dir, "device", 0);
    c->cell = get_number(dir, "numa_node", -1);
    for (int i = 0; i < all.n; i++)
        read_type(types, all.at[i]->d_name, c);
}

/* ---- what is offered ----------------------------------------------------- */

static bool is_offered(const char *list_, const char *type)
{
    size_t n = strlen(type);
    bool all = true;
    for (const char *p = list_; *p; p += strcspn(p, ", ")) {
        p += strspn(p, ", ");
        size_t len = strcspn(p, ", ");
        all &= !len;
        if (len == n && strncmp(p, type, n) == 0)
            return true;
    }
    return all;
}

static const struct node_device *device_in(const struct node *n,
                                           const char *address)
{
    for (size_t i = 0; n && i < n->devices.n; i++) {
        const struct node_device *d =
            LIST_AT(n->devices, struct node_device, i);
        if (strcmp(d->address, address) == 0)
            return d;
    }
    return NULL;
}

static int64_t known_before(const struct node *was, const char *address,
                            const char *type)
{
    const struct node_device *d = device_in(was, address);
    for (size_t i = 0; d && i < d->shares.n; i++) {
        const struct node_share *s = LIST_AT(d->shares, struct node_share, i);
        if (strcmp(s->type, type) == 0)
            return s->instances;
    }
    return 0;
}

/* That the empty card has room for.  One that is not empty shows only what
 * is left, and of other types than the one that is there mostly nothing. */
static int64_t instances(const struct card *c, const struct part_type *k,
                         const struct node *was)
{
    int64_t n = k->available + k->used;
    int64_t before = known_before(was, c->address, k->type);
    if (c->used && k->most > n)
        n = k->most;
    if (c->used && before > n)
        n = before;
    return k->most && k->most < n ? k->most : n;
}

/* Makes room in the order of addresses. */
static struct node_device *add(struct node *draft, const char *address)
{
    list_add(draft, &draft->devices, sizeof(struct node_device));
    size_t at = draft->devices.n - 1;
    struct node_device *all = LIST_AT(draft->devices, struct node_device, 0);
    while (at && strcmp(all[at - 1].address, address) > 0)
        at--;
    memmove(&all[at + 1], &all[at], (draft->devices.n - 1 - at) * sizeof(*all));
    all[at] = (struct node_device){ .address = rec_str(draft, address) };
    return &all[at];
}

static void offer(const struct card *c, const char *types,
                  const struct node *was, struct node *draft)
{
    struct list shares = { 0 };
    if (c->foreign || device_in(draft, c->address) ||
        draft->devices.n >= INVENTORY_DEVICES)
        return;
    for (size_t i = 0; i < c->n; i++) {
        int64_t n = instances(c, &c->kinds[i], was);
        if (n < 1 || !is_offered(types, c->kinds[i].type))
            continue;
        struct node_share *s = list_add(draft, &shares, sizeof(*s));
        s->type = rec_str(draft, c->kinds[i].type);
        s->name = *c->kinds[i].name ? rec_str(draft, c->kinds[i].name) : NULL;
        s->instances = n;
    }
    if (!shares.n)
        return;
    struct node_device *d = add(draft, c->address);
    d->class_ = "VGPU";
    d->model = rec_strf(draft, "%04x:%04x", (unsigned)c->vendor & 0xffff,
                        (unsigned)c->product & 0xffff);
    d->cell = c->cell;
    d->shares = shares;
}

static void drop_parents(struct node *draft)
{
    struct list *l = &draft->devices;
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++)
        if (!LIST_AT(*l, struct node_device, i)->shares.n)
            *LIST_AT(*l, struct node_device, kept++) =
                *LIST_AT(*l, struct node_device, i);
    l->n = kept;
}

/* The card of parent `i`, with all its functions; false: it was an earlier
 * one's. */
static bool read_card(const char *bus, const struct names *all, int i,
                      struct card *c)
{
    char other[64];
    for (int k = 0; k < all->n; k++) {
        _autofree_ char *dir = xasprintf("%s/%s", bus, all->at[k]->d_name);
        card_of(dir, all->at[k]->d_name, other);
        if (strcmp(other, c->address) != 0)
            continue;
        if (k < i)
            return false;
        read_parent(dir, c);
    }
    return true;
}

void mdev_inventory(const struct mdev_host *h, const char *types,
                    const struct node *was, struct node *draft)
{
    _autofree_ char *bus = parents_dir(h);
    _autonames_ struct names all = list(bus);
    drop_parents(draft);
    for (int i = 0; i < all.n; i++) {
        _autocard_ struct card c = { .cell = -1 };
        _autofree_ char *dir = xasprintf("%s/%s", bus, all.at[i]->d_name);
        card_of(dir, all.at[i]->d_name, c.address);
        if (read_card(bus, &all, i, &c))
            offer(&c, types, was, draft);
    }
}

/* ---- making -------------------------------------------------------------- */

static char *device_dir(const struct mdev_host *h, const char *uuid)
{
    return xasprintf("%s/bus/mdev/devices/%s", h->sys, uuid);
}

static bool is_there(const struct mdev_host *h, const char *uuid)
{
    _autofree_ char *dir = device_dir(h, uuid);
    return access(dir, F_OK) == 0;
}

static bool refused(const struct hostdev_spec *d, int e, struct error *err)
{
    if (e == ENOENT)
        return error_set(err, ERR_NOT_FOUND,
                         "device %s cannot be divided into %s", d->address,
                         d->type);
    return error_errno(err, e == ENOSPC ? ERR_NO_SPACE : ERR_CONFLICT, e,
                       "device %s has no room for another %s", d->address,
                       d->type);
}

/* The first function of the card that takes it. */
static bool make(const struct mdev_host *h, const struct hostdev_spec *d,
                 const char *uuid, struct error *err)
{
    _autofree_ char *bus = parents_dir(h);
    _autonames_ struct names all = list(bus);
    char card[64];
    int last = ENOENT;
    for (int i = 0; i < all.n; i++) {
        _autofree_ char *dir = xasprintf("%s/%s", bus, all.at[i]->d_name);
        _autofree_ char *type = xasprintf("%s/" TYPES "/%s", dir, d->type);
        _autofree_ char *create = xasprintf("%s/create", type);
        card_of(dir, all.at[i]->d_name, card);
        if (strcmp(card, d->address) != 0 || access(type, F_OK) != 0)
            continue;
        if (get_number(type, "available_instances", 0) < 1) {
            last = last == ENOENT ? ENOSPC : last;
            continue;
        }
        last = put(h, create, uuid);
        if (!last || last == EEXIST)
            return true;
    }
    return refused(d, last, err);
}

static bool take_back(const struct mdev_host *h, const char *uuid,
                      struct error *err)
{
    _autofree_ char *dir = device_dir(h, uuid);
    _autofree_ char *path = xasprintf("%s/remove", dir);
    int e = put(h, path, "1");
    if (!e || e == ENOENT || e == ENODEV)
        return true;
    return error_errno(err, ERR_BUSY, e, "mediated device %s cannot be removed",
                       uuid);
}

static bool is_among(const char *uuid, const char *server_id,
                     const struct hostdev_spec *devices, size_t n)
{
    char one[UUID_SIZE];
    for (size_t i = 0; i < n; i++) {
        if (!devices[i].type)
            continue;
        mdev_uuid(server_id, devices[i].address, devices[i].type, one);
        if (strcmp(one, uuid) == 0)
            return true;
    }
    return false;
}

/* What the server has and should not have. */
static bool take_others(const struct mdev_host *h, const char *server_id,
                        const struct hostdev_spec *devices, size_t n,
                        struct error *err)
{
    _autofree_ char *dir = device_dir(h, "");
    _autonames_ struct names all = list(dir);
    bool ok = true;
    for (int i = 0; i < all.n; i++)
        if (mdev_is_of(all.at[i]->d_name, server_id) &&
            !is_among(all.at[i]->d_name, server_id, devices, n))
            ok = take_back(h, all.at[i]->d_name, err) && ok;
    return ok;
}

bool mdev_give(const struct mdev_host *h, const char *server_id,
               const struct hostdev_spec *devices, size_t n, struct error *err)
{
    char uuid[UUID_SIZE];
    if (!take_others(h, server_id, devices, n, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!devices[i].type)
            continue;
        mdev_uuid(server_id, devices[i].address, devices[i].type, uuid);
        if (is_there(h, uuid))
            continue;
        if (!make(h, &devices[i], uuid, err))
            return false;
        log_info(LOG_NAME, "server %s: %s of device %s is %s", server_id,
                 devices[i].type, devices[i].address, uuid);
    }
    return true;
}

bool mdev_take(const struct mdev_host *h, const char *server_id,
               struct error *err)
{
    return take_others(h, server_id, NULL, 0, err);
}

void mdev_sweep(const struct mdev_host *h, mdev_wanted_fn *wanted, void *arg)
{
    struct error err;
    _autofree_ char *dir = device_dir(h, "");
    _autonames_ struct names all = list(dir);
    for (int i = 0; i < all.n; i++) {
        const char *uuid = all.at[i]->d_name;
        if (!mdev_is_ours(uuid) || wanted(arg, uuid))
            continue;
        if (take_back(h, uuid, &err))
            log_info(LOG_NAME, "mediated device %s was nobody's", uuid);
        else
            log_limited(LOG_WARN, LOG_NAME, "%s", err.text);
    }
}
