"""A lab of three hosts with Ceph as its users' clients see it: the SDK, the
`openstack` command, and a shell in each guest by SSH.

Each thing seen is a line "ok  WHAT"; the first that is not ends it.  Times
are told as they are; the deadlines are those of a machine under load.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import openstack

from osc import Refused, osc, osc_json
from pool import ROOT, Lab

NAME = os.environ["LAB"]
CONF = "/etc/cairn/ceph.conf"
LONG_S = int(os.environ.get("PATIENCE", 240))
FAILURES = (subprocess.SubprocessError, openstack.exceptions.SDKException,
            RuntimeError, LookupError, OSError, Refused)
lab = Lab(NAME, os.environ.get("BUILD", "build"))
os.environ["OS_CLIENT_CONFIG_FILE"] = str(lab.dir / "clouds.yaml")


def say(text):
    print(f"ok  {text}", flush=True)


def fail(text):
    sys.exit(f"FAILED  {text}")


def expect(good, text):
    say(text) if good else fail(text)


def until(what, probe, seconds=LONG_S, pause=0.3):
    """The first true value of probe(), which may fail until then."""
    begun, why = time.monotonic(), ""
    while True:
        try:
            value = probe()
        except FAILURES as e:
            value, why = None, e
        if value:
            say(f"{what} ({time.monotonic() - begun:.1f} s)")
            return value
        if time.monotonic() - begun > seconds:
            fail(f"after {seconds} s: {what} {why}")
        time.sleep(pause)


def on(host, *command):
    return lab.on(host, *command)


def ceph(host, *command):
    return json.loads(on(host, "ceph", f"--conf={CONF}", *command,
                         "--format=json"))


def name_of(host):
    return "cairn" if host == "h1" else f"cairn-{host}"


def cloud(host="h1"):
    return openstack.connect(name_of(host))


def client(*words, host="h1"):
    """What the `openstack` command says."""
    return osc(name_of(host), *words)


def client_json(*words, host="h1"):
    return osc_json(name_of(host), *words)


def cairn(*words):
    """The administrator's own tool."""
    done = subprocess.run(
        ["bash", "-c", '. "$1" && shift && exec "$@"', "-",
         lab.dir / "openrc", lab.build / "cairn", *words],
        capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"cairn {' '.join(words)}: {done.stderr}")
    return done.stdout


class World:
    """What all parts share: a network, a key, and an administrator."""

    def __init__(self, first=()):
        """`first`: guests that boot while the pool grows, (name, host)."""
        self.hosts, self.guests = lab.hosts(), {}
        self.api = cloud()
        self.key = lab.dir / "ssh-key"
        self.make_network()
        cairn("policy", "rebalancing=off")
        for name, host in first:
            self.guests[name] = Guest(self, name, host)
        until("three monitors, three copies", self.is_whole)
        until("three vote on the state", lambda: on(
            "h1", "cat", "/var/lib/cairn/store").count(":2379") >= 3)

    def is_whole(self):
        pool = ceph("h1", "osd", "pool", "ls", "detail")[0]
        quorum = ceph("h1", "quorum_status")["quorum_names"]
        return len(quorum) == 3 and pool["size"] == 3 and \
            ceph("h1", "health")["status"] == "HEALTH_OK"

    def make_network(self):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        self.key], check=True, stdin=subprocess.DEVNULL)
        net = self.api.network
        self.net = net.create_network(name="lan")
        subnet = net.create_subnet(network_id=self.net.id, ip_version=4,
                                   name="lan", cidr="10.9.0.0/24")
        self.public = net.find_network("public")
        router = net.create_router(name="r", external_gateway_info={
            "network_id": self.public.id})
        net.add_interface_to_router(router, subnet_id=subnet.id)
        self.group = net.create_security_group(name="open")
        net.create_security_group_rule(security_group_id=self.group.id,
                                       direction="ingress", ether_type="IPv4")
        self.api.compute.create_keypair(
            name="lab", public_key=self.key.with_suffix(".pub").read_text())

    def guest(self, name, host):
        """One that answers; made when it is first asked for."""
        if name not in self.guests:
            self.guests[name] = Guest(self, name, host)
        return self.guests[name].waits()

    def clears(self):
        """What a part that failed has left running."""
        ours = {g.id for g in self.guests.values()}
        for server in self.api.compute.servers():
            if server.id not in ours:
                self.api.compute.delete_server(server)

    # --- volumes

    def volume(self, name, kind=None, **more):
        """One that is ready."""
        made = self.api.block_storage.create_volume(
            name=name, size=1, volume_type=kind, **more)
        self.volume_is(made, "available")
        return made

    def status(self, volume):
        return self.api.block_storage.get_volume(volume.id).status

    def volume_is(self, volume, status):
        until(f"volume {volume.name} is {status}",
              lambda: self.status(volume) == status)

    def has_gone(self, volume):
        self.api.block_storage.delete_volume(volume)
        until(f"volume {volume.name} is gone", lambda: not any(
            v.id == volume.id for v in self.api.block_storage.volumes()))

    def other(self, *hosts):
        return next(h for h in self.hosts if h not in hosts)


