"""What the clients people have send to nova and neutron, and what they expect
back: openstacksdk, and the `openstack` command where it goes its own ways.
No guest has to come up for most of it.
"""
import re
import subprocess

import pytest
from openstack import exceptions

from conftest import FLAVOR, IMAGE, Cli, wait_until


@pytest.fixture(scope="module")
def net(demo):
    network = demo.network.create_network(name="clients-net")
    subnet = demo.network.create_subnet(
        network_id=network.id, name="clients-sub", ip_version=4,
        cidr="10.77.0.0/24")
    yield network, subnet
    demo.network.delete_network(network)


@pytest.fixture(scope="module")
def server(demo, net):
    made = demo.compute.create_server(
        name="clients-vm", flavor_id=demo.compute.find_flavor(FLAVOR).id,
        image_id=demo.image.find_image(IMAGE).id,
        networks=[{"uuid": net[0].id}])
    yield demo.compute.wait_for_server(made, wait=60)
    demo.compute.delete_server(made)
    demo.compute.wait_for_delete(made, wait=60)


def raw(cloud, path, version=None, method="get", **more):
    headers = {"OpenStack-API-Version": f"compute {version}"} if version \
        else {}
    return getattr(cloud.compute, method)(path, headers=headers, **more)


def test_versions(demo):
    assert raw(demo, "/servers", "2.90").status_code == 200
    assert raw(demo, "/servers", "latest").status_code == 200
    refused = raw(demo, "/servers", "2.999")
    assert refused.status_code == 406
    assert "2.90" in refused.text
    assert raw(demo, "/servers", "two").status_code == 400


def test_generated_key_is_one(demo, tmp_path):
    pair = demo.compute.create_keypair(name="clients-key")
    try:
        path = tmp_path / "id"
        path.write_text(pair.private_key)
        path.chmod(0o600)
        public = subprocess.run(["ssh-keygen", "-y", "-f", str(path)],
                                check=True, capture_output=True, text=True)
        assert public.stdout.split()[:2] == pair.public_key.split()[:2]
        names = [k.name for k in demo.compute.keypairs(limit=1)]
        assert "clients-key" in names
    finally:
        demo.compute.delete_keypair(pair)


@pytest.mark.parametrize("query, there", [
    ({"name": "^clients-vm$"}, True),
    ({"name": "^clients$"}, False),
    ({"status": "ACTIVE"}, True),
    ({"ip": "10.77"}, True),
    ({"ip": "77"}, True),
    ({"ip": "^77"}, False),
    ({"deleted": True}, False),
])
def test_server_filters(demo, server, query, there):
    found = raw(demo, "/servers/detail", params=query).json()["servers"]
    assert (server.id in [s["id"] for s in found]) == there


def test_server_is_changed_and_remembers(demo, server):
    compute = demo.compute
    compute.lock_server(server)
    with pytest.raises(exceptions.ConflictException):
        compute.stop_server(server)
    compute.unlock_server(server)
    compute.set_server_metadata(server, a="b")
    assert compute.get_server_metadata(server).metadata == {"a": "b"}
    compute.delete_server_metadata(server, ["a"])
    actions = raw(demo, f"/servers/{server.id}/os-instance-actions").json()
    names = [a["action"] for a in actions["instanceActions"]]
    assert names[:2] == ["unlock", "lock"] and names[-1] == "create"
    with pytest.raises(exceptions.HttpException) as refused:
        compute.create_server_remote_console(
            server, protocol="vnc", type="novnc")
    assert refused.value.status_code == 501


def test_interfaces_and_groups(demo, server, net, cli):
    group = demo.network.create_security_group(name="clients-group")
    cli("server", "add", "security", "group", server.id, group.id)
    names = {g["name"] for g in
             demo.compute.get_server(server).security_groups}
    assert names == {"default", "clients-group"}
    cli("server", "remove", "security", "group", server.id, group.id)
    demo.network.delete_security_group(group)
    made = demo.compute.create_server_interface(
        server, net_id=net[0].id, fixed_ips=[{"ip_address": "10.77.0.99"}])
    assert made.fixed_ips[0]["ip_address"] == "10.77.0.99"
    demo.compute.delete_server_interface(made, server=server)
    wait_until("the port is gone", lambda: not list(
        demo.network.ports(fixed_ips="ip_address=10.77.0.99")), 30)


