#include "asks.h"

#include "core.h"
#include "model/identity.h"
#include "model/image.h"

#include <string.h>

const char *ask_text(struct make *m, const char *fmt, ...)
{
    char out[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(out, sizeof(out), fmt, args);
    va_end(args);
    return arena_strdup(&m->c->arena, out);
}

const char *ask_a_name(struct make *m, const char *prefix)
{
    return ask_text(m, "%s%d", prefix, (int)chance(m->w, 30));
}

static bool visible(struct make *m, const struct record *r)
{
    const struct field *f = schema_field(&r->kind->schema, "project_id");
    const char *project = f ? *(const char **)field_ptr(r, f) : NULL;
    if (!f || m->who == ADMIN || chance_percent(m->w, 5))
        return true;
    const struct project *demo = snap_find(m->s, &kind_project, "name", "demo");
    return project && demo && strcmp(project, demo->rec.id) == 0;
}

const void *ask_a_record(struct make *m, const struct kind *kind)
{
    size_t n = snap_count(m->s, kind);
    size_t skip = n ? chance(m->w, n) : 0;
    const struct record *r, *found = NULL;
    struct snap_iter it = snap_all(m->s, kind);
    for (size_t i = 0; (r = snap_next(&it)); i++)
        if ((!found || i <= skip) && visible(m, r))
            found = r;
    return found;
}

const char *ask_an_id(struct make *m, const struct kind *kind)
{
    static const char *const odd[] = { "99999999-0000-4000-8000-000000000000",
                                       "no-such-thing", "%00", "a%2Fb" };
    if (chance_percent(m->w, 2))
        return odd[chance(m->w, ARRAY_SIZE(odd))];
    const struct record *r = ask_a_record(m, kind);
    return r ? arena_strdup(&m->c->arena, r->id) : NULL;
}

const char *ask_an_image(struct make *m)
{
    return chance_percent(m->w, 75) ? SIM_IMAGE : ask_an_id(m, &kind_image);
}

bool ask(struct make *m, const char *method, const char *path, const char *body)
{
    m->c->method = method;
    m->c->path = path;
    m->c->body = body;
    return true;
}

bool ask_new(struct make *m, const char *path, const struct kind *kind,
             const char *id_path, const char *body)
{
    m->c->kind = kind;
    m->c->id_path = id_path;
    return ask(m, "POST", path, body);
}

bool ask_end(struct make *m, const struct kind *kind, const char *path,
             const char *id)
{
    m->c->kind = kind;
    m->c->gone_id = id;
    return ask(m, "DELETE", ask_text(m, "%s/%s", path, id), NULL);
}

bool ask_delete(struct make *m, const struct kind *kind, const char *path)
{
    const char *id = ask_an_id(m, kind);
    return id && ask_end(m, kind, path, id);
}

bool ask_show(struct make *m, const struct kind *kind, const char *path)
{
    const char *id = ask_an_id(m, kind);
    m->c->kind = kind;
    m->c->shown_id = id;
    return id && ask(m, "GET", ask_text(m, "%s/%s", path, id), NULL);
}

bool ask_rename(struct make *m, const struct kind *kind, const char *path,
                const char *envelope)
{
    const char *id = ask_an_id(m, kind);
    return id && ask(m, "PUT", ask_text(m, "%s/%s", path, id),
                     ask_text(m, "{\"%s\": {\"name\": \"%s\"}}", envelope,
                              ask_a_name(m, "r")));
}
