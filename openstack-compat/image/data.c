/*
 * An image's bytes.  They never pass through a handler: it names the upload
 * or the blob, and the rim moves them (request.h, WAIT_BODY and resp.blob).
 *
 *   QUEUED -> SAVING (bytes flow) -> CHECKING (storage inspects) -> ACTIVE
 *     ^---------'------------------------'  whatever went wrong
 *
 * By import (glance-direct) the bytes come to /stage and wait as STAGED until
 * /import says so; no task is made, the image's status tells all.
 *
 * An image that goes back to QUEUED after its bytes got stuck keeps the
 * upload_id: storage sees it, throws the bytes away and clears it.
 */
#include "openstack-compat/image/glance.h"
#include "rest-api/api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UPLOAD_MAX (INT64_C(1) << 40) /* bytes; glance's image_size_cap */
#define CHECK_US   (3600 * SECOND_US) /* how long a client waits for it */

enum { STEP_START, STEP_TAKEN, STEP_CHECKED };

/* ---- upload ------------------------------------------------------------ */

static bool is_octet_stream(struct req *r)
{
    static const char wanted[] = "application/octet-stream";
    const char *type = req_header(r, "Content-Type");
    size_t len = type ? strcspn(type, "; ") : 0;
    return len == strlen(wanted) && strncasecmp(type, wanted, len) == 0;
}

static bool may_upload(struct req *r, const struct image *im)
{
    const char *length = req_header(r, "Content-Length");
    if (!is_octet_stream(r))
        return error_set(&r->err, ERR_MEDIA_TYPE,
                         "Image data must be sent as "
                         "application/octet-stream");
    if (im->status != IMAGE_QUEUED)
        return error_set(&r->err, ERR_CONFLICT,
                         "Image status transition from %s to saving is not "
                         "allowed",
                         image_status_text(im));
    if (!im->disk_format || !im->container_format)
        return error_set(&r->err, ERR_INVALID,
                         "Properties disk_format, container_format must be "
                         "set prior to saving data.");
    if (length && strtoll(length, NULL, 10) > UPLOAD_MAX)
        return error_set(&r->err, ERR_TOO_LARGE,
                         "An image may have at most %" PRId64 " bytes",
                         UPLOAD_MAX);
    return true;
}

static enum outcome upload_start(struct req *r)
{
    const struct image *was = image_to_change(r, r->param[0]);
    if (!was || !may_upload(r, was))
        return req_failed(r);
    const char *upload_id = req_uuid(r);
    _autorecord_ struct image *im = record_copy(was);
    im->status = IMAGE_SAVING;
    im->upload_id = rec_str(im, upload_id);
    im->node = rec_str(im, r->api->node);
    im->fault = NULL;
    im->updated = r->now;
    txn_change_record(&r->txn, im);
    r->state = (void *)upload_id;
    struct wait wait = { .type = WAIT_BODY,
                         .upload_id = upload_id,
                         .max_bytes = UPLOAD_MAX };
    return req_wait(r, wait, STEP_TAKEN);
}

/* The answer is an error, and yet what is in the txn is to be done. */
static enum outcome fail_and_commit(struct req *r, const struct error *err)
{
    error_copy(&r->err, err);
    fault_write(r);
    return req_reply(r, r->resp.status);
}

/* Until it is another revision than the one of this snapshot; our own
 * change ends the first wait, and the handler then looks again. */
static enum outcome wait_for_check(struct req *r, const struct image *im)
{
    struct wait wait = { .type = WAIT_RECORD,
                         .kind = &kind_image,
                         .id = arena_strdup(&r->arena, im->rec.id),
                         .mod_rev = im->rec.mod_rev,
                         .deadline = r->now + CHECK_US };
    return req_wait(r, wait, STEP_CHECKED);
}

static enum outcome upload_gone(struct req *r)
{
    return req_fail(r, ERR_GONE,
                    "Image %.80s could not be found after upload. The image "
                    "may have been deleted during the upload.",
                    r->param[0]);
}

static bool is_stage(const struct req *r)
{
    return r->route->flags & IMAGE_ROUTE_STAGE;
}

