#include "openstack-compat/compute/create_plan.h"
#include "openstack-compat/volume/volumes.h"

#include <string.h>

/* ---- block devices ----------------------------------------------------- */

static bool read_size(struct req *r, const json_t *item, int64_t *size)
{
    struct attr a = { "volume_size", .check = CHECK_INT, .min = 1,
                      .max = INT32_MAX };
    _autojson_ json_t *owned = NULL;
    const json_t *v = json_object_get(item, "volume_size");
    if (!v || json_is_null(v) || (json_is_string(v) && !*json_string_value(v)))
        return true;
    if (!check_value(&a, STYLE_NOVA, v, &owned, &r->err))
        return false;
    *size = json_integer_value(owned ? owned : v);
    return true;
}

static bool read_device(struct req *r, const json_t *item,
                        struct block_device *d, int64_t *boot_index,
                        bool *local)
{
    static const char *const known[] = { "source_type",
                                         "destination_type",
                                         "uuid",
                                         "boot_index",
                                         "volume_size",
                                         "volume_type",
                                         "delete_on_termination",
                                         "device_name",
                                         "device_type",
                                         "disk_bus",
                                         "guest_format",
                                         "no_device",
                                         "tag",
                                         NULL };
    const json_t *index = json_object_get(item, "boot_index");
    const char *to =
        json_string_value(json_object_get(item, "destination_type"));
    *d = (struct block_device){
        .source = json_string_value(json_object_get(item, "source_type")),
        .id = json_string_value(json_object_get(item, "uuid")),
        .delete_on_termination =
            json_is_true(json_object_get(item, "delete_on_termination")),
        .volume_type = json_string_value(json_object_get(item, "volume_type")),
    };
    *boot_index = json_is_string(index)
                      ? strtoll(json_string_value(index), NULL, 10)
                  : json_is_integer(index) ? json_integer_value(index)
                                           : -1;
    *local = to ? strcmp(to, "local") == 0
                : d->source && strcmp(d->source, "image") == 0;
    if (!json_is_object(item) || !d->source)
        return create_invalid(
            r, "block_device_mapping_v2: source_type is expected");
    if (!nova_only(r, item, known) ||
        !create_read_tag(r, item, MV(2, 32), &d->tag))
        return false;
    return read_size(r, item, &d->size_gb);
}

static bool check_device(struct req *r, const struct plan *p,
                         const struct block_device *d)
{
    bool blank = strcmp(d->source, "blank") == 0;
    bool image = strcmp(d->source, "image") == 0;
    bool snapshot = strcmp(d->source, "snapshot") == 0;
    bool volume = strcmp(d->source, "volume") == 0;
    if (!blank && !image && !snapshot && !volume)
        return create_invalid(r,
                              "block_device_mapping_v2: unknown source_type");
    if ((blank || image) && !d->size_gb)
        return create_invalid(
            r, "block_device_mapping_v2: volume_size is expected");
    if (!blank && (!d->id || !check_id(d->id)))
        return create_invalid(r, "block_device_mapping_v2: uuid is expected");
    if (d->volume_type && r->mv < MV(2, 67))
        return create_invalid(r, "volume_type needs microversion 2.67");
    const struct image *i = image ? create_find_image(r, d->id) : NULL;
    if (image && (!i || !create_image_fits(r, i, p->flavor, false)))
        return false;
    if (!volume)
        return true;
    const struct volume *v = snap_get(r->snap, &kind_volume, d->id);
    if (!v || !req_may_see(r, v->project_id))
        return error_set(&r->err, ERR_INVALID,
                         "Block Device Mapping is Invalid: failed to get "
                         "volume %.64s.",
                         d->id);
    if (volume_is_copied(r->snap, v))
        return error_set(&r->err, ERR_CONFLICT,
                         "Volume %s is being copied, try again.", v->rec.id);
    if (v->status != VOLUME_AVAILABLE)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: status must be 'available'. "
                         "Currently in '%s'",
                         volume_status_names[v->status]);
    if (d->boot && !v->bootable)
        return error_set(&r->err, ERR_INVALID,
                         "Block Device Mapping is Invalid: Volume %s is not "
                         "bootable.",
                         v->rec.id);
    return true;
}

