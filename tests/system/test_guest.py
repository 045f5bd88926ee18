"""What a guest sees: metadata, config drive, names, its volume as root."""
import base64
import json

import pytest

from conftest import FLAVOR, IMAGE, Ssh, on_node, wait_until


@pytest.fixture()
def lan(demo, key):
    """A network with a router to the outside, a key and an open group."""
    public = next(demo.network.networks(**{"router:external": True}))
    net = demo.network.create_network(name="guests", dns_domain="cairn.test.")
    subnet = demo.network.create_subnet(
        network_id=net.id, ip_version=4, cidr="10.8.0.0/24")
    router = demo.network.create_router(
        name="guests", external_gateway_info={"network_id": public.id})
    demo.network.add_interface_to_router(router, subnet_id=subnet.id)
    demo.compute.create_keypair(
        name="guests", public_key=open(f"{key}.pub", encoding="ascii").read())
    group = demo.network.create_security_group(name="open")
    for protocol in "tcp", "icmp", "udp":
        demo.network.create_security_group_rule(
            security_group_id=group.id, direction="ingress",
            protocol=protocol)
    yield {"net": net, "public": public, "group": group}
    for fip in demo.network.ips(project_id=demo.current_project_id):
        demo.network.delete_ip(fip)
    for server in list(demo.compute.servers()):  # a test that failed
        demo.compute.delete_server(server)
        demo.compute.wait_for_delete(server, wait=60, interval=0.3)
    demo.compute.delete_keypair("guests")
    demo.network.remove_interface_from_router(router, subnet_id=subnet.id)
    demo.network.delete_router(router)
    demo.network.delete_network(net)
    demo.network.delete_security_group(group)


def boot(demo, lan, key, name, **more):
    """A server that answers SSH, its shell and its floating IP."""
    image = demo.image.find_image(IMAGE)
    flavor = demo.compute.find_flavor(FLAVOR)
    more.setdefault("image_id", image.id)
    more.setdefault("flavor_id", flavor.id)
    server = demo.compute.create_server(
        name=name, networks=[{"uuid": lan["net"].id}],
        key_name="guests", security_groups=[{"name": "open"}], **more)
    server = demo.compute.wait_for_server(server, wait=120, interval=0.3)
    port = next(demo.network.ports(device_id=server.id))
    fip = demo.network.create_ip(
        floating_network_id=lan["public"].id, port_id=port.id)
    return server, Ssh(fip.floating_ip_address, key).wait(), fip


def drop(demo, server, fip):
    demo.network.delete_ip(fip)
    demo.compute.delete_server(server)
    demo.compute.wait_for_delete(server, wait=60, interval=0.3)


def fetch(ssh, path):
    """HTTP GET by nc: what the guest's own init does.  Line ends come as
    "\\n": subprocess reads text."""
    answer = ssh(f"printf 'GET {path} HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n' | "
                 "nc -w 5 169.254.169.254 80")
    head, _, body = answer.partition("\n\n")
    return head.split()[1], body


def test_metadata_and_two_guests(demo, lan, key):
    script = b"#!/bin/sh\necho ran > /root/user-data-ran\n"
    one, ssh, fip = boot(
        demo, lan, key, "one", metadata={"colour": "blue"},
        user_data=base64.b64encode(script).decode())
    status, text = fetch(ssh, "/openstack/latest/meta_data.json")
    meta = json.loads(text)
    assert status == "200" and meta["uuid"] == one.id
    assert meta["meta"] == {"colour": "blue"}
    assert meta["hostname"].startswith("one")
    assert fetch(ssh, "/latest/meta-data/local-ipv4")[1].startswith("10.8.0.")
    assert fetch(ssh, "/latest/meta-data/hostname")[1].startswith("one")
    assert fetch(ssh, "/openstack/latest/user_data")[1].encode() == script
    assert fetch(ssh, "/openstack/latest/nothing")[0] == "404"
    wait_until("user data ran", lambda: ssh.try_run(
        "cat /root/user-data-ran").stdout.strip() == "ran", 20)

    two, other, fip2 = boot(demo, lan, key, "two", config_drive=True)
    assert "/dev/" in other("findfs LABEL=config-2")
    peer = next(iter(demo.network.ports(device_id=two.id))).fixed_ips[0][
        "ip_address"]
    ssh(f"ping -c 1 -W 5 {peer} || ping -c 2 -W 5 {peer}")
    drop(demo, two, fip2)
    drop(demo, one, fip)


