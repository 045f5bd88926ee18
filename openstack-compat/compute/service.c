/* Nova's discovery documents, extensions and routes. */
#include "openstack-compat/compute/nova.h"

#include "openstack-compat/discovery.h"

/* ---- discovery --------------------------------------------------------- */

static const struct api_version version = {
    .id = "v2.1",
    .status = "CURRENT",
    .newest = "version",
    .first = NOVA_MIN,
    .last = NOVA_MAX,
    .updated = "2013-07-23T11:33:21Z",
    .path = "v2.1/",
    .media_type = "application/vnd.openstack.compute+json;version=2.1",
};

static enum outcome nova_versions(struct req *r)
{
    struct api_version v = version;
    v.media_type = NULL; /* only in its own document */
    return discovery_list(r, 200, &v, 1);
}

static enum outcome nova_version(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    discovery_version(r, &w, "version", &version);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* Deprecated upstream, still asked for by old clients. */
static enum outcome nova_extensions(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "extensions");
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- routes ------------------------------------------------------------ */

#define R POLICY_READER
#define M POLICY_MEMBER
#define A POLICY_ADMIN
#define S "/v2.1/servers"

static const struct route routes[] = {
    { "GET", "/", nova_versions, POLICY_PUBLIC },
    { "GET", "/v2.1", nova_version, POLICY_PUBLIC },
    { "GET", "/v2.1/extensions", nova_extensions, R },

    { "GET", S, server_list, R },
    { "POST", S, server_create, M },
    { "GET", S "/detail", server_detail, R },
    { "GET", S "/{id}", server_show, R },
    { "PUT", S "/{id}", server_update, M },
    { "DELETE", S "/{id}", server_delete, M, ROUTE_NO_BODY },
    { "POST", S "/{id}/action", server_action, M },
    { "POST", S "/{id}/remote-consoles", remote_console_create, M, 0,
      MV(2, 6) },
    { "GET", S "/{id}/os-instance-actions", server_event_list, R },
    { "GET", S "/{id}/os-instance-actions/{request}", server_event_show, R },
    { "GET", S "/{id}/ips", server_ips, R },
    { "GET", S "/{id}/ips/{network}", server_ips_of_network, R },
    { "GET", S "/{id}/os-security-groups", server_security_groups, R },

    { "GET", S "/{id}/metadata", server_metadata_list, R },
    { "PUT", S "/{id}/metadata", server_metadata_replace, M },
    { "POST", S "/{id}/metadata", server_metadata_update, M },
    { "GET", S "/{id}/metadata/{key}", server_metadata_show, R },
    { "PUT", S "/{id}/metadata/{key}", server_metadata_set, M },
    { "DELETE", S "/{id}/metadata/{key}", server_metadata_delete, M },

    { "GET", S "/{id}/tags", server_tag_list, R, 0, MV(2, 26) },
    { "PUT", S "/{id}/tags", server_tag_replace, M, 0, MV(2, 26) },
    { "DELETE", S "/{id}/tags", server_tag_clear, M, 0, MV(2, 26) },
    { "GET", S "/{id}/tags/{tag}", server_tag_check, R, 0, MV(2, 26) },
    { "PUT", S "/{id}/tags/{tag}", server_tag_add, M, ROUTE_NO_BODY,
      MV(2, 26) },
    { "DELETE", S "/{id}/tags/{tag}", server_tag_remove, M, 0, MV(2, 26) },

    { "GET", S "/{id}/os-volume_attachments", attachment_list, R },
    { "POST", S "/{id}/os-volume_attachments", attachment_create, M },
    { "GET", S "/{id}/os-volume_attachments/{volume}", attachment_show, R },
    { "PUT", S "/{id}/os-volume_attachments/{volume}", attachment_update, M, 0,
      MV(2, 85) },
    { "DELETE", S "/{id}/os-volume_attachments/{volume}", attachment_delete,
      M },

    { "GET", S "/{id}/os-interface", interface_list, R },
    { "POST", S "/{id}/os-interface", interface_create, M },
    { "GET", S "/{id}/os-interface/{port}", interface_show, R },
    { "DELETE", S "/{id}/os-interface/{port}", interface_delete, M },

    { "GET", S "/{id}/migrations", server_migration_list, A, 0, MV(2, 23) },
    { "GET", S "/{id}/migrations/{migration}", server_migration_show, A, 0,
      MV(2, 23) },
    { "DELETE", S "/{id}/migrations/{migration}", server_migration_delete, A, 0,
      MV(2, 24) },
    { "POST", S "/{id}/migrations/{migration}/action", server_migration_action,
      A, 0, MV(2, 22) },
    { "GET", "/v2.1/os-migrations", nova_migration_list, A },

    { "GET", "/v2.1/flavors", flavor_list, R },
    { "POST", "/v2.1/flavors", flavor_create, A },
    { "GET", "/v2.1/flavors/detail", flavor_detail, R },
    { "GET", "/v2.1/flavors/{id}", flavor_show, R },
    { "PUT", "/v2.1/flavors/{id}", flavor_update, A, 0, MV(2, 55) },
    { "DELETE", "/v2.1/flavors/{id}", flavor_delete, A },
    { "GET", "/v2.1/flavors/{id}/os-extra_specs", flavor_specs_list, R },
    { "POST", "/v2.1/flavors/{id}/os-extra_specs", flavor_specs_set, A },
    { "GET", "/v2.1/flavors/{id}/os-extra_specs/{key}", flavor_spec_show, R },
    { "PUT", "/v2.1/flavors/{id}/os-extra_specs/{key}", flavor_spec_set, A },
    { "DELETE", "/v2.1/flavors/{id}/os-extra_specs/{key}", flavor_spec_delete,
      A },
    { "GET", "/v2.1/flavors/{id}/os-flavor-access", flavor_access_list, A },
    { "POST", "/v2.1/flavors/{id}/action", flavor_action, A },

    { "GET", "/v2.1/os-keypairs", keypair_list, POLICY_TOKEN },
    { "POST", "/v2.1/os-keypairs", keypair_create, POLICY_TOKEN },
    { "GET", "/v2.1/os-keypairs/{name}", keypair_show, POLICY_TOKEN },
    { "DELETE", "/v2.1/os-keypairs/{name}", keypair_delete, POLICY_TOKEN },

    { "GET", "/v2.1/os-server-groups", server_group_list, R },
    { "POST", "/v2.1/os-server-groups", server_group_create, M },
    { "GET", "/v2.1/os-server-groups/{id}", server_group_show, R },
    { "DELETE", "/v2.1/os-server-groups/{id}", server_group_delete, M },

    { "GET", "/v2.1/os-security-groups", nova_security_group_list, R, 0, 0,
      MV(2, 35) },
    { "GET", "/v2.1/os-security-groups/{id}", nova_security_group_show, R, 0, 0,
      MV(2, 35) },
    { "GET", "/v2.1/os-availability-zone", zone_list, R },
    { "GET", "/v2.1/os-availability-zone/detail", zone_detail, A },
    { "GET", "/v2.1/os-services", nova_service_list, A },
    { "PUT", "/v2.1/os-services/{id}", nova_service_update, A, 0, MV(2, 53) },
    { "PUT", "/v2.1/os-services/{verb}", nova_service_update_named, A, 0, 0,
      MV(2, 52) },
    { "GET", "/v2.1/os-hypervisors", hypervisor_list, A },
    { "GET", "/v2.1/os-hypervisors/detail", hypervisor_detail, A },
    { "GET", "/v2.1/os-hypervisors/statistics", hypervisor_statistics, A, 0, 0,
      MV(2, 87) },
    { "GET", "/v2.1/os-hypervisors/{id}", hypervisor_show, A },
    { "GET", "/v2.1/os-hypervisors/{id}/uptime", hypervisor_uptime, A, 0, 0,
      MV(2, 87) },
    { "GET", "/v2.1/os-hypervisors/{pattern}/search", hypervisor_search, A, 0,
      0, MV(2, 52) },
    { "GET", "/v2.1/os-aggregates", aggregate_list, A },
    { "POST", "/v2.1/os-aggregates", aggregate_create, A },
    { "GET", "/v2.1/os-aggregates/{id}", aggregate_show, A },
    { "PUT", "/v2.1/os-aggregates/{id}", aggregate_update, A },
    { "DELETE", "/v2.1/os-aggregates/{id}", aggregate_delete, A },
    { "POST", "/v2.1/os-aggregates/{id}/action", aggregate_action, A },

    { "GET", "/v2.1/limits", nova_limits, R },
    { "GET", "/v2.1/os-quota-sets/{project}", nova_quota_show, R },
    { "GET", "/v2.1/os-quota-sets/{project}/defaults", nova_quota_defaults, R },
    { "GET", "/v2.1/os-quota-sets/{project}/detail", nova_quota_detail, R },
    { "PUT", "/v2.1/os-quota-sets/{project}", nova_quota_update, A },
    { "DELETE", "/v2.1/os-quota-sets/{project}", nova_quota_delete, A },
    ROUTE_END,
};

const struct service_api nova = {
    .prefix = "/compute",
    .type = "compute",
    .name = "nova",
    .style = STYLE_NOVA,
    .first = NOVA_MIN,
    .last = NOVA_MAX,
    .project_in_path = true,
    .url_tail = "/v2.1",
    .routes = routes,
};
