#include "compute/config_drive.h"

#include "compute/iso9660.h"

typedef bool document_fn(const struct snapshot *s, const struct server *server,
                         struct buf *out);

/* By path, as iso9660_write wants them. */
static const struct {
    const char *path;
    document_fn *fn;
} documents[] = {
    { "ec2/latest/meta-data.json", guest_ec2_json },
    { "ec2/latest/user-data", guest_user_data },
    { "openstack/latest/meta_data.json", guest_meta_data_json },
    { "openstack/latest/network_data.json", guest_network_data_json },
    { "openstack/latest/user_data", guest_user_data },
    { "openstack/latest/vendor_data.json", guest_vendor_data_json },
    { "openstack/latest/vendor_data2.json", guest_vendor_data_json },
};
#define N_DOCUMENTS ARRAY_SIZE(documents)

bool config_drive_write(const struct snapshot *s, const struct server *server,
                        struct buf *out, struct error *err)
{
    struct buf contents[N_DOCUMENTS];
    struct iso_file files[N_DOCUMENTS];
    size_t n = 0;
    bool fits = true;
    for (size_t i = 0; i < N_DOCUMENTS; i++) {
        buf_init(&contents[i], GUEST_METADATA_MAX);
        if (!documents[i].fn(s, server, &contents[i]))
            continue;
        fits = fits && !contents[i].overflow;
        files[n++] =
            (struct iso_file){ documents[i].path, buf_str(&contents[i]),
                               contents[i].len };
    }
    bool ok = fits ? iso9660_write(out, CONFIG_DRIVE_LABEL, files, n,
                                   server->created, err)
                   : error_set(err, ERR_TOO_LARGE, "config drive: too large");
    for (size_t i = 0; i < N_DOCUMENTS; i++)
        buf_free(&contents[i]);
    return ok;
}