static bool boots_twice(const struct plan *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_devices; i++)
        n += p->devices[i].boot;
    return n > 1;
}

static bool plan_device(struct req *r, struct plan *p, const json_t *item)
{
    int64_t boot_index;
    bool local;
    struct block_device d;
    if (!read_device(r, item, &d, &boot_index, &local))
        return false;
    if (local && strcmp(d.source, "image") == 0) {
        p->image = d.id ? create_find_image(r, d.id) : NULL;
        return p->image && create_image_fits(r, p->image, p->flavor, true);
    }
    if (local)
        return error_set(&r->err, ERR_NOT_IMPLEMENTED,
                         "Local disks are those of the flavor.");
    d.boot = boot_index == 0;
    if (!check_device(r, p, &d))
        return false;
    if (d.boot && p->image) /* --image with --boot-from-volume's mapping */
        p->image = NULL;
    for (size_t i = 0; i < p->n_devices; i++)
        if (strcmp(d.source, "volume") == 0 && p->devices[i].id &&
            strcmp(p->devices[i].id, d.id) == 0)
            return error_set(&r->err, ERR_INVALID,
                             "Block Device Mapping is Invalid: volume %.64s "
                             "is in it twice.",
                             d.id);
    if (p->n_devices == VOLUMES_MAX)
        return create_invalid(
            r, "block_device_mapping_v2: at most 16 are supported");
    p->devices[p->n_devices++] = d;
    return true;
}

/* One of those that an image of volumes names (server_snapshot.c); what else
 * is said of it is the request's to say. */
static bool plan_image_device(struct req *r, struct plan *p, const json_t *item)
{
    static const char *const kept[] = { "source_type", "destination_type",
                                        "volume_size",
                                        "delete_on_termination" };
    const json_t *index = json_object_get(item, "boot_index");
    const json_t *id = json_object_get(item, "snapshot_id");
    _autojson_ json_t *device = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        json_object_set(device, kept[i],
                        json_object_get((json_t *)item, kept[i]));
    json_object_set(device, "uuid",
                    (json_t *)(id ? id : json_object_get(item, "uuid")));
    if (json_is_integer(index))
        json_object_set(device, "boot_index", (json_t *)index);
    /* The plan borrows its strings. */
    json_array_append(p->image_devices, device);
    return plan_device(r, p, device);
}

/* The image is nothing but its devices. */
static bool plan_image_devices(struct req *r, struct plan *p)
{
    size_t i;
    json_t *item;
    const char *text =
        p->image ? map_get(&p->image->properties, "block_device_mapping")
                 : NULL;
    if (!text || p->image->blob)
        return true;
    _autojson_ json_t *all = json_loads(text, 0, NULL);
    if (!json_is_array(all))
        return create_invalid(r, "The image's block_device_mapping is none.");
    p->image = NULL;
    p->image_devices = json_array();
    json_array_foreach(all, i,
                       item) if (!plan_image_device(r, p, item)) return false;
    return true;
}

bool create_plan_devices(struct req *r, struct plan *p)
{
    size_t i;
    json_t *item, *v = json_object_get(p->body, "block_device_mapping_v2");
    bool boots = false;
    if (v && !json_is_array(v))
        return create_invalid(r, "block_device_mapping_v2 must be a list");
    if (!plan_image_devices(r, p))
        return false;
    json_array_foreach(v, i, item) if (!plan_device(r, p, item)) return false;
    for (i = 0; i < p->n_devices; i++)
        boots |= p->devices[i].boot;
    if (boots_twice(p))
        return create_invalid(
            r, "Block Device Mapping is Invalid: Boot sequence for "
               "the instance and image/block device mapping "
               "combination is not valid.");
    if (!boots && !p->image)
        return create_invalid(r, "Invalid imageRef provided.");
    if (p->max_count > 1)
        for (i = 0; i < p->n_devices; i++)
            if (strcmp(p->devices[i].source, "volume") == 0)
                return create_invalid(r, "Cannot attach one or more volumes to "
                                         "multiple instances");
    return true;
}
