#include "daemon/reach.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "model/pool.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* -1: at once not. */
static int begin(const char *address, int port)
{
    char service[16];
    struct addrinfo *found = NULL;
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST,
                              .ai_socktype = SOCK_STREAM };
    snprintf(service, sizeof(service), "%d", port);
    if (!address || getaddrinfo(address, service, &hints, &found) != 0)
        return -1;
    int fd =
        socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0 &&
        errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static int ms_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int)(t.tv_sec % 1000000 * 1000 + t.tv_nsec / 1000000);
}

/* Whoever refuses lives as well: its daemon does not, its machine does. */
static bool is_reached(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error == 0 || error == ECONNREFUSED;
}

static size_t await(struct pollfd *all, size_t n, size_t enough)
{
    size_t reached = 0;
    int until = ms_now() + REACH_MS;
    for (int left = REACH_MS; reached < enough && left > 0;
         left = until - ms_now()) {
        if (poll(all, n, left) <= 0)
            continue;
        for (size_t i = 0; i < n; i++)
            if (all[i].fd >= 0 && all[i].revents) {
                reached += is_reached(all[i].fd);
                close(all[i].fd);
                all[i].fd = -1;
            }
    }
    for (size_t i = 0; i < n; i++)
        if (all[i].fd >= 0)
            close(all[i].fd);
    return reached;
}

bool reach_most(struct cache *cache, const char *node, int port)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(cache);
    size_t members = snap_count(snap, &kind_member), n = 0;
    _autofree_ struct pollfd *all = xcalloc(members + 1, sizeof(*all));
    struct snap_iter it = snap_all(snap, &kind_member);
    for (const struct member *m; n < members && (m = snap_next(&it));)
        if (strcmp(m->rec.id, node) != 0)
            all[n++] = (struct pollfd){ .fd = begin(m->address, port),
                                        .events = POLLOUT };
    return 1 + await(all, n, members / 2) > members / 2;
}
