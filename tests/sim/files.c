#include "files.h"

#include "common/alloc.h"
#include "guests.h"

#include <string.h>

struct files {
    struct world *w;
    struct file *first, **last;
};

const char *stored_kind_name(enum stored_kind kind)
{
    static const char *const names[] = { "upload", "image", "disk", "volume",
                                         "snapshot" };
    return names[kind];
}

struct file *files_first(struct files *f)
{
    return f->first;
}

struct file *files_find(struct files *f, const struct sim_node *at,
                        enum stored_kind kind, const char *name)
{
    struct file *x = f->first;
    while (x &&
           (x->kind != kind || x->node != at || strcmp(x->name, name) != 0))
        x = x->next;
    return x;
}

struct file *files_at(struct files *f, const char *path)
{
    struct file *x = f->first;
    while (x && strcmp(x->path, path) != 0 && strcmp(x->below, path) != 0)
        x = x->next;
    return x;
}

bool files_used(struct files *f, const struct file *x)
{
    return guests_use(f->w, x->path) ||
           (x->below[0] && guests_use(f->w, x->below));
}

static struct file *append(struct files *f)
{
    struct file *x = xcalloc(1, sizeof(*x));
    *f->last = x;
    f->last = &x->next;
    return x;
}

static void make_path(const struct files *f, struct file *x)
{
    const char *kind = stored_kind_name(x->kind);
    if (!world_is_pool(f->w))
        snprintf(x->path, sizeof(x->path), "/sim/%s/%s", kind, x->name);
    else if (x->node)
        snprintf(x->path, sizeof(x->path), "/sim/%s/%s/%s", x->node->name, kind,
                 x->name);
    else
        snprintf(x->path, sizeof(x->path), "rbd:sim/%s.%s", kind, x->name);
}

struct file *files_add(struct files *f, const struct sim_node *at,
                       enum stored_kind kind, const char *name, int64_t size)
{
    struct file *x = files_find(f, at, kind, name);
    x = x ? x : append(f);
    x->kind = kind;
    x->node = at;
    snprintf(x->name, sizeof(x->name), "%s", name);
    make_path(f, x);
    x->size = x->bytes = size;
    x->changed = f->w->time;
    return x;
}

void files_drop(struct files *f, struct file *x)
{
    struct file **at = &f->first;
    while (x && *at != x)
        at = &(*at)->next;
    if (!x)
        return;
    *at = x->next;
    if (!*at)
        f->last = at;
    free(x);
}

bool files_room(struct files *f, const struct sim_node *at, int64_t size,
                struct error *err)
{
    int64_t used = 0;
    for (struct file *x = f->first; x; x = x->next)
        used += x->node == at ? x->bytes : 0;
    if (used + size > FILES_CAPACITY ||
        (f->w->chaos && chance_permille(f->w, 10)))
        return error_set(err, ERR_NO_SPACE, "simulated: the disk is full");
    return true;
}

void files_resize(struct files *f, const char *path, int64_t size)
{
    struct file *x = files_at(f, path);
    if (x && x->size < size)
        x->size = x->bytes = size;
}

const struct sim_node *files_upload_home(const struct sim_node *n)
{
    return n->w->local ? &n->w->nodes[0] : n;
}

void files_upload(struct files *f, const struct sim_node *n,
                  const char *upload_id, int64_t bytes, int upload)
{
    struct file *x =
        files_add(f, files_upload_home(n), STORED_UPLOAD, upload_id, bytes);
    x->upload = upload;
}

void files_lose(struct files *f, const struct sim_node *n)
{
    for (struct file *x = f->first, *next; x; x = next) {
        next = x->next;
        if (x->node == n)
            files_drop(f, x);
    }
}

struct files *files_new(struct world *w)
{
    struct files *f = xcalloc(1, sizeof(*f));
    f->w = w;
    f->last = &f->first;
    return f;
}

void files_free(struct files *f)
{
    for (struct file *x; (x = f->first);) {
        f->first = x->next;
        free(x);
    }
    free(f);
}

void files_let_go(struct files *f, const struct sim_node *n)
{
    for (struct file *x = f->first; x; x = x->next)
        if (x->node == n)
            x->readers = 0;
}
