#include "state/rights.h"

#include <string.h>

static int right_of(const struct store_right *rights, const char *key)
{
    for (; rights->prefix; rights++)
        if (strncmp(key, rights->prefix, strlen(rights->prefix)) == 0)
            return rights->may;
    return 0;
}

bool rights_allow(const struct store_right *rights, const struct txn *t,
                  struct error *err)
{
    for (size_t i = 0; rights && i < t->n_writes; i++) {
        const struct write *w = &t->writes[i];
        int needs = w->value ? RIGHT_PUT : RIGHT_DELETE;
        if (!(right_of(rights, w->key) & needs) || w->lease)
            return error_set(err, ERR_FORBIDDEN, "may not %s %.100s",
                             w->value ? "write" : "delete", w->key);
    }
    return true;
}
