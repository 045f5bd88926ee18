/*
 * glance - the Image API v2 over the records of model/image.h.
 *
 *   service.c  discovery, /v2/info, routes
 *   images.c   show, create, update, delete, tags
 *   list.c     lists and their filters
 *   data.c     bytes in, bytes out
 *   schema.c   the JSON schemas that clients build their models from
 *
 * Not built, hence 404 and in no document: members, tasks, web-download,
 * metadata definitions, several stores, the cache.  A "shared" image is
 * therefore seen by its owner only.  Handlers run on the face's threads, see
 * rest-api/request.h.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_IMAGE_GLANCE_H
#define CAIRN_OPENSTACK_COMPAT_IMAGE_GLANCE_H

#include "model/image.h"
#include "rest-api/resource.h"
#include "rest-api/route.h"

extern const struct service_api glance;

extern const char *const image_visibilities[];
extern const char *const image_disk_formats[];
extern const char *const image_container_formats[];

/* May the caller see the image, change it? */
bool image_visible(const struct req *r, const struct image *im);
/* The image of a path if it may be seen; else NULL and r->err. */
const struct image *image_get(struct req *r, const char *id);
/* The same for those who want to change it. */
const struct image *image_to_change(struct req *r, const char *id);

/* Glance's word: CHECKING is "saving" to clients. */
const char *image_status_text(const struct image *im);
void image_write(struct req *r, struct jw *w, const struct image *im);

handler_fn image_list, image_show, image_create, image_update, image_delete,
    image_tag_add, image_tag_remove;
/* PUT .../stage is .../file that ends as STAGED: a flag of its route. */
#define IMAGE_ROUTE_STAGE 0x100u
handler_fn image_upload, image_import, image_download;
handler_fn image_schema, image_list_schema;

#endif
