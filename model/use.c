#include "model/use.h"

#include "model/table.h"

#include <stdlib.h>
#include <string.h>

#define T struct guest_use
static const struct field guest_fields[] = {
    FIELD(T, id, F_STR),
    FIELD(T, vcpu, F_INT),
    FIELD(T, steal, F_INT),
    FIELD(T, memory, F_INT),
    FIELD(T, disk, F_INT),
    FIELD(T, net, F_INT),
    FIELD(T, mem_stall, F_INT),
    FIELD(T, io_stall, F_INT),
    FIELD(T, swap, F_INT),
    FIELD(T, dirty, F_INT),
    FIELD_END,
};
#undef T
static const struct schema guest_schema = { sizeof(struct guest_use),
                                            guest_fields };

#define T struct node_use
static const struct field use_fields[] = {
    FIELD(T, measured, F_TIME),
    FIELD(T, cpu, F_INT),
    FIELD(T, steal, F_INT),
    FIELD(T, memory, F_INT),
    FIELD(T, cpu_pressure, F_INT),
    FIELD(T, memory_pressure, F_INT),
    FIELD(T, io_pressure, F_INT),
    FIELD(T, swap, F_INT),
    FIELD(T, disk, F_INT),
    FIELD(T, net, F_INT),
    FIELD(T, link, F_INT),
    FIELD_L(T, guests, guest_schema),
    FIELD_END,
};
#undef T
KIND(kind_node_use, KIND_NODE_USE, "node_use", struct node_use, use_fields,
     NO_INDEXES);

static int by_id(const void *id, const void *guest)
{
    return strcmp(id, ((const struct guest_use *)guest)->id);
}

const struct guest_use *node_use_guest(const struct node_use *u, const char *id)
{
    return u->guests.n ? bsearch(id, LIST_AT(u->guests, struct guest_use, 0),
                                 u->guests.n, sizeof(struct guest_use), by_id)
                       : NULL;
}
