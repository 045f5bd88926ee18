/* record_decode: any bytes give a record or an error, and a record that was
 * decoded survives encoding and copying.
 *
 * Random bytes are rarely JSON.  An input that begins with '#' is a recipe:
 * each byte writes a piece of an object with the kind's own names. */
#include "tests/unit/thing.h"

#include "state/store.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cook(struct buf *out, const uint8_t *data, size_t size)
{
    static const char *const pieces[] = {
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "\"\"",
        "\"x\"",
        "\"ACTIVE\"",
        "\"name\"",
        "\"size\"",
        "\"up\"",
        "\"state\"",
        "\"meta\"",
        "\"ips\"",
        "\"rank\"",
        "\"place\"",
        "\"groups\"",
        "\"extra\"",
        "\"created_at\"",
        "\"2026-01-02T03:04:05Z\"",
        "\"weight\"",
        "\"host\"",
        "9223372036854775807",
        "1e308",
        "\"\\u00e9\"",
        "\"subnet_id\"",
    };
    buf_adds(out, "{");
    for (size_t i = 0; i < size; i++)
        buf_adds(out, pieces[data[i] % ARRAY_SIZE(pieces)]);
    buf_adds(out, "}");
}

static void check(const void *json, size_t len)
{
    struct error err = { 0 };
    _autorecord_ struct thing *t =
        record_decode(&kind_thing, "t", json, len, &err);
    if (!t) {
        if (!err.code || !err.text[0])
            abort();
        return;
    }
    struct buf out = BUF_INIT(4 * STORE_VALUE_MAX);
    record_encode(t, &out);
    _autorecord_ struct thing *again =
        record_decode(&kind_thing, "t", out.data, out.len, &err);
    _autorecord_ struct thing *copy = record_copy(t);
    if (out.len <= STORE_VALUE_MAX && (!again || !record_equal(t, again)))
        abort();
    if (!record_equal(t, copy))
        abort();
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf json = BUF_INIT(STORE_VALUE_MAX);
    if (size && data[0] == '#')
        cook(&json, data + 1, size - 1);
    else
        buf_add(&json, data, size);
    check(buf_str(&json), json.len);
    buf_free(&json);
    return 0;
}