class Guest:
    """A server and its shell."""

    def __init__(self, world, name, host, **more):
        self.world, self.name = world, name
        self.api = world.api.compute
        more.setdefault("image_id",
                        world.api.image.find_image("cairn-guest").id)
        more.setdefault("flavor_id",
                        self.api.find_flavor("cairn.nano").id)
        self.server = self.api.create_server(
            name=name, networks=[{"uuid": world.net.id}], key_name="lab",
            security_groups=[{"name": world.group.name}],
            availability_zone=f"nova:{host}", **more)
        self.id = self.server.id
        self.ready = False

    def waits(self):
        if not self.ready:
            self.is_status("ACTIVE")
            port = next(self.world.api.network.ports(device_id=self.id))
            self.address = self.world.api.network.create_ip(
                floating_network_id=self.world.public.id,
                port_id=port.id).floating_ip_address
            self.answers()
            self.ready = True
        return self

    def answers(self):
        until(f"guest {self.name} answers", lambda: self.sh("true") == "")

    def get(self):
        return self.api.get_server(self.id)

    def host(self):
        return self.get().hypervisor_hostname

    def is_status(self, *wanted):
        return until(f"server {self.name} is {' or '.join(wanted)}",
                     lambda: (s := self.get()).status in wanted and s)

    def fault(self):
        """The SDK of Debian 12 does not show it."""
        shown = self.world.api.compute.get(f"/servers/{self.id}").json()
        return shown["server"]["fault"]["message"]

    def sh(self, command, seconds=60):
        done = subprocess.run(
            ["ssh", "-i", self.world.key, "-o", "StrictHostKeyChecking=no",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
             "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
             f"root@{self.address}", command], check=True, text=True,
            capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL)
        return done.stdout

    # --- its disks

    def attach(self, volume):
        """The device that the guest sees."""
        answer = self.api.post(
            f"/servers/{self.id}/os-volume_attachments", microversion="2.60",
            json={"volumeAttachment": {"volumeId": volume.id}})
        if answer.status_code != 200:
            return answer
        self.world.volume_is(volume, "in-use")
        return until(f"guest {self.name} sees volume {volume.name}",
                     lambda: self.device(volume))

    def device(self, volume):
        """By its serial number; "": it is not there."""
        return self.sh(
            'for d in /sys/block/vd*; do '
            f'[ "$(cat $d/serial)" != {volume.id[:20]} ] || '
            'echo /dev/${d##*/}; done').strip()

    def size(self, device):
        name = device.removeprefix("/dev/")
        return int(self.sh(f"cat /sys/block/{name}/size")) * 512

    def detach(self, volume, left="available"):
        answer = self.api.delete(
            f"/servers/{self.id}/os-volume_attachments/{volume.id}")
        if answer.status_code != 202:
            fail(f"detach: {answer.text}")
        until(f"volume {volume.name} has left {self.name}", lambda: not any(
            a["server_id"] == self.id for a in
            self.world.api.block_storage.get_volume(volume.id).attachments))
        self.world.volume_is(volume, left)

    def write(self, device, text, block=1):
        self.sh(f"echo {text} | dd of={device} bs=4096 seek={block} "
                "conv=sync,notrunc oflag=direct 2>/dev/null")

    def read(self, device, block=1):
        return self.sh(f"dd if={device} bs=4096 skip={block} count=1 "
                       "iflag=direct 2>/dev/null | tr -d '\\0'").strip()

    def act(self, body, good=(200, 202, 204), version="2.80"):
        answer = self.api.post(f"/servers/{self.id}/action", json=body,
                               microversion=version)
        if good and answer.status_code not in good:
            fail(f"{body}: {answer.status_code} {answer.text}")
        return answer

    def moves(self, host):
        """While it runs."""
        self.act({"os-migrateLive": {"host": host,
                                     "block_migration": "auto"}})
        until(f"{self.name} moves to {host} while it runs", lambda: (
            s := self.get()).status == "ACTIVE" and
            s.hypervisor_hostname == host and s.task_state is None)

    def xml(self):
        return on(self.host(), "virsh", "dumpxml", self.id)

    def delete(self):
        self.api.delete_server(self.id)
        until(f"server {self.name} is gone", lambda: not any(
            s.id == self.id for s in self.api.servers()), pause=0.05)
        self.world.guests.pop(self.name, None)


def refused(answer, status, words):
    """With a message that says why."""
    expect(answer.status_code == status and re.search(words, answer.text),
           f"refused ({status}): {answer.text[:300]}")


def node_dir(host):
    return pathlib.Path(ROOT / f"build/node/{NAME}-{host}")
