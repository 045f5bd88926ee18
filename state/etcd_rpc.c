#include "state/etcd_rpc.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

struct grpc_message etcd_pack(const void *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    struct grpc_message m = grpc_message_new(len);
    protobuf_c_message_pack(message, grpc_payload(m));
    return m;
}

void *etcd_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                  size_t len)
{
    return protobuf_c_message_unpack(type, NULL, len, data);
}

void etcd_free(void *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

/* RESOURCE_EXHAUSTED is three different things to etcd. */
static enum error_code exhausted(const struct grpc_status *st)
{
    if (strstr(st->text, "space exceeded"))
        return ERR_NO_SPACE;
    return strstr(st->text, "too many") ? ERR_BUSY : ERR_TOO_LARGE;
}

static enum error_code code_of(const struct grpc_status *st)
{
    switch (st->code) {
    case GRPC_INVALID_ARGUMENT:
        return ERR_INVALID;
    case GRPC_NOT_FOUND:
        return ERR_NOT_FOUND;
    case GRPC_PERMISSION_DENIED:
    case GRPC_UNAUTHENTICATED:
        return ERR_FORBIDDEN;
    case GRPC_RESOURCE_EXHAUSTED:
        return exhausted(st);
    case GRPC_FAILED_PRECONDITION:
        return ERR_CONFLICT;
    case GRPC_OUT_OF_RANGE:
        return ERR_COMPACTED;
    case GRPC_UNIMPLEMENTED:
        return ERR_NOT_IMPLEMENTED;
    default: /* one that etcd gives before it does anything */
        return strstr(st->text, "unhealthy cluster") ? ERR_CONFLICT
                                                     : ERR_UNKNOWN;
    }
}

bool etcd_error(const struct grpc_status *st, struct error *err)
{
    enum error_code code = code_of(st);
    if (st->untouched && code == ERR_UNKNOWN)
        code = ERR_UNAVAILABLE;
    else if (!st->answered && !st->untouched)
        code = ERR_UNKNOWN;
    return error_set(err, code, "etcd: %s",
                     *st->text ? st->text : "no reason given");
}

void *etcd_ask(struct grpc *g, const struct grpc_call_opts *o,
               const void *request, const ProtobufCMessageDescriptor *type,
               struct error *err)
{
    _autofree_ uint8_t *data = NULL;
    size_t len;
    struct grpc_status st =
        grpc_call_wait(g, o, etcd_pack(request), &data, &len);
    if (st.code != GRPC_OK) {
        etcd_error(&st, err);
        return NULL;
    }
    void *reply = etcd_unpack(type, data, len);
    if (!reply)
        error_set(err, ERR_INTERNAL, "etcd: a malformed answer");
    return reply;
}
