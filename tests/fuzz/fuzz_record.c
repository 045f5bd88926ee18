/* record_decode: any bytes give a record or an error, and a record that was
 * decoded survives encoding and copying. */
#include "tests/unit/thing.h"

#include "state/store.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = { 0 };
    _autorecord_ struct thing *t =
        record_decode(&kind_thing, "t", data, size, &err);
    if (!t) {
        if (!err.code || !err.text[0])
            abort();
        return 0;
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
    return 0;
}
