/* What an OVSDB server may send: framing, messages, replies, updates. */
#include "network/ovsdb_wire.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_message(const struct buf *text, json_t *replica)
{
    struct ovsdb_message m;
    struct error err;
    if (!ovsdb_message_parse(&m, text->data, text->len, &err))
        return;
    if (m.kind == OVSDB_REPLY) {
        ovsdb_reply_check(&m, 2, &err);
        ovsdb_replica_apply(replica, m.result, &err);
    }
    if (m.kind == OVSDB_UPDATE) {
        ovsdb_updates_only(json_array_get(m.params, 1), "up");
        ovsdb_replica_apply(replica, json_array_get(m.params, 1), &err);
    }
    ovsdb_message_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    struct ovsdb_frame f;
    _autojson_ json_t *replica = json_object();
    ovsdb_frame_init(&f, 1 << 16);
    for (size_t step = 1; size; step = step * 3 % 61) {
        size_t used, piece = size < step ? size : step;
        enum ovsdb_frame_status s = ovsdb_frame_feed(&f, at, piece, &used);
        if (s == OVSDB_FRAME_BAD)
            break;
        if (s == OVSDB_FRAME_DONE) {
            one_message(&f.text, replica);
            ovsdb_frame_next(&f);
        }
        at += used;
        size -= used;
    }
    ovsdb_frame_free(&f);
    return 0;
}
