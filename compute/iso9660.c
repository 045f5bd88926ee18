#include "compute/iso9660.h"

#include "common/cleanup.h"
#include "common/env.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

/*
 * Sectors of 2048 bytes:
 *
 *   0-15 empty | 16 primary descriptor | 17 Joliet's | 18 end of descriptors
 *   19 20 path tables (little, big endian) | 21 22 the same for Joliet
 *   23.. one a directory | then one a directory for Joliet | the files
 *
 * Both trees point at the same file data.
 */
#define SECTOR      2048u
#define FIRST_TABLE 19u
#define FIRST_DIR   23u
#define NODES_MAX   64
#define NAME_MAX_   28

enum tree { PLAIN, JOLIET };

struct node {
    char name[NAME_MAX_ + 1];
    size_t parent; /* index; the root's is itself */
    int depth;
    bool dir;
    unsigned number;          /* of a directory: place in the path table */
    const struct iso_file *f; /* of a file */
    uint32_t sector;          /* of a file */
};

struct iso {
    struct buf *out;
    struct node nodes[NODES_MAX];
    size_t n;
    unsigned n_dirs;
    size_t dirs[NODES_MAX]; /* nodes of the directories, by number */
    uint32_t sectors;       /* of the whole image */
    unsigned char date[7];
    char date_text[17];
};

/* ---- numbers ----------------------------------------------------------- */

static void put(struct buf *b, uint32_t v, int bytes, bool big)
{
    for (int i = 0; i < bytes; i++)
        buf_addc(b, (char)(v >> 8 * (big ? bytes - 1 - i : i)));
}

static void put_both(struct buf *b, uint32_t v, int bytes)
{
    put(b, v, bytes, false);
    put(b, v, bytes, true);
}

static void pad_to(struct buf *b, size_t len, char fill)
{
    while (b->len < len && !b->overflow)
        buf_addc(b, fill);
}

static void pad_sector(struct buf *b)
{
    pad_to(b, (b->len + SECTOR - 1) / SECTOR * SECTOR, 0);
}

/* ---- names ------------------------------------------------------------- */

/* The name as this tree writes it, without a version; returns its length. */
static size_t spell(const struct node *node, enum tree tree, char out[80])
{
    size_t n = 0;
    for (const char *s = node->name; *s; s++) {
        if (tree == JOLIET)
            out[n++] = 0; /* UCS-2, big endian */
        out[n++] = tree == JOLIET ? *s : (char)toupper((unsigned char)*s);
    }
    return n;
}

static size_t spell_version(const struct node *node, enum tree tree,
                            char out[80])
{
    size_t n = spell(node, tree, out);
    const char *tail = tree == PLAIN && !strchr(node->name, '.') ? ".;1" : ";1";
    for (; !node->dir && *tail; tail++) {
        if (tree == JOLIET)
            out[n++] = 0;
        out[n++] = *tail;
    }
    return n;
}

/* ---- the tree ---------------------------------------------------------- */

static size_t child(struct iso *iso, size_t parent, const char *name,
                    size_t len, bool dir)
{
    for (size_t i = 1; i < iso->n; i++)
        if (iso->nodes[i].parent == parent &&
            strlen(iso->nodes[i].name) == len &&
            memcmp(iso->nodes[i].name, name, len) == 0)
            return i;
    if (iso->n == NODES_MAX || len == 0 || len > NAME_MAX_)
        return 0;
    struct node *node = &iso->nodes[iso->n];
    memcpy(node->name, name, len);
    node->parent = parent;
    node->depth = iso->nodes[parent].depth + 1;
    node->dir = dir;
    return iso->n++;
}

static bool add_file(struct iso *iso, const struct iso_file *f,
                     struct error *err)
{
    size_t at = 0;
    for (const char *p = f->path;;) {
        size_t len = strcspn(p, "/");
        at = child(iso, at, p, len, p[len] == '/');
        if (at == 0)
            return error_set(err, ERR_INVALID,
                             "config drive: cannot hold the file %s", f->path);
        if (!p[len])
            break;
        p += len + 1;
    }
    iso->nodes[at].f = f;
    return true;
}

