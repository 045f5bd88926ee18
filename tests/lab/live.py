"""A guest that writes and answers, for the tests of moves between hosts."""
import base64
import os
import re
import socket
import struct
import threading
import time

START = b"""#!/bin/sh
printf '#!/bin/sh\\nwriter /dev/vda\\n' >/root/at-boot
chmod 755 /root/at-boot
sync
/root/at-boot >/dev/ttyS0 2>&1 &
"""


class Pinger:
    """An echo every 10 ms; the longest time without an answer."""

    def __init__(self, address):
        self.address, self.sent, self.got = address, 0, {}
        self.newest = 0  # number of the last echo that was answered
        self.mark, self.over = os.getpid() & 0xffff, False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW,
                                    socket.IPPROTO_ICMP)
        self.socket.settimeout(0.05)
        self.threads = [threading.Thread(target=f, daemon=True)
                        for f in (self.send, self.receive)]
        for thread in self.threads:
            thread.start()

    def echo(self, number):
        words = [0x0800, 0, self.mark, number & 0xffff]
        total = sum(words)
        while total >> 16:
            total = (total >> 16) + (total & 0xffff)
        words[1] = ~total & 0xffff
        return struct.pack("!4H", *words)

    def send(self):
        while not self.over:
            self.sent += 1
            try:
                self.socket.sendto(self.echo(self.sent), (self.address, 0))
            except OSError:
                pass
            time.sleep(0.01)

    def receive(self):
        while not self.over:
            try:
                packet, _ = self.socket.recvfrom(2048)
            except OSError:
                continue
            kind, _, _, mark, number = struct.unpack("!BBHHH", packet[20:28])
            if kind == 0 and mark == self.mark:
                self.got[number] = time.monotonic()
                self.newest = max(self.newest, number)

    def end(self):
        """(longest gap in seconds, echoes lost)"""
        self.over = True
        for thread in self.threads:
            thread.join()
        self.socket.close()
        at = sorted(self.got.values())
        gap = max((b - a for a, b in zip(at, at[1:])), default=None)
        return gap, self.sent - len(self.got)


class Mover:
    """The server, by its user's API and an administrator's."""

    def __init__(self, cloud, host, console, name="mover"):
        """`console`: the file of a guest's console, by host and server id."""
        self.cloud, self.compute = cloud, cloud.compute
        self.console_of = console
        self.network(name)
        self.server = self.compute.create_server(
            name=name, networks=[{"uuid": self.net.id}], config_drive=True,
            availability_zone=f"nova:{host}",
            user_data=base64.b64encode(START).decode(),
            image_id=cloud.image.find_image("cairn-guest").id,
            flavor_id=self.compute.find_flavor("cairn.nano").id)
        self.id = self.server.id
        self.compute.wait_for_server(self.server, wait=180)
        port = next(cloud.network.ports(device_id=self.id))
        self.fip = cloud.network.create_ip(
            floating_network_id=cloud.network.find_network("public").id,
            port_id=port.id)
        self.address = self.fip.floating_ip_address

    def network(self, name):
        net = self.cloud.network
        self.net = net.create_network(name=name)
        subnet = net.create_subnet(network_id=self.net.id, ip_version=4,
                                   cidr="10.8.0.0/24", name=name)
        self.router = net.create_router(name=name, external_gateway_info={
            "network_id": net.find_network("public").id})
        net.add_interface_to_router(self.router, subnet_id=subnet.id)
        group = next(g for g in net.security_groups(name="default")
                     if g.project_id == self.net.project_id)
        if not any(r.protocol == "icmp" for r in
                   net.security_group_rules(security_group_id=group.id)):
            net.create_security_group_rule(security_group_id=group.id,
                                           direction="ingress",
                                           protocol="icmp")

    def get(self):
        return self.compute.get_server(self.id)

    def host(self):
        return self.get().hypervisor_hostname

    def console(self):
        """What it said on the node where it is; each begins a new file."""
        file = self.console_of(self.host(), self.id)
        return file.read_text(errors="replace") if file.exists() else ""

    def written(self):
        """How many blocks the guest has synced, as it last said."""
        said = re.findall(r"synced=(\d+)", self.console())
        return int(said[-1]) if said else 0

    def is_whole(self):
        return not re.search(r"DOUBLE|panic|bad=[1-9]|strange=[1-9]|I/O error",
                             self.console())

    def migrate(self, host=None):
        answer = self.compute.post(
            f"/servers/{self.id}/action", microversion="2.80",
            json={"os-migrateLive": {"host": host, "block_migration": "auto"}})
        assert answer.status_code == 202, answer.text

    def move(self):
        """The newest move of the server."""
        return self.compute.get(
            f"/os-migrations?instance_uuid={self.id}",
            microversion="2.80").json()["migrations"][0]

    def abort(self):
        return self.compute.delete(
            f"/servers/{self.id}/migrations/{self.move()['id']}",
            microversion="2.80")

    def delete(self):
        self.compute.delete_server(self.id)
        self.compute.wait_for_delete(self.server, wait=60)
