/* The server's side of state/remote: whatever a face sends, the server lives,
 * ends the connection in good order and leaves a store that works. */
#include "common/env.h"
#include "state/remote.h"
#include "state/remote_wire.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool answer(void *arg, const char *op, const char *json_in,
                   struct buf *json_out, int *fd_out, struct error *err)
{
    buf_adds(json_out, json_in);
    return op[0] != 'f';
}

static void *drain(void *arg)
{
    char bytes[4096];
    while (read(*(int *)arg, bytes, sizeof(bytes)) > 0)
        ;
    return NULL;
}

/* Input: frames without their headers, each as type (1 byte), id (1 byte),
 * length (2 bytes), body.  What does not parse is sent as it is. */
static void send_frames(int fd, const uint8_t *data, size_t size)
{
    while (size >= 4) {
        size_t len = (size_t)(data[2] | data[3] << 8);
        if (len > size - 4)
            break;
        struct buf b = BUF_INIT(len + 64);
        frame_begin(&b, data[0], data[1], 0);
        buf_add(&b, data + 4, len);
        frame_end(&b, 0);
        bool sent = frame_send(fd, b.data, b.len, -1);
        buf_free(&b);
        if (!sent)
            return;
        data += 4 + len;
        size -= 4 + len;
    }
    frame_send(fd, data, size, -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct store_server_hooks hooks = { .call = answer };
    int fds[2];
    pthread_t drainer;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
        abort();
    struct store *real = store_memory_open(&env_system);
    struct store_server *v = store_server_new(real, fds[1], &hooks);
    if (pthread_create(&drainer, NULL, drain, &fds[0]))
        abort();
    send_frames(fds[0], data, size);
    shutdown(fds[0], SHUT_WR);
    pthread_join(drainer, NULL); /* until the server hangs up */
    store_server_free(v);
    close(fds[0]);

    _autotxn_ struct txn t = TXN_INIT;
    txn_put(&t, "still", "alive", 5);
    if (!store_commit(real, &t, NULL))
        abort();
    store_close(real);
    return 0;
}
