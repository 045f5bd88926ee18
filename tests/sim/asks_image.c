#include "asks.h"

#include "files.h"
#include "model/image.h"

static bool image_new(struct make *m)
{
    return ask_new(m, IMG, &kind_image, "id",
                   ask_text(m,
                            "{\"name\": \"%s\", \"disk_format\": \"%s\","
                            " \"container_format\": \"bare\"}",
                            ask_a_name(m, "i"),
                            chance_percent(m->w, 70) ? "qcow2" : "raw"));
}

static bool image_fill(struct make *m)
{
    const char *id = ask_an_id(m, &kind_image);
    struct call *c = m->c;
    if (!id)
        return false;
    c->headers[0] =
        (struct param){ "Content-Type", "application/octet-stream" };
    c->upload_bytes = (int64_t)(1 + chance(m->w, 64)) << 20;
    c->upload =
        chance_percent(m->w, 75) ? UPLOAD_GOOD : (int)chance(m->w, UPLOAD_N);
    return ask(m, "PUT", ask_text(m, IMG "/%s/file", id), NULL);
}

static bool image_change(struct make *m)
{
    const char *id = ask_an_id(m, &kind_image);
    m->c->headers[0] =
        (struct param){ "Content-Type",
                        "application/openstack-images-v2.1-json-patch" };
    return id && ask(m, "PATCH", ask_text(m, IMG "/%s", id),
                     ask_text(m,
                              "[{\"op\": \"replace\", \"path\": \"/name\","
                              " \"value\": \"%s\"}]",
                              ask_a_name(m, "i")));
}

static bool image_end(struct make *m)
{
    const struct image *im = ask_a_record(m, &kind_image);
    return im && !im->is_protected &&
           ask_end(m, &kind_image, IMG, ask_text(m, "%s", im->rec.id));
}

static bool image_show(struct make *m)
{
    return chance_percent(m->w, 50) ? ask(m, "GET", IMG, NULL)
                                    : ask_show(m, &kind_image, IMG);
}

static bool image_get(struct make *m)
{
    const char *id = ask_an_id(m, &kind_image);
    return id && ask(m, "GET", ask_text(m, IMG "/%s/file", id), NULL);
}

const struct ask_row asks_image[] = {
    { "image new", 8, ANY, image_new },
    { "image fill", 12, ANY, image_fill },
    { "image change", 4, ANY, image_change },
    { "image end", 6, ANY, image_end },
    { "image show", 4, ANY, image_show },
    { "image get", 2, ANY, image_get },
    { 0 },
};
