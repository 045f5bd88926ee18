/* Whatever an etcd (or who pretends to be one) sends: frames, headers,
 * gRPC's framing, and the messages in it. */
#include "state/etcd_rpc.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    int ends;
};

static void on_message(void *arg, const uint8_t *data, size_t len)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &etcd__range_response__descriptor,  &etcd__txn_response__descriptor,
        &etcd__watch_response__descriptor,  &etcd__members_response__descriptor,
        &etcd__status_response__descriptor, &etcd__alarm_response__descriptor,
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        etcd_free(etcd_unpack(types[i], data, len));
}

static void on_end(void *arg, const struct grpc_status *st)
{
    struct seen *s = arg;
    struct error err;
    if (s->ends++ || strlen(st->text) >= GRPC_TEXT_MAX)
        __builtin_trap(); /* exactly once */
    etcd_error(st, &err);
}

static const struct grpc_events events = { on_message, on_end };

static void drain(struct grpc_conn *c)
{
    const uint8_t *out;
    while (grpc_conn_send(c, &out))
        ;
}

/* The first byte: how many streams are open, and in what pieces the rest
 * comes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen[4] = { { 0 } };
    if (!size)
        return 0;
    int n = data[0] & 3, step = 1 + (data[0] >> 2) * 8;
    struct grpc_conn *c = grpc_conn_new("etcd", false);
    for (int i = 0; i <= n; i++) {
        struct grpc_open o = { .path = "/a/b",
                               .message_max = 1 << 16,
                               .events = &events,
                               .arg = &seen[i] };
        struct grpc_stream *s = grpc_conn_open(c, &o);
        grpc_stream_send(s, "\0\0\0\0\0", 5, i & 1);
    }
    drain(c);
    for (size_t at = 1; at < size; at += (size_t)step) {
        size_t len = size - at < (size_t)step ? size - at : (size_t)step;
        if (!grpc_conn_receive(c, data + at, len))
            break;
        drain(c);
    }
    grpc_conn_lost(c, "end");
    for (int i = 0; i <= n; i++)
        if (seen[i].ends != 1)
            __builtin_trap();
    grpc_conn_free(c);
    return 0;
}
