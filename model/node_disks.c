#include "model/node_disks.h"

#include "model/table.h"

#include <string.h>

const char *const node_disk_state_names[] = { "left alone", "free", "in use",
                                              "leaving",    "gone", NULL };

#define T struct node_disk
static const struct field disk_fields[] = {
    FIELD(T, path, F_STR),
    FIELD(T, size_gb, F_INT),
    FIELD_E(T, state, node_disk_state_names),
    FIELD(T, reason, F_STR),
    FIELD(T, osd, F_STR),
    FIELD(T, used_gb, F_INT),
    FIELD(T, groups, F_INT),
    FIELD(T, latency, F_INT),
    FIELD(T, slow, F_BOOL),
    FIELD(T, leave, F_BOOL),
    FIELD_END,
};
#undef T
static const struct schema disk_schema = { sizeof(struct node_disk),
                                           disk_fields };

#define T struct node_disks
static const struct field disks_fields[] = {
    FIELD_L(T, disks, disk_schema),
    FIELD_END,
};
#undef T
KIND(kind_node_disks, KIND_NODE_DISKS, "node_disks", struct node_disks,
     disks_fields, NO_INDEXES);

struct node_disk *node_disk_named(const struct node_disks *d, const char *osd)
{
    for (size_t i = 0; d && i < d->disks.n; i++) {
        struct node_disk *one = LIST_AT(d->disks, struct node_disk, i);
        if (one->osd && strcmp(one->osd, osd) == 0)
            return one;
    }
    return NULL;
}