/* Directories level by level, as the path table wants them; then files. */
static void number_all(struct iso *iso)
{
    int deepest = 0;
    for (size_t i = 0; i < iso->n; i++)
        if (iso->nodes[i].depth > deepest)
            deepest = iso->nodes[i].depth;
    for (int depth = 0; depth <= deepest; depth++)
        for (size_t i = 0; i < iso->n; i++)
            if (iso->nodes[i].dir && iso->nodes[i].depth == depth) {
                iso->dirs[iso->n_dirs] = i;
                iso->nodes[i].number = iso->n_dirs++;
            }
    iso->sectors = FIRST_DIR + 2 * iso->n_dirs;
    for (size_t i = 0; i < iso->n; i++)
        if (!iso->nodes[i].dir) {
            iso->nodes[i].sector = iso->sectors;
            iso->sectors +=
                (uint32_t)((iso->nodes[i].f->len + SECTOR - 1) / SECTOR);
        }
}

static const struct node *dir_number(const struct iso *iso, unsigned number)
{
    return &iso->nodes[iso->dirs[number]];
}

static uint32_t sector_of(const struct iso *iso, const struct node *node,
                          enum tree tree)
{
    if (!node->dir)
        return node->sector;
    return FIRST_DIR + (tree == JOLIET ? iso->n_dirs : 0) + node->number;
}

/* ---- records ----------------------------------------------------------- */

static void put_record(struct iso *iso, const struct node *node, enum tree tree,
                       const char *name, size_t len)
{
    struct buf *b = iso->out;
    put(b, (uint32_t)(33 + len + !(len % 2)), 1, false);
    put(b, 0, 1, false);
    put_both(b, sector_of(iso, node, tree), 4);
    put_both(b, node->dir ? SECTOR : (uint32_t)node->f->len, 4);
    buf_add(b, iso->date, sizeof(iso->date));
    put(b, node->dir ? 2 : 0, 1, false);
    put(b, 0, 2, false);
    put_both(b, 1, 2);
    put(b, (uint32_t)len, 1, false);
    buf_add(b, name, len);
    if (len % 2 == 0)
        buf_addc(b, 0);
}

static void put_directory(struct iso *iso, const struct node *dir,
                          enum tree tree)
{
    char name[80];
    put_record(iso, dir, tree, "\0", 1);
    put_record(iso, &iso->nodes[dir->parent], tree, "\1", 1);
    for (size_t i = 1; i < iso->n; i++)
        if (&iso->nodes[iso->nodes[i].parent] == dir)
            put_record(iso, &iso->nodes[i], tree, name,
                       spell_version(&iso->nodes[i], tree, name));
    pad_sector(iso->out);
}

static size_t put_path_table(struct iso *iso, enum tree tree, bool big)
{
    size_t start = iso->out->len, len;
    for (unsigned d = 0; d < iso->n_dirs; d++) {
        const struct node *dir = dir_number(iso, d);
        char name[80] = "";
        len = d ? spell(dir, tree, name) : 1;
        put(iso->out, (uint32_t)len, 1, big);
        put(iso->out, 0, 1, big);
        put(iso->out, sector_of(iso, dir, tree), 4, big);
        put(iso->out, iso->nodes[dir->parent].number + 1, 2, big);
        buf_add(iso->out, name, len);
        if (len % 2)
            buf_addc(iso->out, 0);
    }
    size_t used = iso->out->len - start;
    pad_sector(iso->out);
    return used;
}

/* How large the path table will be: it stands after the descriptors. */
static uint32_t path_table_size(const struct iso *iso, enum tree tree)
{
    struct iso copy = *iso;
    struct buf scratch = BUF_INIT(8 * SECTOR);
    copy.out = &scratch;
    size_t used = put_path_table(&copy, tree, false);
    buf_free(&scratch);
    return (uint32_t)used;
}

