/* Image headers from outside: any bytes, declared as anything. */
#include "storage/inspect.h"

#include <stdlib.h>
#include <string.h>

struct file {
    const uint8_t *data;
    size_t len;
};

static bool read_at(void *arg, void *to, size_t len, int64_t offset)
{
    const struct file *f = arg;
    if (offset < 0 || len > f->len || (uint64_t)offset > f->len - len)
        abort(); /* the inspector promised to stay inside */
    memcpy(to, f->data + offset, len);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const declared[] = { "qcow2", "raw",  "iso", "vmdk",
                                            "vhd",   "vhdx", "vdi", "ami" };
    struct file f = { data, size };
    struct image_source src = { read_at, &f, (int64_t)size };
    for (size_t i = 0; i < sizeof(declared) / sizeof(*declared); i++) {
        struct inspection found;
        struct error err = { 0 };
        if (!inspect(&src, declared[i], &found, &err)) {
            if (err.code != ERR_INVALID && err.code != ERR_MEDIA_TYPE)
                abort();
        } else if (found.virtual_size <= 0 || found.virtual_size % 512 != 0 ||
                   found.virtual_size > INSPECT_VIRTUAL_MAX) {
            abort();
        }
    }
    return 0;
}
