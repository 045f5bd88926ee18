#include "asks.h"

#include "model/compute.h"
#include "model/identity.h"
#include "model/network.h"

static bool mv(struct make *m, const char *value)
{
    m->c->headers[1] = (struct param){ "OpenStack-API-Version", value };
    return true;
}

static const char *some_network(struct make *m)
{
    const struct subnet *sub = ask_a_record(m, &kind_subnet);
    const struct network *n =
        sub && chance_percent(m->w, 85)
            ? snap_get(m->s, &kind_network, sub->network_id)
            : ask_a_record(m, &kind_network);
    const struct port *p = ask_a_record(m, &kind_port);
    switch (chance(m->w, 10)) {
    case 0:
        return "\"auto\"";
    case 1:
    case 2:
        return "\"none\"";
    case 3:
    case 4:
        if (p)
            return ask_text(m, "[{\"port\": \"%s\"}]", p->rec.id);
        break;
    default:
        break;
    }
    return n ? ask_text(m, "[{\"uuid\": \"%s\"}]", n->rec.id) : "\"none\"";
}

/* Where the root disk comes from: members of the body. */
static const char *some_root(struct make *m)
{
    const char *image = ask_an_image(m);
    const char *volume = ask_an_id(m, &kind_volume);
    const char *snapshot = ask_an_id(m, &kind_snapshot);
    const char *end = chance_percent(m->w, 50) ? "true" : "false";
    uint64_t kind = chance(m->w, 10);
    const char *from = "image", *id = image;
    if (kind == 0 && volume)
        from = "volume", id = volume;
    else if (kind == 1 && snapshot)
        from = "snapshot", id = snapshot;
    else if (kind > 3)
        return ask_text(m, "\"imageRef\": \"%s\"", image ? image : "none");
    return ask_text(
        m,
        "\"block_device_mapping_v2\": [{\"boot_index\": 0, \"uuid\":"
        " \"%s\", \"source_type\": \"%s\", \"destination_type\":"
        " \"volume\", \"volume_size\": %d,"
        " \"delete_on_termination\": %s}]",
        id ? id : "none", from, (int)chance(m->w, 4) + 1, end);
}

static const char *some_more(struct make *m)
{
    const char *group = ask_an_id(m, &kind_server_group);
    if (group && chance_percent(m->w, 15))
        return ask_text(m, "}, \"os:scheduler_hints\": {\"group\": \"%s\"",
                        group);
    switch (chance(m->w, 8)) {
    case 0:
        return ask_text(m, ", \"min_count\": %d, \"max_count\": 3",
                        (int)chance(m->w, 3) + 1);
    case 1:
        return ", \"config_drive\": true, \"user_data\": \"aGVsbG8=\"";
    case 2:
        return snap_count(m->s, &kind_keypair) && chance_percent(m->w, 80)
                   ? ", \"key_name\": \"k1\""
                   : "";
    case 3:
        return ", \"metadata\": {\"a\": \"b\"}";
    case 4:
        return ", \"availability_zone\": \"nova\"";
    default:
        return "";
    }
}

static bool server_new(struct make *m)
{
    const char *flavor = ask_an_id(m, &kind_flavor);
    mv(m, "compute 2.90");
    return flavor &&
           ask_new(m, NOVA "/servers", &kind_server, "server.id",
                   ask_text(m,
                            "{\"server\": {\"name\": \"%s\", \"flavorRef\":"
                            " \"%s\", \"networks\": %s, %s%s}}",
                            ask_a_name(m, "v"),
                            chance_percent(m->w, 80) ? "1" : flavor,
                            some_network(m), some_root(m), some_more(m)));
}

static bool server_do(struct make *m)
{
    static const char *const actions[] = {
        "{\"os-start\": null}",
        "{\"os-stop\": null}",
        "{\"reboot\": {\"type\": \"SOFT\"}}",
        "{\"reboot\": {\"type\": \"HARD\"}}",
        "{\"pause\": null}",
        "{\"unpause\": null}",
        "{\"suspend\": null}",
        "{\"resume\": null}",
        "{\"resume\": null}",
        "{\"lock\": null}",
        "{\"unlock\": null}",
        "{\"unlock\": null}",
        "{\"os-getConsoleOutput\": {}}",
        "{\"shelve\": null}",
        "{\"shelve\": null}",
        "{\"shelveOffload\": null}",
        "{\"unshelve\": null}",
        "{\"unshelve\": null}",
        "{\"unshelve\": null}",
        "{\"os-resetState\": {\"state\": \"active\"}}",
        "{\"os-resetState\": {\"state\": \"error\"}}",
        "{\"nonsense\": {}}",
    };
    const char *id = ask_an_id(m, &kind_server);
    return id && ask(m, "POST", ask_text(m, NOVA "/servers/%s/action", id),
                     actions[chance(m->w, ARRAY_SIZE(actions))]);
}

