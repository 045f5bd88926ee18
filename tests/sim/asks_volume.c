#include "asks.h"

#include "model/identity.h"
#include "model/volume.h"

static bool volume_new(struct make *m)
{
    const char *from = "";
    const char *image = ask_an_image(m);
    const char *volume = ask_an_id(m, &kind_volume);
    const char *snapshot = ask_an_id(m, &kind_snapshot);
    uint64_t kind = chance(m->w, 8);
    if (kind < 2 && image)
        from = ask_text(m, ", \"imageRef\": \"%s\"", image);
    else if (kind == 2 && volume)
        from = ask_text(m, ", \"source_volid\": \"%s\"", volume);
    else if (kind == 3 && snapshot)
        from = ask_text(m, ", \"snapshot_id\": \"%s\"", snapshot);
    return ask_new(
        m, VOL "/volumes", &kind_volume, "volume.id",
        ask_text(m, "{\"volume\": {\"size\": %d, \"name\": \"%s\"%s}}",
                 (int)chance(m->w, 8) + (chance_percent(m->w, 95) ? 1 : 0),
                 ask_a_name(m, "d"), from));
}

static bool volume_do(struct make *m)
{
    const struct volume *v = ask_a_record(m, &kind_volume);
    static const char *const actions[] = {
        "{\"os-extend\": {\"new_size\": %d}}",
        "{\"os-extend\": {\"new_size\": %d}}",
        "{\"os-set_bootable\": {\"bootable\": true}}",
        "{\"os-detach\": {}}",
        "{\"os-reset_status\": {\"status\": \"available\"}}",
        ("{\"os-volume_upload_image\": {\"image_name\": \"up\","
         " \"disk_format\": \"qcow2\", \"container_format\": \"bare\","
         " \"force\": true}}"),
    };
    if (!v)
        return false;
    uint64_t i = chance(m->w, ARRAY_SIZE(actions));
    const char *body = i < 2
                           ? ask_text(m, "{\"os-extend\": {\"new_size\": %d}}",
                                      (int)v->size_gb + (int)chance(m->w, 4))
                           : actions[i];
    /* An admin may make the state a lie; then nothing can be promised. */
    return i != 4 &&
           ask(m, "POST", ask_text(m, VOL "/volumes/%s/action", v->rec.id),
               body);
}

static bool volume_end(struct make *m)
{
    return ask_delete(m, &kind_volume, VOL "/volumes");
}

static bool volume_rename(struct make *m)
{
    return ask_rename(m, &kind_volume, VOL "/volumes", "volume");
}

static bool snapshot_new(struct make *m)
{
    const char *volume = ask_an_id(m, &kind_volume);
    return volume &&
           ask_new(m, VOL "/snapshots", &kind_snapshot, "snapshot.id",
                   ask_text(m,
                            "{\"snapshot\": {\"volume_id\": \"%s\", \"name\":"
                            " \"%s\", \"force\": %s}}",
                            volume, ask_a_name(m, "s"),
                            chance_percent(m->w, 70) ? "true" : "false"));
}

static bool snapshot_end(struct make *m)
{
    return ask_delete(m, &kind_snapshot, VOL "/snapshots");
}

static bool volume_list(struct make *m)
{
    static const char *const paths[] = {
        "volumes", "volumes/detail", "snapshots/detail",
        "types",   "limits",         "volumes/summary"
    };
    return ask(m, "GET",
               ask_text(m, VOL "/%s", paths[chance(m->w, ARRAY_SIZE(paths))]),
               NULL);
}

static bool volume_quota(struct make *m)
{
    const struct project *p = snap_find(m->s, &kind_project, "name", "demo");
    return ask(m, "PUT", ask_text(m, VOL "/os-quota-sets/%s", p->rec.id),
               ask_text(m,
                        "{\"quota_set\": {\"volumes\": %d, \"gigabytes\": %d}}",
                        (int)chance(m->w, 20), (int)chance(m->w, 200)));
}

const struct ask_row asks_volume[] = {
    { "volume new", 22, ANY, volume_new },
    { "volume do", 14, ANY, volume_do },
    { "volume end", 14, ANY, volume_end },
    { "volume rename", 3, ANY, volume_rename },
    { "snapshot new", 12, ANY, snapshot_new },
    { "snapshot end", 8, ANY, snapshot_end },
    { "volume list", 5, ANY, volume_list },
    { "volume quota", 2, ADM, volume_quota },
    { 0 },
};