static enum outcome upload_taken(struct req *r)
{
    const struct image *was = snap_get(r->snap, &kind_image, r->param[0]);
    if (!was || was->status != IMAGE_SAVING || !was->upload_id ||
        strcmp(was->upload_id, r->state) != 0)
        return upload_gone(r);
    _autorecord_ struct image *im = record_copy(was);
    im->updated = r->now;
    if (!r->waited.ok) {
        im->status = IMAGE_QUEUED;
        txn_change_record(&r->txn, im);
        return fail_and_commit(r, &r->waited.err);
    }
    im->status = is_stage(r) ? IMAGE_STAGED : IMAGE_CHECKING;
    im->size = r->waited.bytes;
    im->checksum = rec_str(im, r->waited.md5);
    im->hash_algo = rec_str(im, "sha512");
    im->hash_value = rec_str(im, r->waited.sha512);
    txn_change_record(&r->txn, im);
    return is_stage(r) ? req_reply(r, 204) : wait_for_check(r, was);
}

static enum outcome upload_checked(struct req *r)
{
    const struct image *im = snap_get(r->snap, &kind_image, r->param[0]);
    if (!im)
        return upload_gone(r);
    switch (im->status) {
    case IMAGE_ACTIVE:
        return req_reply(r, 204);
    case IMAGE_CHECKING:
        if (r->waited.ok)
            return wait_for_check(r, im);
        error_copy(&r->err, &r->waited.err);
        return req_failed(r);
    case IMAGE_DELETED:
        return upload_gone(r);
    default:
        return req_fail(r, ERR_INVALID, "The image was refused: %s",
                        im->fault ? im->fault : "its data was not accepted");
    }
}

enum outcome image_upload(struct req *r)
{
    switch (r->step) {
    case STEP_START:
        return upload_start(r);
    case STEP_TAKEN:
        return upload_taken(r);
    default:
        return upload_checked(r);
    }
}

/* ---- import ------------------------------------------------------------ */

/* What was staged is to become the image.  The answer does not wait: clients
 * look at the status, "active" or back at "queued". */
enum outcome image_import(struct req *r)
{
    const struct image *was = image_to_change(r, r->param[0]);
    const char *method = json_string_value(
        json_object_get(json_object_get(r->body, "method"), "name"));
    if (!was)
        return req_failed(r);
    if (!method || strcmp(method, "glance-direct") != 0)
        return req_fail(r, ERR_INVALID, "Unknown import method name '%.64s'.",
                        method ? method : "");
    if (was->status != IMAGE_STAGED)
        return req_fail(r, ERR_CONFLICT,
                        "Image needs to be staged before 'glance-direct' "
                        "method can be used");
    _autorecord_ struct image *im = record_copy(was);
    im->status = IMAGE_CHECKING;
    im->updated = r->now;
    txn_change_record(&r->txn, im);
    return req_reply(r, 202);
}

/* ---- download ---------------------------------------------------------- */

/* "bytes=5-", "bytes=5-9", "bytes=-3"; anything else is not ours to serve.
 * False: nothing of it lies in the file. */
static bool parse_range(const char *text, int64_t size, int64_t *from,
                        int64_t *to)
{
    char *end;
    if (strncmp(text, "bytes=", 6) != 0)
        return false;
    text += 6;
    if (*text == '-') {
        int64_t last = strtoll(text + 1, &end, 10);
        *from = last < size ? size - last : 0;
        *to = size - 1;
        return end != text + 1 && !*end && last > 0 && size > 0;
    }
    *from = strtoll(text, &end, 10);
    if (end == text || *end != '-' || *from < 0)
        return false;
    text = end + 1;
    *to = *text ? strtoll(text, &end, 10) : size - 1;
    if (*text && (end == text || *end))
        return false;
    if (*to >= size)
        *to = size - 1;
    return *from <= *to;
}

static enum outcome send_range(struct req *r, const struct image *im,
                               const char *range)
{
    int64_t from, to;
    if (!parse_range(range, im->size, &from, &to))
        return req_fail(r, ERR_RANGE,
                        "The byte range '%.64s' is not in the image", range);
    r->resp.blob_offset = from;
    r->resp.blob_size = to - from + 1;
    http_header(&r->resp, "Content-Range",
                req_strf(r, "bytes %" PRId64 "-%" PRId64 "/%" PRId64, from, to,
                         im->size));
    return req_reply(r, 206);
}

enum outcome image_download(struct req *r)
{
    const char *range = req_header(r, "Range");
    const struct image *im = image_get(r, r->param[0]);
    if (!im)
        return req_failed(r);
    if (im->status != IMAGE_ACTIVE || !im->blob)
        return req_reply(r, 204);
    r->resp.blob = arena_strdup(&r->arena, im->blob);
    r->resp.blob_size = im->size;
    http_header(&r->resp, "Content-Type", "application/octet-stream");
    if (range)
        return send_range(r, im, range);
    if (im->checksum)
        http_header(&r->resp, "Content-MD5",
                    arena_strdup(&r->arena, im->checksum));
    return req_reply(r, 200);
}
