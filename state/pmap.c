#include "state/pmap.h"

#include "common/alloc.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pmap_node {
    atomic_uint refs;
    unsigned height;
    uint64_t lead; /* first eight bytes of key: spares most of the strcmp */
    struct pmap_node *left, *right;
    const char *key, *sub;
    const void *value;
};

/* ---- order ------------------------------------------------------------- */

/* The first eight bytes as a number that sorts as the string does. */
static uint64_t lead_of(const char *key)
{
    uint64_t lead = 0;
    int i = 0;
    for (; i < 8 && key[i]; i++)
        lead = lead << 8 | (unsigned char)key[i];
    return i ? lead << (8 * (8 - i)) : 0;
}

struct probe {
    uint64_t lead;
    const char *key, *sub;
};

static struct probe probe_of(const char *key, const char *sub)
{
    return (struct probe){ lead_of(key), key, sub };
}

static int compare_sub(const char *a, const char *b)
{
    if (!a || !b)
        return (a != NULL) - (b != NULL);
    return strcmp(a, b);
}

static int compare_key(const struct probe *p, const struct pmap_node *n)
{
    if (p->lead != n->lead)
        return p->lead < n->lead ? -1 : 1;
    return strcmp(p->key, n->key);
}

static int compare(const struct probe *p, const struct pmap_node *n)
{
    int c = compare_key(p, n);
    return c ? c : compare_sub(p->sub, n->sub);
}

/* ---- nodes ------------------------------------------------------------- */

static struct pmap_node *node_ref(struct pmap_node *n)
{
    if (n)
        atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    return n;
}

static void node_unref(const struct pmap_type *type, struct pmap_node *n)
{
    while (n &&
           atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1) {
        struct pmap_node *right = n->right;
        node_unref(type, n->left);
        type->unref(n->value);
        free(n);
        n = right;
    }
}

static struct pmap_node *node_new(const struct pmap_type *type,
                                  const struct probe *p, const void *value)
{
    struct pmap_node *n = xmalloc(sizeof(*n));
    atomic_init(&n->refs, 1);
    n->height = 1;
    n->lead = p->lead;
    n->left = n->right = NULL;
    n->key = p->key;
    n->sub = p->sub;
    n->value = type->ref(value);
    return n;
}

/* Turns a reference into one that may be written through: n itself when
 * nobody else holds it, else a copy.  The caller has come here through nodes
 * it owns, so a count of one cannot grow behind its back. */
static struct pmap_node *own(const struct pmap_type *type, struct pmap_node *n)
{
    if (atomic_load_explicit(&n->refs, memory_order_acquire) == 1)
        return n;
    struct probe p = { n->lead, n->key, n->sub };
    struct pmap_node *copy = node_new(type, &p, n->value);
    copy->height = n->height;
    copy->left = node_ref(n->left);
    copy->right = node_ref(n->right);
    node_unref(type, n);
    return copy;
}

/* ---- balance ----------------------------------------------------------- */

static unsigned height(const struct pmap_node *n)
{
    return n ? n->height : 0;
}

static void set_height(struct pmap_node *n)
{
    unsigned l = height(n->left), r = height(n->right);
    n->height = 1 + (l > r ? l : r);
}

static struct pmap_node *rotate_right(const struct pmap_type *type,
                                      struct pmap_node *n)
{
    struct pmap_node *up = own(type, n->left);
    n->left = up->right;
    up->right = n;
    set_height(n);
    set_height(up);
    return up;
}

static struct pmap_node *rotate_left(const struct pmap_type *type,
                                     struct pmap_node *n)
{
    struct pmap_node *up = own(type, n->right);
    n->right = up->left;
    up->left = n;
    set_height(n);
    set_height(up);
    return up;
}

