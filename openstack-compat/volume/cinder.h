/*
 * cinder - the Block Storage API v3 over the records of model/volume.h.
 *
 *   service.c    discovery, routes
 *   make.c       volume_make (volumes.h)
 *   volumes.c    show, create, update, delete
 *   list.c       lists of volumes and snapshots, their filters
 *   actions.c    POST /volumes/{id}/action
 *   snapshots.c  snapshots and their actions
 *   metadata.c   metadata of volumes and snapshots, extra specs of types
 *   types.c      volume types
 *   encryption.c how the volumes of a type are encrypted
 *   qos.c        QoS specs
 *   retype.c     another type for a volume
 *   quotas.c     quota sets, limits
 *   pool.c       zones, services, attachments
 *
 * Not built, hence 404 and in no document: backups, groups, transfers,
 * messages, migration, manage.
 * Handlers run on the face's threads, see rest-api/request.h.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_VOLUME_CINDER_H
#define CAIRN_OPENSTACK_COMPAT_VOLUME_CINDER_H

#include "model/pool.h"
#include "model/volume.h"
#include "openstack-compat/volume/volumes.h"
#include "rest-api/check.h"
#include "rest-api/resource.h"
#include "rest-api/route.h"

#define CINDER_MIN MV(3, 0)
#define CINDER_MAX MV(3, 60)

extern const struct service_api cinder;
/* Of volumes and snapshots only what metadata.c needs. */
extern const struct resource cinder_volumes, cinder_snapshots, cinder_types;

void volume_write(struct req *r, struct jw *w, const char *key,
                  const struct volume *v);
void snapshot_write(struct req *r, struct jw *w, const char *key,
                    const struct volume_snapshot *sn);
void cinder_write_map(struct jw *w, const char *key, const struct map *map);
void cinder_write_links(struct req *r, struct jw *w, const char *collection,
                        const char *id);
void cinder_write_time(struct jw *w, const char *key, int64_t us);

/* A member of a request by its row: checked, then set in the record.  Members
 * without a row are an error if `strict`.  False: r->err. */
bool cinder_fill(struct req *r, void *record, const struct attr *attrs,
                 const json_t *body, bool strict);
/* The one member of an action's body: its name, and its object, array or
 * null in *args.  NULL: r->err. */
const char *cinder_action(struct req *r, json_t **args);
/* Does the body say "force", as a boolean or as clients write one? */
bool cinder_forced(const json_t *body);
enum outcome cinder_no_action(struct req *r, const char *name);
/* Marks a volume or its snapshot DELETING after all checks; false: r->err. */
bool volume_mark_deleting(struct req *r, const struct volume *v, bool force,
                          bool cascade);
bool snapshot_mark_deleting(struct req *r, const struct volume_snapshot *sn,
                            bool force);
/* By name or id, if the caller may use it; NULL without r->err. */
const struct volume_type *volume_type_find(const struct snapshot *s,
                                           const char *name_or_id,
                                           const char *project_id);

/* Fills in what the type makes of a volume: local, multiattach, key_id.
 * INVALID: the pool cannot. */
bool volume_traits(const struct snapshot *s, const struct volume_type *t,
                   struct volume *v, struct error *err);

/* May a type's extra specs become those of the draft?  For metadata.c. */
bool volume_type_respec(struct req *r, const void *was, const void *draft);

/* An action (actions.c). */
bool volume_retype(struct req *r, const struct volume *was, struct volume *v,
                   const json_t *args);

handler_fn volume_list, volume_detail, volume_summary, volume_show,
    volume_create, volume_update, volume_delete, volume_action;
handler_fn snapshot_list, snapshot_detail, snapshot_show, snapshot_create,
    snapshot_update, snapshot_delete, snapshot_action;
handler_fn metadata_list, metadata_merge, metadata_replace, metadata_show,
    metadata_set, metadata_delete;
handler_fn volume_type_default, volume_type_access, volume_type_action;
handler_fn encryption_show, encryption_show_one, encryption_create,
    encryption_update, encryption_delete, volume_encryption;
handler_fn qos_list, qos_show, qos_create, qos_set, qos_unset, qos_delete,
    qos_associations, qos_associate, qos_disassociate, qos_disassociate_all;
handler_fn cinder_quota_show, cinder_quota_defaults, cinder_quota_update,
    cinder_quota_delete, cinder_limits;
handler_fn cinder_zones, cinder_services, cinder_attachments,
    cinder_attachments_detail, cinder_attachment_show;

#endif
