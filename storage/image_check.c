#include "storage/image_check.h"

#include "common/cleanup.h"
#include "storage/layers.h"
#include "storage/sandbox.h"

#include <string.h>
#include <sys/stat.h>

#define CHECK_SECONDS   300
#define CONVERT_SECONDS 3600
#define MEMORY          (INT64_C(2) << 30)
#define SLACK           (INT64_C(1) << 30)
#define EXPANSION_MAX   64 /* bytes on disk for each byte uploaded */
#define CHECK_LEAKS     3  /* exit code: nothing wrong but wasted space */

/* qemu-img's stderr begins each line with its name. */
static const char *complaint(const struct sandbox_result *r)
{
    const char *text = buf_str(&r->errors);
    const char *colon = strstr(text, "qemu-img: ");
    return colon == text ? text + strlen("qemu-img: ") : text;
}

static bool run(const struct image_checker *c, struct sandbox_job *job,
                int64_t seconds, int64_t file_size, struct sandbox_result *r,
                struct error *err)
{
    struct sandbox_limits limits = { .root = c->root,
                                     .uid = c->uid,
                                     .gid = c->gid,
                                     .cpu_s = seconds,
                                     .memory = MEMORY,
                                     .file_size = file_size };
    job->confine = &limits;
    job->timeout_us = seconds * SECOND_US;
    bool ok = sandbox_run(job, c->env, r, err);
    job->confine = NULL;
    return ok;
}

/* qemu-img info must see what we have seen. */
static bool agree(const char *json, const struct inspection *found,
                  struct error *err)
{
    _autojson_ json_t *info = json_loads(json, 0, NULL);
    json_t *size = json_object_get(info, "virtual-size");
    json_t *data =
        json_object_get(json_object_get(info, "format-specific"), "data");
    const char *format = json_string_value(json_object_get(info, "format"));
    if (!format || strcmp(format, format_driver(found->format)) != 0 ||
        ((json_integer_value(size) + 511) & ~INT64_C(511)) !=
            found->virtual_size ||
        json_object_get(info, "backing-filename") ||
        json_object_get(data, "data-file") || json_object_get(data, "encrypt"))
        return error_set(err, ERR_INVALID,
                         "qemu-img and Cairn read different things from the "
                         "image's header");
    return true;
}

static bool check_info(const struct image_checker *c, const char *path,
                       const struct inspection *found, struct error *err)
{
    const char *argv[] = { c->qemu_img, "info",
                           "-U",        "--output=json",
                           "-f",        format_driver(found->format),
                           "/image",    NULL };
    struct sandbox_job job = { .argv = argv,
                               .binds = { { path, "image", false } },
                               .n_binds = 1 };
    _autoresult_ struct sandbox_result r = { 0 };
    if (!run(c, &job, CHECK_SECONDS, 0, &r, err))
        return false;
    if (r.code != 0)
        return error_set(err, ERR_INVALID, "the image cannot be read: %.300s",
                         complaint(&r));
    return agree(buf_str(&r.out), found, err);
}

static bool check_tables(const struct image_checker *c, const char *path,
                         const struct inspection *found, struct error *err)
{
    const char *argv[] = { c->qemu_img, "check", "-q",
                           "-U",        "-f",    format_driver(found->format),
                           "/image",    NULL };
    struct sandbox_job job = { .argv = argv,
                               .binds = { { path, "image", false } },
                               .n_binds = 1 };
    _autoresult_ struct sandbox_result r = { 0 };
    if (!run(c, &job, CHECK_SECONDS, 0, &r, err))
        return false;
    if (r.code != 0 && r.code != CHECK_LEAKS)
        return error_set(err, ERR_INVALID,
                         "the image is corrupt: qemu-img check found errors "
                         "in its tables");
    return true;
}

bool image_check(const struct image_checker *c, const char *path,
                 const struct inspection *found, struct error *err)
{
    return check_info(c, path, found, err) && check_tables(c, path, found, err);
}

/* A small upload must not fill the disk. */
static int64_t most_bytes(const char *path, int64_t virtual_size)
{
    struct stat st;
    int64_t most = stat(path, &st) == 0 ? st.st_size * EXPANSION_MAX : 0;
    return (most < virtual_size ? most : virtual_size) + SLACK;
}

bool image_convert(const struct image_checker *c, const char *path,
                   const struct inspection *found, const char *format,
                   const char *to, struct error *err)
{
    const char *argv[] = {
        c->qemu_img, "convert", "-U",     "-f",   format_driver(found->format),
        "-O",        format,    "/image", "/out", NULL
    };
    struct sandbox_job job = { .argv = argv,
                               .binds = { { path, "image", false },
                                          { to, "out", true } },
                               .n_binds = 2 };
    _autoresult_ struct sandbox_result r = { 0 };
    /* A raw file is as long as the disk; its holes cost nothing. */
    int64_t most = strcmp(format, "raw") == 0
                       ? found->virtual_size
                       : most_bytes(path, found->virtual_size);
    if (!run(c, &job, CONVERT_SECONDS, most, &r, err))
        return false;
    if (r.code != 0) {
        layers_qemu_error(complaint(&r), ERR_INVALID, err);
        return error_prefix(err, "the %s image cannot be converted",
                            format_name(found->format));
    }
    return true;
}