/* n is owned; its subtrees differ by two at most. */
static struct pmap_node *balance(const struct pmap_type *type,
                                 struct pmap_node *n)
{
    unsigned l = height(n->left), r = height(n->right);
    if (l > r + 1) {
        n->left = own(type, n->left);
        if (height(n->left->left) < height(n->left->right))
            n->left = rotate_left(type, n->left);
        return rotate_right(type, n);
    }
    if (r > l + 1) {
        n->right = own(type, n->right);
        if (height(n->right->right) < height(n->right->left))
            n->right = rotate_right(type, n->right);
        return rotate_left(type, n);
    }
    set_height(n);
    return n;
}

/* ---- changes: each takes the reference to n and gives one back ---------- */

static struct pmap_node *put(struct pmap *m, struct pmap_node *n,
                             const struct probe *p, const void *value)
{
    if (!n) {
        m->count++;
        return node_new(m->type, p, value);
    }
    n = own(m->type, n);
    int c = compare(p, n);
    if (c < 0) {
        n->left = put(m, n->left, p, value);
    } else if (c > 0) {
        n->right = put(m, n->right, p, value);
    } else {
        const void *old = n->value;
        n->key = p->key;
        n->sub = p->sub;
        n->value = m->type->ref(value);
        m->type->unref(old);
        return n;
    }
    return balance(m->type, n);
}

/* Takes the first node of a subtree out into *first (owned, alone). */
static struct pmap_node *take_first(const struct pmap_type *type,
                                    struct pmap_node *n,
                                    struct pmap_node **first)
{
    n = own(type, n);
    if (!n->left) {
        struct pmap_node *right = n->right;
        n->right = NULL;
        *first = n;
        return right;
    }
    n->left = take_first(type, n->left, first);
    return balance(type, n);
}

static struct pmap_node *remove_top(const struct pmap_type *type,
                                    struct pmap_node *n)
{
    struct pmap_node *left = n->left, *right = n->right, *top;
    n->left = n->right = NULL;
    node_unref(type, n);
    if (!left || !right)
        return left ? left : right;
    right = take_first(type, right, &top);
    top->left = left;
    top->right = right;
    return balance(type, top);
}

/* The entry is there: pmap_remove has looked. */
static struct pmap_node *cut(const struct pmap_type *type, struct pmap_node *n,
                             const struct probe *p)
{
    n = own(type, n);
    int c = compare(p, n);
    if (c == 0)
        return remove_top(type, n);
    if (c < 0)
        n->left = cut(type, n->left, p);
    else
        n->right = cut(type, n->right, p);
    return balance(type, n);
}

static bool has(const struct pmap_node *n, const struct probe *p)
{
    int c;
    while (n && (c = compare(p, n)) != 0)
        n = c < 0 ? n->left : n->right;
    return n != NULL;
}

/* ---- the map ----------------------------------------------------------- */

struct pmap pmap_copy(const struct pmap *m)
{
    node_ref(m->root);
    return *m;
}

void pmap_clear(struct pmap *m)
{
    node_unref(m->type, m->root);
    m->root = NULL;
    m->count = 0;
}

void pmap_put(struct pmap *m, const char *key, const char *sub,
              const void *value)
{
    struct probe p = probe_of(key, sub);
    m->root = put(m, m->root, &p, value);
}

bool pmap_remove(struct pmap *m, const char *key, const char *sub)
{
    struct probe p = probe_of(key, sub);
    if (!has(m->root, &p))
        return false;
    m->root = cut(m->type, m->root, &p);
    m->count--;
    return true;
}

const void *pmap_get(const struct pmap *m, const char *key)
{
    struct probe p = probe_of(key, NULL);
    const struct pmap_node *n = m->root;
    const void *found = NULL;
    while (n) {
        int c = compare_key(&p, n);
        if (c == 0)
            found = n->value;
        if (c == 0 && !n->sub) /* none can stand before it */
            break;
        n = c <= 0 ? n->left : n->right;
    }
    return found;
}

void pmap_seek(struct pmap_iter *it, const struct pmap *m, const char *key,
               const char *sub, bool after)
{
    struct probe p = probe_of(key ? key : "", sub);
    it->depth = 0;
    for (const struct pmap_node *n = m->root; n;) {
        int c = key ? compare(&p, n) : -1;
        if (c < 0 || (c == 0 && !after)) {
            it->stack[it->depth++] = n;
            n = n->left;
        } else {
            n = n->right;
        }
    }
}