static bool server_rebuild(struct make *m)
{
    const char *id = ask_an_id(m, &kind_server), *image = ask_an_image(m);
    mv(m, "compute 2.60");
    return id && ask(m, "POST", ask_text(m, NOVA "/servers/%s/action", id),
                     ask_text(m,
                              "{\"rebuild\": {\"imageRef\": \"%s\","
                              " \"name\": \"%s\"}}",
                              image ? image : "none", ask_a_name(m, "r")));
}

/* The image goes if it cannot be filled, as with its server. */
static bool server_image(struct make *m)
{
    const char *id = ask_an_id(m, &kind_server);
    mv(m, "compute 2.60");
    return id && ask(m, "POST", ask_text(m, NOVA "/servers/%s/action", id),
                     ask_text(m, "{\"createImage\": {\"name\": \"%s\"}}",
                              ask_a_name(m, "i")));
}

/* One that has been resized is mostly asked to stay so, or not to. */
static bool server_resize(struct make *m)
{
    static const char *const ends[] = { "{\"confirmResize\": null}",
                                        "{\"revertResize\": null}" };
    const struct server *s = ask_a_record(m, &kind_server);
    const char *flavor = ask_an_id(m, &kind_flavor);
    if (!s || !flavor)
        return false;
    const char *path = ask_text(m, NOVA "/servers/%s/action", s->rec.id);
    if (chance_percent(m->w, s->vm_state == VM_RESIZED ? 80 : 10))
        return ask(m, "POST", path, ends[chance(m->w, 2)]);
    if (chance_percent(m->w, 10))
        return ask(m, "POST", path, "{\"migrate\": null}");
    return ask(m, "POST", path,
               ask_text(m, "{\"resize\": {\"flavorRef\": \"%s\"}}", flavor));
}

static bool server_end(struct make *m)
{
    return ask_delete(m, &kind_server, NOVA "/servers");
}

static bool server_rename(struct make *m)
{
    return ask_rename(m, &kind_server, NOVA "/servers", "server");
}

static bool server_attach(struct make *m)
{
    const char *id = ask_an_id(m, &kind_server),
               *volume = ask_an_id(m, &kind_volume);
    return id && volume &&
           ask(m, "POST",
               ask_text(m, NOVA "/servers/%s/os-volume_attachments", id),
               ask_text(m, "{\"volumeAttachment\": {\"volumeId\": \"%s\"}}",
                        volume));
}

static bool server_detach(struct make *m)
{
    const struct server *s = ask_a_record(m, &kind_server);
    if (!s || !s->volumes.n)
        return false;
    const struct server_volume *v =
        LIST_AT(s->volumes, struct server_volume, chance(m->w, s->volumes.n));
    return ask(m, "DELETE",
               ask_text(m, NOVA "/servers/%s/os-volume_attachments/%s",
                        s->rec.id, v->volume_id),
               NULL);
}

static bool server_plug(struct make *m)
{
    const char *id = ask_an_id(m, &kind_server);
    bool by_port = chance_percent(m->w, 50);
    const char *what = ask_an_id(m, by_port ? &kind_port : &kind_network);
    return id && what &&
           ask(m, "POST", ask_text(m, NOVA "/servers/%s/os-interface", id),
               ask_text(m, "{\"interfaceAttachment\": {\"%s\": \"%s\"}}",
                        by_port ? "port_id" : "net_id", what));
}

static bool server_unplug(struct make *m)
{
    const struct server *s = ask_a_record(m, &kind_server);
    if (!s || !s->ports.n)
        return false;
    const struct server_port *p =
        LIST_AT(s->ports, struct server_port, chance(m->w, s->ports.n));
    return ask(
        m, "DELETE",
        ask_text(m, NOVA "/servers/%s/os-interface/%s", s->rec.id, p->port_id),
        NULL);
}

