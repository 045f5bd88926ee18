#include "compute/hypervisor.h"

#include <string.h>

const char *domain_rbd_image(const char *path)
{
    static const char prefix[] = "rbd:";
    bool is_rbd = strncmp(path, prefix, sizeof(prefix) - 1) == 0;
    return is_rbd ? path + sizeof(prefix) - 1 : NULL;
}

bool domain_has_disk(const struct domain_info *info, const char *device)
{
    for (size_t i = 0; i < info->n_disks; i++)
        if (strcmp(info->disks[i], device) == 0)
            return true;
    return false;
}

const char *domain_disk_path(const struct domain_info *info, const char *device)
{
    for (size_t i = 0; i < info->n_disks; i++)
        if (strcmp(info->disks[i], device) == 0)
            return info->paths[i];
    return NULL;
}

bool domain_has_nic(const struct domain_info *info, const char *port_id)
{
    for (size_t i = 0; i < info->n_nics; i++)
        if (strcmp(info->nics[i], port_id) == 0)
            return true;
    return false;
}
