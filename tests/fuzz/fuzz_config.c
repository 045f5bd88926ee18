/* Configuration files: any bytes either parse or are refused with a reason. */
#include "daemon/config.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c;
    struct error err = { 0 };
    if (config_parse(&c, (const char *)data, size, &err))
        config_free(&c);
    else if (err.code == ERR_NONE || !err.text[0])
        abort();
    return 0;
}