static bool compute_list(struct make *m)
{
    static const char *const paths[] = {
        "servers",
        "servers/detail",
        "flavors/detail",
        "os-keypairs",
        "os-server-groups",
        "os-availability-zone",
        "limits",
        "os-services",
        "os-hypervisors/detail",
        "os-aggregates",
        "servers/detail?all_tenants=1&status=ACTIVE",
        "os-hypervisors/statistics",
    };
    mv(m, "compute 2.60");
    return ask(m, "GET",
               ask_text(m, NOVA "/%s", paths[chance(m->w, ARRAY_SIZE(paths))]),
               NULL);
}

static bool server_show(struct make *m)
{
    mv(m, "compute 2.79");
    return ask_show(m, &kind_server, NOVA "/servers");
}

static bool flavor_new(struct make *m)
{
    return ask_new(m, NOVA "/flavors", &kind_flavor, "flavor.id",
                   ask_text(m,
                            "{\"flavor\": {\"name\": \"%s\", \"ram\": %d,"
                            " \"vcpus\": %d, \"disk\": %d, \"swap\": %d,"
                            " \"OS-FLV-EXT-DATA:ephemeral\": %d}}",
                            ask_a_name(m, "f"), 64 << chance(m->w, 9),
                            1 + (int)chance(m->w, 6), (int)chance(m->w, 40),
                            chance_percent(m->w, 30) ? 512 : 0,
                            chance_percent(m->w, 30) ? 2 : 0));
}

static bool flavor_end(struct make *m)
{
    const struct flavor *f = ask_a_record(m, &kind_flavor);
    return f && f->name[0] == 'f' &&
           ask_end(m, &kind_flavor, NOVA "/flavors",
                   ask_text(m, "%s", f->rec.id));
}

static bool keypair_new(struct make *m)
{
    return ask(m, "POST", NOVA "/os-keypairs",
               ask_text(m,
                        "{\"keypair\": {\"name\": \"k%d\", \"public_key\": "
                        "\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKjM3QdyBDhDK"
                        "jC0PbGz2oXxR4QnbrBtQdXjPdYcYyqG sim\"}}",
                        (int)chance(m->w, 4)));
}

static bool keypair_end(struct make *m)
{
    return ask(m, "DELETE",
               ask_text(m, NOVA "/os-keypairs/k%d", (int)chance(m->w, 4)),
               NULL);
}

static bool server_group_new(struct make *m)
{
    static const char *const policies[] = { "affinity", "anti-affinity",
                                            "soft-affinity",
                                            "soft-anti-affinity" };
    mv(m, "compute 2.64");
    return ask_new(m, NOVA "/os-server-groups", &kind_server_group,
                   "server_group.id",
                   ask_text(m,
                            "{\"server_group\": {\"name\": \"%s\", \"policy\":"
                            " \"%s\"}}",
                            ask_a_name(m, "g"), policies[chance(m->w, 4)]));
}

static bool server_group_end(struct make *m)
{
    return ask_delete(m, &kind_server_group, NOVA "/os-server-groups");
}

static bool compute_quota(struct make *m)
{
    const struct project *p = snap_find(m->s, &kind_project, "name", "demo");
    return ask(m, "PUT", ask_text(m, NOVA "/os-quota-sets/%s", p->rec.id),
               ask_text(m, "{\"quota_set\": {\"instances\": %d, \"ram\": %d}}",
                        (int)chance(m->w, 20), (int)chance(m->w, 60000)));
}

const struct ask_row asks_compute[] = {
    { "server new", 34, ANY, server_new },
    { "server do", 44, ANY, server_do },
    { "server resize", 24, ANY, server_resize },
    { "server rebuild", 12, ANY, server_rebuild },
    { "server image", 10, ANY, server_image },
    { "server end", 16, ANY, server_end },
    { "server rename", 4, ANY, server_rename },
    { "server attach", 16, ANY, server_attach },
    { "server detach", 10, ANY, server_detach },
    { "server plug", 10, ANY, server_plug },
    { "server unplug", 8, ANY, server_unplug },
    { "server show", 6, ANY, server_show },
    { "compute list", 8, ANY, compute_list },
    { "flavor new", 8, ADM, flavor_new },
    { "flavor end", 3, ADM, flavor_end },
    { "keypair new", 4, ANY, keypair_new },
    { "keypair end", 3, ANY, keypair_end },
    { "server group new", 5, ANY, server_group_new },
    { "server group end", 3, ANY, server_group_end },
    { "compute quota", 2, ADM, compute_quota },
    { 0 },
};
