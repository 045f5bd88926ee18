"""What tests/lab/ceph-node proves on its node, with the users' own client.

Each thing seen is a line "ok  WHAT"; the first that is not ends it.
"""
import json
import os
import pathlib
import subprocess
import sys
import time

import openstack

ROOT = pathlib.Path(__file__).resolve().parents[2]
NODE = os.environ["CAIRN_NODE"]
CONF = "--conf=/etc/cairn/ceph.conf"


def node(*command):
    return subprocess.run([ROOT / "scripts/node", "--name", NODE, *command],
                          check=True, capture_output=True, text=True).stdout


def on_node(*command):
    return node("exec", *command)


def ceph(*command):
    return json.loads(on_node("ceph", CONF, *command, "--format=json"))


def rbd(*command):
    return json.loads(on_node("rbd", CONF, *command, "--format=json"))


def until(what, probe, seconds=60):
    """The first true value of probe(), which may fail until then."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = probe()
        except (subprocess.CalledProcessError, openstack.exceptions.
                SDKException):
            value = None
        if value:
            print(f"ok  {what}", flush=True)
            return value
        if time.monotonic() > end:
            sys.exit(f"FAILED after {seconds} s: {what}")
        time.sleep(0.2)


def osds_up():
    return ceph("osd", "stat")["num_up_osds"]


def pool():
    return ceph("osd", "pool", "ls", "detail")[0]


def boot(demo):
    net = demo.network.create_network(name="lan")
    demo.network.create_subnet(network_id=net.id, ip_version=4, name="lan",
                               cidr="10.9.0.0/24")
    return demo.compute.create_server(
        name="first", networks=[{"uuid": net.id}],
        image_id=demo.image.find_image("cairn-guest").id,
        flavor_id=demo.compute.find_flavor("cairn.nano").id)


def is_up(demo, server):
    text = demo.compute.get_server_console_output(server.id)["output"]
    return "press Enter" in text


def is_clone(server):
    info = rbd("info", f"rbd/disk.{server.id}")
    return info["parent"]["image"].startswith("image.")


def attach(demo, server, volume):
    demo.compute.create_volume_attachment(server, volume_id=volume.id)
    until("a volume is attached to the guest that runs", lambda:
          f"rbd/volume.{volume.id}" in on_node("virsh", "dumpxml",
                                               server.id))


def detach(demo, server, volume):
    demo.compute.delete_volume_attachment(volume.id, server)
    until("and taken off again", lambda: is_state(demo, volume, "available"))


def is_state(demo, volume, wanted):
    return demo.block_storage.get_volume(volume.id).status == wanted


def snapshot(demo, volume):
    block = demo.block_storage
    snap = block.create_snapshot(volume_id=volume.id, name="before")
    until("a snapshot", lambda:
          block.get_snapshot(snap.id).status == "available")
    copy = block.create_volume(size=2, snapshot_id=snap.id, name="copy")
    until("a volume of it", lambda: is_state(demo, copy, "available"))
    block.delete_volume(copy.id)
    block.delete_snapshot(snap.id)


def images(prefix):
    return [i for i in rbd("ls", "rbd") if i.startswith(prefix)]


def plug_in_disks():
    """One that is empty, one that is not."""
    at = "/var/lib/cairn/disks/"
    on_node("sh", "-c", f"truncate -s 10G {at}new.tmp {at}old.tmp &&"
            f" mkfs.ext4 -q -F {at}old.tmp && mv {at}old.tmp {at}old &&"
            f" mv {at}new.tmp {at}new")


def cut_power(demo, server):
    node("down", "--cut")
    node("up")
    until("after a power cut the guest is seen to be off", lambda:
          demo.compute.get_server(server.id).status == "SHUTOFF")
    demo.compute.start_server(server.id)
    until("and starts from its disk", lambda: is_up(demo, server))


def main():
    demo = openstack.connect(cloud="cairn-demo")
    assert osds_up() == 2 and pool()["size"] == 2
    plug_in_disks()
    server = boot(demo)
    volume = demo.block_storage.create_volume(size=1, name="data")
    until("a volume", lambda: is_state(demo, volume, "available"))
    until("a server is active", lambda:
          demo.compute.get_server(server.id).status == "ACTIVE")
    until("its root disk is a clone of the image", lambda: is_clone(server))
    until("the guest has booted", lambda: is_up(demo, server))
    attach(demo, server, volume)
    detach(demo, server, volume)
    snapshot(demo, volume)
    until("the new disk became an OSD", lambda: osds_up() == 3)
    until("the disk with data is left alone", lambda:
          "old is left alone: has data" in node("log"))
    node("kill", "ceph-disk-1", "KILL")
    until("an OSD that was killed is back", lambda: osds_up() == 3)
    until("all data has all its copies", lambda:
          ceph("health")["status"] == "HEALTH_OK")
    if os.environ.get("CUT"):
        cut_power(demo, server)
    demo.block_storage.delete_volume(volume.id)
    demo.compute.delete_server(server.id)
    until("nothing is left", lambda: not images("volume.") and
          not images("disk.") and not images("snapshot."))


main()