const void *pmap_next(struct pmap_iter *it, const char **key)
{
    if (!it->depth)
        return NULL;
    const struct pmap_node *top = it->stack[--it->depth];
    for (const struct pmap_node *n = top->right; n; n = n->left)
        it->stack[it->depth++] = n;
    if (key)
        *key = top->key;
    return top->value;
}

/* ---- the difference ------------------------------------------------------ */

/* What is left to walk of one map: subtrees not opened yet, and nodes whose
 * left side is done.  The next in order is on top. */
struct front {
    struct {
        const struct pmap_node *n;
        bool whole; /* the subtree, not the node alone */
    } v[3 * PMAP_DEPTH_MAX];
    int depth;
};

static void front_push(struct front *f, const struct pmap_node *n, bool whole)
{
    if (!n)
        return;
    f->v[f->depth].n = n;
    f->v[f->depth++].whole = whole;
}

/* The subtree on top becomes its left side, its node and its right side. */
static void front_open(struct front *f)
{
    const struct pmap_node *n = f->v[--f->depth].n;
    front_push(f, n->right, true);
    front_push(f, n, false);
    front_push(f, n->left, true);
}

/* Height of the subtree on top; 0: a node alone, -1: the end. */
static int front_height(const struct front *f)
{
    if (!f->depth)
        return -1;
    return f->v[f->depth - 1].whole ? (int)f->v[f->depth - 1].n->height : 0;
}

static void diff_nodes(struct front *a, struct front *b, pmap_diff_fn *fn,
                       void *arg)
{
    const struct pmap_node *x = a->depth ? a->v[a->depth - 1].n : NULL;
    const struct pmap_node *y = b->depth ? b->v[b->depth - 1].n : NULL;
    int c = x ? -1 : 1;
    if (x && y) {
        struct probe p = { x->lead, x->key, x->sub };
        c = compare(&p, y);
    }
    a->depth -= c <= 0;
    b->depth -= c >= 0;
    if (c != 0 || x->value != y->value)
        fn(arg, c <= 0 ? x->value : NULL, c >= 0 ? y->value : NULL);
}

void pmap_diff(const struct pmap *a, const struct pmap *b, pmap_diff_fn *fn,
               void *arg)
{
    struct front fa = { .depth = 0 }, fb = { .depth = 0 };
    front_push(&fa, a->root, true);
    front_push(&fb, b->root, true);
    while (fa.depth || fb.depth) {
        int ha = front_height(&fa), hb = front_height(&fb);
        if (ha > 0 && hb > 0 && fa.v[fa.depth - 1].n == fb.v[fb.depth - 1].n) {
            fa.depth--;
            fb.depth--;
        } else if (ha > 0 && ha >= hb) {
            front_open(&fa);
        } else if (hb > 0) {
            front_open(&fb);
        } else {
            diff_nodes(&fa, &fb, fn, arg);
        }
    }
}

/* ---- self-check -------------------------------------------------------- */

static bool node_valid(const struct pmap_node *n, size_t *count)
{
    if (!n)
        return true;
    unsigned l = height(n->left), r = height(n->right);
    ++*count;
    return n->height == 1 + (l > r ? l : r) && l <= r + 1 && r <= l + 1 &&
           node_valid(n->left, count) && node_valid(n->right, count);
}

static bool order_valid(const struct pmap *m)
{
    struct pmap_iter it;
    const char *key, *before = NULL;
    pmap_seek(&it, m, NULL, NULL, false);
    while (pmap_next(&it, &key)) {
        if (before && strcmp(before, key) > 0)
            return false;
        before = key;
    }
    return true;
}

bool pmap_valid(const struct pmap *m)
{
    size_t count = 0;
    return node_valid(m->root, &count) && count == m->count && order_valid(m);
}
