/* reach: most of the members, and who counts as reached. */
#include "server_world.h"

#include "daemon/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_port(int *port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (void *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (void *)&sa, &len), 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

static void put_member(const char *name, const char *address)
{
    struct member *m = record_new(&kind_member, name);
    m->address = rec_str(m, address);
    world_put(m);
}

/* "nowhere" is no address: nobody is there. */
static void test_most(void **state)
{
    int port;
    world_open();
    world_follow();
    int fd = open_port(&port);
    put_member("h1", "127.0.0.1");
    assert_true(reach_most(world_cache, "h1", port));
    put_member("h2", "nowhere");
    assert_false(reach_most(world_cache, "h1", port)); /* one of two */
    put_member("h3", "127.0.0.1");
    assert_true(reach_most(world_cache, "h1", port));
    assert_true(reach_most(world_cache, "h2", port));
    put_member("h4", "nowhere");
    assert_false(reach_most(world_cache, "h1", port)); /* two of four */
    close(fd); /* a daemon less: its machine is still there */
    put_member("h5", "127.0.0.1");
    assert_true(reach_most(world_cache, "h1", port));
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_most) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
