/*
 * model - everything Cairn remembers, kind by kind.
 *
 * One struct and one field table a kind.  The structs stand in the header of
 * their part of the house (identity.h, compute.h, migration.h, decision.h,
 * image.h, network.h, volume.h, pool.h), the tables in the .c beside it; here
 * is the list of all. See state/record.h for what a field table gives and who
 * owns a record.
 *
 * What should be and what is stand in the same record, in fields of their
 * own: a `goal` is written by the API or the leader, a `status` by whoever
 * carries it out.
 */
#ifndef CAIRN_MODEL_MODEL_H
#define CAIRN_MODEL_MODEL_H

#include "state/cache.h"
#include "state/record.h"

/* X(number, kind object): the order is the order of listings and dumps. */
#define MODEL_KINDS(X)                                                         \
    X(KIND_POOL, kind_pool)                                                    \
    X(KIND_POOL_POLICY, kind_pool_policy)                                      \
    X(KIND_NODE, kind_node)                                                    \
    X(KIND_NODE_USE, kind_node_use)                                            \
    X(KIND_NODE_DISKS, kind_node_disks)                                        \
    X(KIND_MEMBER, kind_member)                                                \
    X(KIND_JOIN_SECRET, kind_join_secret)                                      \
    X(KIND_CLAIM, kind_claim)                                                  \
    X(KIND_COUNTER, kind_counter)                                              \
    X(KIND_USAGE, kind_usage)                                                  \
    X(KIND_QUOTA, kind_quota)                                                  \
    X(KIND_TOKEN_KEY, kind_token_key)                                          \
    X(KIND_REVOCATION, kind_revocation)                                        \
    X(KIND_REGION, kind_region)                                                \
    X(KIND_SERVICE, kind_service)                                              \
    X(KIND_ENDPOINT, kind_endpoint)                                            \
    X(KIND_DOMAIN, kind_domain)                                                \
    X(KIND_PROJECT, kind_project)                                              \
    X(KIND_USER, kind_user)                                                    \
    X(KIND_GROUP, kind_group)                                                  \
    X(KIND_GROUP_MEMBER, kind_group_member)                                    \
    X(KIND_ROLE, kind_role)                                                    \
    X(KIND_ROLE_INFERENCE, kind_role_inference)                                \
    X(KIND_ASSIGNMENT, kind_assignment)                                        \
    X(KIND_APP_CREDENTIAL, kind_app_credential)                                \
    X(KIND_IMAGE, kind_image)                                                  \
    X(KIND_FLAVOR, kind_flavor)                                                \
    X(KIND_KEYPAIR, kind_keypair)                                              \
    X(KIND_SERVER_GROUP, kind_server_group)                                    \
    X(KIND_AGGREGATE, kind_aggregate)                                          \
    X(KIND_SERVER, kind_server)                                                \
    X(KIND_MIGRATION, kind_migration)                                          \
    X(KIND_DECISION, kind_decision)                                            \
    X(KIND_DISK, kind_disk)                                                    \
    X(KIND_VOLUME_TYPE, kind_volume_type)                                      \
    X(KIND_QOS_SPECS, kind_qos_specs)                                          \
    X(KIND_VOLUME_KEY, kind_volume_key)                                        \
    X(KIND_VOLUME, kind_volume)                                                \
    X(KIND_SNAPSHOT, kind_snapshot)                                            \
    X(KIND_NETWORK, kind_network)                                              \
    X(KIND_SUBNET, kind_subnet)                                                \
    X(KIND_PORT, kind_port)                                                    \
    X(KIND_ROUTER, kind_router)                                                \
    X(KIND_FLOATING_IP, kind_floating_ip)                                      \
    X(KIND_SECURITY_GROUP, kind_security_group)                                \
    X(KIND_SECURITY_GROUP_RULE, kind_security_group_rule)

enum kind_number {
#define X(number, object) number,
    MODEL_KINDS(X)
#undef X
        N_KINDS
};

#define X(number, object) extern const struct kind object;
MODEL_KINDS(X)
#undef X

/* All of them, by number. */
extern const struct kind *const model_kinds[N_KINDS];
const struct kind *model_kind_named(const char *name); /* or NULL */

#endif
