#include "storage/volumes.h"

#include <stddef.h>
#include <string.h>

bool storage_name_ok(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (!name || !*name || *name == '.')
        return false;
    size_t n = strspn(name, good);
    return n < STORAGE_NAME_MAX && !name[n];
}
