#include "daemon/node_setup.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void node_setup_init(struct node_setup *n, const struct config *config,
                     const char *node)
{
    *n = (struct node_setup){ .config = config };
    snprintf(n->node, sizeof(n->node), "%s", node);
    snprintf(n->address, sizeof(n->address), "%.*s",
             (int)strcspn(config->address, "/"), config->address);
    pthread_mutex_init(&n->lock, NULL);
}

static bool same_members(const struct node_setup *s,
                         const struct service_member *members, size_t n)
{
    if (s->n_members != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(s->members[i].name, members[i].name) != 0 ||
            strcmp(s->members[i].address, members[i].address) != 0)
            return false;
    return true;
}

bool node_setup_take(struct node_setup *s, const struct service_member *members,
                     size_t n, size_t *was)
{
    if (n > NODE_SETUP_MEMBERS)
        n = NODE_SETUP_MEMBERS;
    pthread_mutex_lock(&s->lock);
    bool news = !same_members(s, members, n);
    *was = s->n_members;
    memcpy(s->members, members, n * sizeof(*members));
    s->n_members = n;
    pthread_mutex_unlock(&s->lock);
    return news;
}

static char *members_file(const struct node_setup *s)
{
    return xasprintf("%s/services/members", s->config->run_dir);
}

void node_setup_save(struct node_setup *s)
{
    struct error err;
    struct buf text = BUF_INIT(4096);
    _autofree_ char *path = members_file(s);
    for (size_t i = 0; i < s->n_members; i++)
        buf_addf(&text, "%s %s\n", s->members[i].name, s->members[i].address);
    if (!node_write_file(path, buf_str(&text), &err))
        log_warn("services", "%s", err.text);
    buf_free(&text);
}

void node_setup_load(struct node_setup *s)
{
    _autofree_ char *path = members_file(s);
    _autofile_ FILE *f = fopen(path, "re");
    struct service_member *m = s->members;
    while (f && s->n_members < NODE_SETUP_MEMBERS &&
           fscanf(f, "%63s %63s", m->name, m->address) == 2) {
        m++;
        s->n_members++;
    }
}

bool node_setup_is_member(void *arg)
{
    struct node_setup *n = arg;
    pthread_mutex_lock(&n->lock);
    bool yes = n->n_members > 0;
    pthread_mutex_unlock(&n->lock);
    return yes;
}

bool node_setup_in_a_pool(struct node_setup *n, struct error *err)
{
    return node_setup_is_member(n) ||
           error_set(err, ERR_BUSY, "waits until this node is in a pool");
}

static size_t central(const struct node_setup *n)
{
    return n->n_members < NODE_SERVICES_CENTRAL ? n->n_members
                                                : NODE_SERVICES_CENTRAL;
}

bool node_setup_is_central(void *arg)
{
    struct node_setup *n = arg;
    bool yes = false;
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < central(n); i++)
        if (strcmp(n->members[i].name, n->node) == 0)
            yes = true;
    pthread_mutex_unlock(&n->lock);
    return yes;
}

bool node_setup_is_first(struct node_setup *n)
{
    pthread_mutex_lock(&n->lock);
    bool first = n->n_members && strcmp(n->members[0].name, n->node) == 0;
    pthread_mutex_unlock(&n->lock);
    return first;
}

bool node_setup_is_clustered(struct node_setup *n)
{
    pthread_mutex_lock(&n->lock);
    bool yes = n->n_members > 1;
    pthread_mutex_unlock(&n->lock);
    return yes;
}

char *node_setup_remotes(struct node_setup *n, int port, const char *alone)
{
    struct buf b = BUF_INIT(4096);
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; n->n_members > 1 && i < central(n); i++)
        buf_addf(&b, "%sssl:%s:%d", i ? "," : "", n->members[i].address, port);
    pthread_mutex_unlock(&n->lock);
    if (!b.len)
        buf_adds(&b, alone);
    return buf_steal(&b);
}

void node_setup_add_others(struct node_setup *n, int port, struct words *w)
{
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < central(n); i++)
        if (strcmp(n->members[i].name, n->node) != 0)
            words_add(w, "ssl:%s:%d", n->members[i].address, port);
    pthread_mutex_unlock(&n->lock);
}

void node_setup_add_tls(const struct node_setup *n, struct words *w)
{
    words_add(w, "--private-key=%s/pki/server.key", n->config->state_dir);
    words_add(w, "--certificate=%s/pki/server.crt", n->config->state_dir);
    words_add(w, "--ca-cert=%s/pki/ca.crt", n->config->state_dir);
}

/* ---- files ------------------------------------------------------------- */

bool node_make_dirs(struct error *err, const char *const *paths)
{
    for (; *paths; paths++)
        if (mkdir(*paths, 0755) != 0 && errno != EEXIST)
            return error_errno(err, ERR_INTERNAL, errno, "%s", *paths);
    return true;
}

bool node_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > 0;
}

bool node_write_file(const char *path, const char *text, struct error *err)
{
    _autofree_ char *new = xasprintf("%s.new", path);
    _autoclose_ int fd =
        open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd) != 0 ||
        rename(new, path) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}