static void put_text(struct buf *b, const char *s, size_t len, enum tree tree)
{
    size_t end = b->len + len;
    for (; *s && b->len < end; s++) {
        if (tree == JOLIET)
            buf_addc(b, 0);
        buf_addc(b, *s);
    }
    while (b->len + (tree == JOLIET) < end) {
        if (tree == JOLIET)
            buf_addc(b, 0);
        buf_addc(b, ' ');
    }
    pad_to(b, end, 0);
}

static void put_descriptor(struct iso *iso, enum tree tree, const char *label)
{
    struct buf *b = iso->out;
    size_t start = b->len;
    uint32_t table = FIRST_TABLE + (tree == JOLIET ? 2 : 0);
    buf_addc(b, tree == JOLIET ? 2 : 1);
    buf_add(b, "CD001\1\0", 7);
    put_text(b, "", 32, tree);
    put_text(b, label, 32, tree);
    pad_to(b, start + 80, 0);
    put_both(b, iso->sectors, 4);
    buf_add(b, tree == JOLIET ? "%/E" : "\0\0", 3); /* UCS-2 level 3 */
    pad_to(b, start + 120, 0);
    put_both(b, 1, 2);
    put_both(b, 1, 2);
    put_both(b, SECTOR, 2);
    put_both(b, path_table_size(iso, tree), 4);
    put(b, table, 4, false);
    put(b, 0, 4, false);
    put(b, table + 1, 4, true);
    put(b, 0, 4, true);
    put_record(iso, &iso->nodes[0], tree, "\0", 1);
    put_text(b, "", 4 * 128, tree);
    put_text(b, "", 3 * 37, tree);
    buf_add(b, iso->date_text, 17);
    buf_add(b, iso->date_text, 17);
    for (int i = 0; i < 2; i++) /* expires, effective: not given */
        buf_add(b, "0000000000000000\0", 17);
    buf_addc(b, 1);
    pad_sector(b);
}

static void set_date(struct iso *iso, int64_t when)
{
    time_t t = (time_t)(when / SECOND_US);
    struct tm tm;
    char text[sizeof("20260101000000")] = "";
    gmtime_r(&t, &tm);
    const int parts[] = { tm.tm_year, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                          tm.tm_min,  tm.tm_sec,     0 };
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        iso->date[i] = (unsigned char)parts[i];
    strftime(text, sizeof(text), "%Y%m%d%H%M%S", &tm);
    memcpy(iso->date_text, text, 14);
    memcpy(iso->date_text + 14, "00", 3);
}

/* ---- the image --------------------------------------------------------- */

static void put_trees(struct iso *iso)
{
    for (int tree = PLAIN; tree <= JOLIET; tree++) {
        put_path_table(iso, (enum tree)tree, false);
        put_path_table(iso, (enum tree)tree, true);
    }
    for (int tree = PLAIN; tree <= JOLIET; tree++)
        for (unsigned d = 0; d < iso->n_dirs; d++)
            put_directory(iso, dir_number(iso, d), (enum tree)tree);
}

bool iso9660_write(struct buf *out, const char *label,
                   const struct iso_file *files, size_t n, int64_t when,
                   struct error *err)
{
    struct iso iso = { .out = out, .n = 1 };
    iso.nodes[0].dir = true;
    for (size_t i = 0; i < n; i++)
        if (!add_file(&iso, &files[i], err))
            return false;
    number_all(&iso);
    set_date(&iso, when);
    pad_to(out, 16 * SECTOR, 0);
    put_descriptor(&iso, PLAIN, label);
    put_descriptor(&iso, JOLIET, label);
    buf_add(out, "\377CD001\1", 7);
    pad_sector(out);
    put_trees(&iso);
    if (out->len != (FIRST_DIR + 2 * iso.n_dirs) * (size_t)SECTOR)
        return error_set(err, ERR_TOO_LARGE,
                         "config drive: a directory is too large");
    for (size_t i = 0; i < iso.n; i++)
        if (!iso.nodes[i].dir) {
            buf_add(out, iso.nodes[i].f->data, iso.nodes[i].f->len);
            pad_sector(out);
        }
    return !out->overflow ||
           error_set(err, ERR_TOO_LARGE, "config drive: too large");
}
