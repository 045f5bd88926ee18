/*
 * What guests ask of the metadata service, about a server whose texts its
 * owner has chosen: the input's lines are the path, the name, the user data
 * and the key.  The same texts go into a config drive and a domain's XML,
 * which must stay readable.
 */
#include "compute/config_drive.h"
#include "compute/domain_xml.h"
#include "compute/server_spec.h"
#include "model/model.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct snapshot *snap;

static void start(void)
{
    if (!snap)
        snap = cache_snapshot(cache_new(model_kinds, N_KINDS));
}

/* The next line of *text, which moves on. */
static const char *line(char **text)
{
    char *l = *text;
    *text += strcspn(l, "\n");
    if (**text)
        *(*text)++ = '\0';
    return l;
}

static void ask(const struct server *server, const char *path)
{
    struct error err;
    const char *type;
    struct buf out = BUF_INIT(GUEST_METADATA_MAX);
    if (!guest_metadata_path(snap, server, path, &out, &type, &err) &&
        err.code != ERR_NOT_FOUND)
        abort();
    buf_free(&out);
}

static void build(const struct server *server)
{
    static const struct domain_host host = { .bridge = "b",
                                             .vnc_listen = "::1" };
    static const struct domain_files none;
    struct error err;
    struct arena arena = { 0 };
    struct domain_info info = { 0 };
    struct buf drive = BUF_INIT(CONFIG_DRIVE_MAX);
    struct buf xml = BUF_INIT(DOMAIN_XML_MAX);
    struct domain_spec *spec = server_spec(&arena, snap, server);
    if (!config_drive_write(snap, server, &drive, &err) ||
        !domain_xml_write(&xml, spec, &host, &none, &err) ||
        !domain_xml_read(buf_str(&xml), &info))
        abort();
    buf_free(&drive);
    buf_free(&xml);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _autofree_ char *text = xstrndup((const char *)data, size);
    _autorecord_ struct server *server =
        record_new(&kind_server, "5f6d7a52-0000-4000-8000-000000000001");
    char *rest = text;
    start();
    const char *path = line(&rest);
    server->name = server->hostname = server->flavor_name = line(&rest);
    server->user_data = line(&rest);
    server->key_name = server->key_public = line(&rest);
    map_put(server, &server->image_properties, "hw_machine_type", rest);
    server->vcpus = 1;
    ask(server, path);
    build(server);
    return 0;
}
