#include "openstack-compat/face_rights.h"

#define ALL   (RIGHT_PUT | RIGHT_DELETE)
#define NAMED (ALL | RIGHT_NAMES) /* nodes make paths of these ids */

/* Kinds in the order of model/model.h; pool and token_key are nobody's here.
 * Who knows a join secret's key gets into the pool. */
const struct store_right face_rights[] = {
    { "policy/", RIGHT_PUT },
    { "join_secret/", 0, "key" },
    { "node/", RIGHT_PUT | RIGHT_NAMES }, /* disabled, and why; ratios ... */
    { "claim/scheduler/", 0 },            /* the leader's guard */
    { "claim/", ALL },                    /* names, addresses */
    { "counter/", RIGHT_PUT },
    { "usage/", ALL },
    { "quota/", ALL },
    { "revocation/", RIGHT_PUT }, /* a token is never brought back */
    { "region/", ALL },
    { "service/", ALL },
    { "endpoint/", ALL },
    { "domain/", ALL },
    { "project/", ALL },
    { "user/", ALL },
    { "group/", ALL },
    { "group_member/", ALL },
    { "role/", ALL },
    { "role_inference/", ALL },
    { "assignment/", ALL },
    { "app_credential/", ALL },
    { "image/", NAMED },
    { "flavor/", ALL },
    { "keypair/", ALL },
    { "server_group/", ALL },
    { "aggregate/", ALL },
    { "server/", NAMED },
    { "placement_decision/", RIGHT_DELETE }, /* with its server */
    { "migration/", RIGHT_PUT | RIGHT_NAMES },
    { "disk/", NAMED },
    { "volume_key/", 0, "wrapped" },
    { "volume_type/", ALL },
    { "qos_specs/", ALL },
    { "volume/", NAMED },
    { "snapshot/", NAMED },
    { "network/", NAMED },
    { "subnet/", NAMED },
    { "port/", NAMED },
    { "router/", NAMED },
    { "floating_ip/", NAMED },
    { "security_group/", NAMED },
    { "security_group_rule/", NAMED },
    { 0 },
};