def test_port_cannot_claim_a_server(demo, server, net):
    port = demo.network.create_port(network_id=net[0].id)
    try:
        with pytest.raises(exceptions.BadRequestException):
            demo.network.update_port(port, device_id=server.id)
        with pytest.raises(exceptions.HttpException) as refused:
            demo.network.update_port(
                port, device_owner="network:router_interface")
        assert refused.value.status_code == 403
    finally:
        demo.network.delete_port(port)


def test_neutron_bulk_tags_and_filters(demo, net):
    network = demo.network
    ports = list(network.create_ports([
        {"network_id": net[0].id, "name": f"bulk{i}"} for i in range(3)]))
    try:
        network.set_tags(ports[0], ["x", "y"])
        network.set_tags(ports[1], ["x"])

        def names(**query):
            return {p.name for p in network.ports(
                network_id=net[0].id, **query) if p.name}
        assert names(tags="x,y") == {"bulk0"}
        assert names(any_tags="y,z") == {"bulk0"}
        assert "bulk0" not in names(not_tags="x")
        assert "bulk2" in names(not_any_tags="x,y")
        ip = ports[2].fixed_ips[0]["ip_address"]
        assert names(fixed_ips=[f"ip_address={ip}",
                                f"subnet_id={net[1].id}"]) == {"bulk2"}
        with pytest.raises(exceptions.HttpException):
            list(network.create_ports([
                {"network_id": net[0].id, "name": "bulk9"}, {"name": "x"}]))
        assert "bulk9" not in names()
    finally:
        for port in ports:
            network.delete_port(port)


def test_router_routes(demo, net):
    network = demo.network
    router = network.create_router(name="clients-router")
    network.add_interface_to_router(router, subnet_id=net[1].id)
    route = {"destination": "10.9.0.0/24", "nexthop": "10.77.0.9"}
    try:
        done = network.add_extra_routes_to_router(
            router, {"router": {"routes": [route]}})
        assert done.routes == [route]
        with pytest.raises(exceptions.ConflictException):
            network.remove_interface_from_router(router, subnet_id=net[1].id)
        with pytest.raises(exceptions.BadRequestException):
            network.update_router(router, routes=[
                {"destination": "10.9.0.0/24", "nexthop": "192.0.2.1"}])
        done = network.remove_extra_routes_from_router(
            router, {"router": {"routes": [route]}})
        assert done.routes == []
        with pytest.raises(exceptions.ConflictException):
            network.update_subnet(net[1], gateway_ip=None)
    finally:
        network.update_router(router, routes=[])
        network.remove_interface_from_router(router, subnet_id=net[1].id)
        network.delete_router(router)


def test_extensions_are_there(demo):
    listed = {e.alias for e in demo.network.extensions()}
    assert {"extraroute-atomic", "standard-attr-tag", "router"} <= listed
    assert not {"qos", "trunk", "address-scope", "rbac-policies",
                "subnet_allocation"} & listed


def test_admin_commands(admin):
    cli = Cli("cairn")
    host = cli("hypervisor", "list", "-f", "value", "-c",
               "Hypervisor Hostname").strip()
    for version in ("2.1", "2.53", "2.90"):
        api = ("--os-compute-api-version", version)
        shown = cli.json(*api, "hypervisor", "show", host)
        assert shown["hypervisor_hostname"] == host
    assert re.search(r" up \d+ days", shown["uptime"])
    try:
        cli("compute", "service", "set", "--disable", "--disable-reason",
            "test", host, "nova-compute")
        service = next(iter(admin.compute.services(host=host)))
        assert (service.status, service.disabled_reason) == \
            ("disabled", "test")
    finally:
        cli("compute", "service", "set", "--enable", host, "nova-compute")
    agent = next(iter(admin.network.agents(host=host)))
    assert admin.network.get_agent(agent).binary == "ovn-controller"
    assert list(admin.network.agents(host="nowhere")) == []


def test_image_import(demo):
    """Stage, then import: glance-direct, as the SDK does it."""
    image = demo.image.create_image(
        "imported", data=b"\0" * 65536, disk_format="raw",
        container_format="bare", use_import=True, allow_duplicates=True)
    wait_until("the image is active", lambda: demo.image.get_image(
        image.id).status == "active", 30)
    assert demo.image.get_image(image.id).size == 65536
    demo.image.delete_image(image.id)
