/*
 * Another type for a volume.
 *
 * What only changes limits is a matter of a name.  What would have to copy
 * the content (to another storage, to or from an encrypted one) or change how
 * it is shared is not built, and says so.
 */
#include "openstack-compat/volume/cinder.h"

#include <string.h>

static bool same_making(const struct volume *a, const struct volume *b)
{
    return a->local == b->local && !a->key_id == !b->key_id &&
           a->multiattach == b->multiattach;
}

bool volume_retype(struct req *r, const struct volume *was, struct volume *v,
                   const json_t *args)
{
    const char *asked = json_string_value(json_object_get(args, "new_type"));
    const struct volume_type *t =
        asked ? volume_type_find(r->snap, asked, was->project_id) : NULL;
    if (!asked)
        return error_set(&r->err, ERR_INVALID,
                         "'new_type' is a required property");
    if (!t)
        return error_set(&r->err, ERR_NOT_FOUND,
                         "Volume type with name %.80s could not be found.",
                         asked);
    if (was->status != VOLUME_AVAILABLE && was->status != VOLUME_IN_USE)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: Unable to update type due to "
                         "incorrect status: %s on volume: %s.",
                         volume_status_names[was->status], was->rec.id);
    _autorecord_ struct volume *next = record_copy(was);
    if (!volume_traits(r->snap, t, next, &r->err))
        return false;
    next->local &= was->local || pool_is_replicated(r->snap);
    if (!same_making(was, next))
        return error_set(&r->err, ERR_NOT_IMPLEMENTED,
                         "Volume %s cannot become %.80s: that would copy its "
                         "content or change how it is shared, which is not "
                         "built.",
                         was->rec.id, t->name);
    v->volume_type_id = rec_str(v, t->rec.id);
    txn_expect_record(&r->txn, t);
    return true;
}
