#include "daemon/place.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTEN_QUEUE  1024
#define BIND_TRIES    200
#define BIND_PAUSE_US 10000

static bool is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static void choose_node(struct place *p)
{
    const struct config *cf = p->config;
    char name[64] = "";
    gethostname(name, sizeof(name) - 1);
    snprintf(p->node, sizeof(p->node), "%s",
             *cf->node_name ? cf->node_name : name);
}

static void choose_url(struct place *p)
{
    const struct config *cf = p->config;
    const char *host = is_any(p->host) ? p->node : p->host;
    const char *scheme = cf->tls ? "https" : "http";
    bool v6 = strchr(host, ':') != NULL;
    bool usual = p->port == (cf->tls ? 443 : 80);
    _autofree_ char *port = usual ? xstrdup("") : xasprintf(":%d", p->port);
    p->public_url = *cf->public_url
                        ? xstrdup(cf->public_url)
                        : xasprintf("%s://%s%s%s%s", scheme, v6 ? "[" : "",
                                    host, v6 ? "]" : "", port);
}

/* The host in "https://host:port". */
static char *url_host(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    bool v6 = *host == '[';
    return v6 ? xstrndup(host + 1, strcspn(host + 1, "]"))
              : xstrndup(host, strcspn(host, ":"));
}

void place_init(struct place *p, const struct config *config)
{
    *p = (struct place){ .config = config, .lock = -1, .listen = -1 };
    config_split_address(config->listen, p->host, &p->port);
    choose_node(p);
    choose_url(p);
    p->url_host = url_host(p->public_url);
    p->face_root = xasprintf("%s/face", config->run_dir);
    p->pki_dir = xasprintf("%s/pki", config->state_dir);
    p->names[0] = p->node;
    p->names[1] = p->url_host;
    p->names[2] = is_any(p->host) ? NULL : p->host;
}

static bool make_dir(const char *path, mode_t mode, struct error *err)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return true;
    return error_errno(err, ERR_INTERNAL, errno, "%s", path);
}

bool place_take(struct place *p, struct error *err)
{
    const struct config *cf = p->config;
    if (!make_dir(cf->state_dir, 0711, err) ||
        !make_dir(cf->run_dir, 0755, err) || !make_dir(p->face_root, 0555, err))
        return false;
    _autofree_ char *path = xasprintf("%s/lock", cf->state_dir);
    p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock < 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return flock(p->lock, LOCK_EX | LOCK_NB) == 0 ||
           error_set(err, ERR_CONFLICT, "%s: another cairnd runs here", path);
}

/* The face of a cairnd that was killed has the address until it notices that
 * it is alone: whoever starts us at once must not fail for that. */
static bool bind_soon(int fd, const struct sockaddr *sa, socklen_t len)
{
    for (int i = 0; i < BIND_TRIES; i++) {
        if (bind(fd, sa, len) == 0)
            return true;
        if (errno != EADDRINUSE)
            return false;
        usleep(BIND_PAUSE_US);
    }
    errno = EADDRINUSE;
    return false;
}

/* Its length. */
static socklen_t socket_address(const struct place *p,
                                struct sockaddr_storage *sa)
{
    struct sockaddr_in *v4 = (void *)sa;
    struct sockaddr_in6 *v6 = (void *)sa;
    *sa = (struct sockaddr_storage){ 0 };
    if (strchr(p->host, ':')) {
        sa->ss_family = AF_INET6;
        inet_pton(AF_INET6, p->host, &v6->sin6_addr);
        v6->sin6_port = htons((uint16_t)p->port);
        return sizeof(*v6);
    }
    sa->ss_family = AF_INET;
    inet_pton(AF_INET, p->host, &v4->sin_addr);
    v4->sin_port = htons((uint16_t)p->port);
    return sizeof(*v4);
}

bool place_listen(struct place *p, struct error *err)
{
    struct sockaddr_storage sa;
    socklen_t len = socket_address(p, &sa);
    int one = 1;
    p->listen =
        socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->listen < 0 ||
        setsockopt(p->listen, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) !=
            0 ||
        !bind_soon(p->listen, (void *)&sa, len) ||
        listen(p->listen, LISTEN_QUEUE) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot listen on %s",
                           p->config->listen);
    return true;
}

const char *place_address(const struct place *p)
{
    return is_any(p->host) ? "127.0.0.1" : p->host;
}

const char *place_bind_address(const struct place *p)
{
    return is_any(p->host) ? "0.0.0.0" : p->host;
}

static void shut(int fd)
{
    if (fd >= 0)
        close(fd);
}

void place_free(struct place *p)
{
    shut(p->listen);
    shut(p->lock);
    free(p->public_url);
    free(p->url_host);
    free(p->face_root);
    free(p->pki_dir);
    *p = (struct place){ .lock = -1, .listen = -1 };
}
