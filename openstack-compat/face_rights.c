#include "openstack-compat/face_rights.h"

#define ALL (RIGHT_PUT | RIGHT_DELETE)

/* Kinds in the order of model/model.h; pool, token_key and volume_key are
 * nobody's here. */
const struct store_right face_rights[] = {
    { "policy/", RIGHT_PUT },
    { "node/", RIGHT_PUT },    /* disabled, and why; traits, ratios ... */
    { "claim/scheduler/", 0 }, /* the leader's guard */
    { "claim/", ALL },         /* names, addresses */
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
    { "image/", ALL },
    { "flavor/", ALL },
    { "keypair/", ALL },
    { "server_group/", ALL },
    { "aggregate/", ALL },
    { "server/", ALL },
    { "placement_decision/", RIGHT_DELETE }, /* with its server */
    { "migration/", RIGHT_PUT },
    { "disk/", ALL },
    { "volume_type/", ALL },
    { "qos_specs/", ALL },
    { "volume/", ALL },
    { "snapshot/", ALL },
    { "network/", ALL },
    { "subnet/", ALL },
    { "port/", ALL },
    { "router/", ALL },
    { "floating_ip/", ALL },
    { "security_group/", ALL },
    { "security_group_rule/", ALL },
    { 0 },
};
