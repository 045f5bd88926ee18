/*
 * etcd_rpc - etcd's calls: paths, messages on the wire, statuses as errors.
 *
 * The messages are those of etcd.proto (protobuf-c).  Everything that comes
 * back is bounded by the call's limit before it is decoded.
 * Threads: as grpc.h.
 */
#ifndef CAIRN_STATE_ETCD_RPC_H
#define CAIRN_STATE_ETCD_RPC_H

#include "common/error.h"
#include "state/grpc.h"

#include <etcd.pb-c.h>

#define ETCD_REPLY_MAX (16 << 20) /* bytes of one answer */

#define ETCD_RANGE      "/etcdserverpb.KV/Range"
#define ETCD_TXN        "/etcdserverpb.KV/Txn"
#define ETCD_COMPACT    "/etcdserverpb.KV/Compact"
#define ETCD_WATCH      "/etcdserverpb.Watch/Watch"
#define ETCD_GRANT      "/etcdserverpb.Lease/LeaseGrant"
#define ETCD_REVOKE     "/etcdserverpb.Lease/LeaseRevoke"
#define ETCD_KEEPALIVE  "/etcdserverpb.Lease/LeaseKeepAlive"
#define ETCD_ADD        "/etcdserverpb.Cluster/MemberAdd"
#define ETCD_REMOVE     "/etcdserverpb.Cluster/MemberRemove"
#define ETCD_LIST       "/etcdserverpb.Cluster/MemberList"
#define ETCD_PROMOTE    "/etcdserverpb.Cluster/MemberPromote"
#define ETCD_STATUS     "/etcdserverpb.Maintenance/Status"
#define ETCD_DEFRAGMENT "/etcdserverpb.Maintenance/Defragment"
#define ETCD_ALARM      "/etcdserverpb.Maintenance/Alarm"
#define ETCD_SNAPSHOT   "/etcdserverpb.Maintenance/Snapshot"

struct grpc_message etcd_pack(const void *message);
/* NULL: malformed.  Freed with etcd_free. */
void *etcd_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                  size_t len);
void etcd_free(void *message); /* NULL is fine */
static inline void etcd_free_at(void *at)
{
    etcd_free(*(void **)at);
}
#define _autoetcd_ __attribute__((cleanup(etcd_free_at)))

static inline ProtobufCBinaryData etcd_bytes(const char *s, size_t len)
{
    return (ProtobufCBinaryData){ len, (uint8_t *)s };
}

/* What a status that is not GRPC_OK says, in our codes.  UNKNOWN: the call
 * may have been carried out.  False always. */
bool etcd_error(const struct grpc_status *st, struct error *err);
/* Asks and waits.  NULL with *err; else freed with etcd_free. */
void *etcd_ask(struct grpc *g, const struct grpc_call_opts *o,
               const void *request, const ProtobufCMessageDescriptor *type,
               struct error *err);

#endif
