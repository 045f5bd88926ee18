/* The commands about who belongs to the pool: join secrets, nodes, disks. */
#ifndef CAIRN_CLI_MEMBERSHIP_H
#define CAIRN_CLI_MEMBERSHIP_H

#include "cli/cloud.h"

bool cli_secret_create(struct cloud *c, char **args, struct error *err);
bool cli_secret_list(struct cloud *c, char **args, struct error *err);
bool cli_secret_revoke(struct cloud *c, char **args, struct error *err);
bool cli_node_list(struct cloud *c, char **args, struct error *err);
bool cli_node_show(struct cloud *c, char **args, struct error *err);
bool cli_node_drain(struct cloud *c, char **args, struct error *err);
bool cli_node_undrain(struct cloud *c, char **args, struct error *err);
bool cli_node_maintenance(struct cloud *c, char **args, struct error *err);
bool cli_node_remove(struct cloud *c, char **args, struct error *err);
bool cli_disk_list(struct cloud *c, char **args, struct error *err);
bool cli_disk_remove(struct cloud *c, char **args, struct error *err);
bool cli_disk_keep(struct cloud *c, char **args, struct error *err);

#endif
