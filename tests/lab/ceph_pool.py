"""What tests/lab/ceph-pool proves on its three hosts.

Each thing seen is a line "ok  WHAT"; the first that is not ends it.
"""
import functools
import hashlib
import os
import subprocess

import hosts
from hosts import CONF, NAME, ROOT, cloud, has_grown, lab, on

until = functools.partial(hosts.until, seconds=240)
BUILD = ROOT / os.environ.get("BUILD", "build")
HOSTS = ("h1", "h2", "h3")


def pattern(host, what, volume, byte):
    """Writes or reads (and compares) 64 KiB of a volume, by the rbd driver
    of QEMU, as a guest on that host would."""
    return on(host, "qemu-io", "-f", "raw", "-c", f"{what} -P {byte} 0 64k",
              f"rbd:rbd/volume.{volume.id}:id=cairn:conf={CONF}")


def is_read(host, volume, byte):
    out = pattern(host, "read", volume, byte)
    return "65536/65536" in out and "verification failed" not in out


def knows_all(host):
    """ceph.conf names the monitors of all."""
    return on(host, "grep", "^mon_host", CONF).count("v2:172.") == 3


def is_state(api, volume, wanted):
    return api.block_storage.get_volume(volume.id).status == wanted


def new_volume(host, name):
    api = cloud(host)
    volume = api.block_storage.create_volume(size=1, name=name)
    until(f"a volume made on {host}", lambda:
          is_state(api, volume, "available"))
    return volume


def upload(host):
    data = os.urandom(512) + bytes(3 << 20)
    image = cloud(host).create_image(
        "raw", data=data, disk_format="raw", container_format="bare",
        wait=True, timeout=60)
    print(f"ok  an image is uploaded on {host}", flush=True)
    return image, hashlib.md5(data).hexdigest()


def download(host, image, md5):
    got = cloud(host).image.download_image(image.id, stream=False)
    return hashlib.md5(got.content).hexdigest() == md5


def boot(api, host):
    net = api.network.create_network(name="lan")
    api.network.create_subnet(network_id=net.id, ip_version=4, name="lan",
                              cidr="10.9.0.0/24")
    return api.compute.create_server(
        name="first", networks=[{"uuid": net.id}],
        image_id=api.image.find_image("cairn-guest").id,
        availability_zone=f"nova:{host}",
        flavor_id=api.compute.find_flavor("cairn.nano").id)


def is_up(api, server):
    text = api.compute.get_server_console_output(server.id)["output"]
    return "press Enter" in text


def attach(api, server, volume, host):
    api.compute.create_volume_attachment(server, volume_id=volume.id)
    until(f"the guest on {host} gets it while it runs", lambda:
          f"rbd/volume.{volume.id}" in on(host, "virsh", "dumpxml",
                                          server.id))


def cairn(*words):
    """The administrator's own tool."""
    done = subprocess.run(
        ["bash", "-c", '. "$1" && shift && exec "$@"', "-",
         ROOT / f"build/lab/{NAME}/openrc", BUILD / "cairn", *words],
        check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def disk(osd):
    """Its line in the list, as words; None: it is no more."""
    for line in cairn("disk", "list").splitlines():
        if osd in line.split():
            return line.split(None, 6)
    return None


def disk_leaves():
    """Not while there would be too few for all copies."""
    osd = next(d.split()[4] for d in cairn("disk", "list").splitlines()
               if d.startswith("h2"))
    cairn("disk", "remove", osd)
    until("the disk of h2 cannot leave: there is none for its copies",
          lambda: "too few" in disk(osd)[6])
    lab("adddisk", "h2")
    until("with another disk it gives its data away and leaves",
          lambda: not disk(osd))
    until("and all data has all its copies", lambda: has_grown("h1"))


def main():
    h1 = cloud("h1")
    until("three monitors, three copies", lambda: has_grown("h1"))
    for host in HOSTS:
        until(f"{host} knows the monitors", lambda: knows_all(host))
    volume = new_volume("h1", "data")
    pattern("h1", "write", volume, 0x5a)
    until("h3 reads what h1 wrote", lambda: is_read("h3", volume, 0x5a))
    image, md5 = upload("h3")
    until("h2 serves it", lambda: download("h2", image, md5))
    server = boot(h1, "h2")
    until("a server on h2 boots from a clone", lambda:
          is_up(cloud("h2"), server))
    attach(h1, server, volume, "h2")
    lab("cut", "h3")
    print("ok  h3 has no power any more: a monitor and a disk less",
          flush=True)
    second = new_volume("h2", "second")
    pattern("h1", "write", second, 0xa5)
    until("what is written meanwhile is read", lambda:
          is_read("h2", second, 0xa5))
    lab("boot", "h3")
    until("h3 is back and all data has all its copies", lambda:
          has_grown("h3"))
    until("it reads what was written without it", lambda:
          is_read("h3", second, 0xa5))
    disk_leaves()


if __name__ == "__main__":
    main()