def test_boot_from_volume(demo, lan, key):
    image = demo.image.find_image(IMAGE)
    server, ssh, fip = boot(
        demo, lan, key, "from-volume", image_id="",
        block_device_mapping_v2=[{
            "boot_index": 0, "uuid": image.id, "source_type": "image",
            "destination_type": "volume", "volume_size": 1,
            "delete_on_termination": True}])
    assert ssh("hostname").strip() == "from-volume"
    volumes = list(demo.block_storage.volumes())
    assert len(volumes) == 1 and volumes[0].status == "in-use"
    drop(demo, server, fip)
    wait_until("its volume goes with it",
               lambda: not list(demo.block_storage.volumes()), 30)


def test_security_group_closes(demo, lan, key):
    server, ssh, fip = boot(demo, lan, key, "closed")
    rules = [r for r in demo.network.security_group_rules(
        security_group_id=lan["group"].id) if r.protocol == "tcp"]
    for rule in rules:
        demo.network.delete_security_group_rule(rule)
    wait_until("SSH is closed", lambda: (
        lambda d: d is None or d.returncode != 0)(ssh.try_run("true")), 30)
    demo.network.create_security_group_rule(
        security_group_id=lan["group"].id, direction="ingress",
        protocol="tcp", port_range_min=22, port_range_max=22)
    ssh.wait(30)
    drop(demo, server, fip)


@pytest.fixture()
def roomy(admin):
    """A flavor with a disk of its own and swap."""
    made = admin.compute.create_flavor(
        name="roomy", ram=256, vcpus=1, disk=1, ephemeral=2, swap=64)
    yield made
    admin.compute.delete_flavor(made)


def test_ephemeral_and_swap(demo, lan, key, roomy):
    server, ssh, fip = boot(demo, lan, key, "roomy", flavor_id=roomy.id)
    sectors = ssh("cat /sys/block/vdb/size /sys/block/vdc/size").split()
    assert sectors == [str(2 << 21), str(64 << 11)]
    assert fetch(ssh, "/latest/meta-data/block-device-mapping/ephemeral0"
                 )[1] == "vdb"
    assert fetch(ssh, "/latest/meta-data/block-device-mapping/swap")[1] == "vdc"
    ssh("swapon /dev/vdc")
    assert "/dev/vdc" in ssh("cat /proc/swaps")
    ssh("echo kept | dd of=/dev/vdb conv=fsync 2>/dev/null")
    volume = demo.block_storage.create_volume(name="more", size=1)
    demo.block_storage.wait_for_status(volume, "available", interval=0.2)
    demo.compute.create_volume_attachment(server, volume_id=volume.id)
    demo.block_storage.wait_for_status(volume, "in-use", interval=0.2)
    wait_until("it is the fourth disk",
               lambda: ssh.try_run("test -b /dev/vdd").returncode == 0)
    demo.compute.reboot_server(server, "HARD")
    demo.compute.wait_for_server(server, wait=60, interval=0.3)
    wait_until("the guest is back", lambda: (
        lambda d: d and "kept" in d.stdout)(
            ssh.try_run("head -c 5 /dev/vdb")), 120)
    drop(demo, server, fip)
    demo.block_storage.wait_for_status(volume, "available", interval=0.2)
    demo.block_storage.delete_volume(volume)
    demo.block_storage.wait_for_delete(volume, interval=0.2)
    wait_until("its disks are gone", lambda: server.id not in on_node(
        "ls", "/var/lib/cairn/storage/disks").stdout)
