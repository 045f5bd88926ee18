"""Networks over the hosts of a pool: addresses, tunnels, groups, floating
addresses and the metadata service the same on all; what a lost gateway or a
lost database costs.

Guests are namespaces on br-int with the ports of real servers, which run
on their hosts without a system and without the port.
"""
import re
import subprocess
import time

import pytest

from test_lab import (  # noqa: F401
    NAME, ROOT, cloud, lab, leader, log_of, on, pool, wait_until)

HOSTS = ("h1", "h2", "h3")
V4, V6, MTU = "10.9.0", "fd00:9", 1442


def guest(name, *words, check=False):
    return on(name[-2:], "ip", "netns", "exec", name, *words, check=check)


def works(name, *words):
    return guest(name, *words).returncode == 0


def pings(name, address, *words):
    return works(name, "busybox", "ping", "-c", "1", "-W", "1", *words, address)


def greets(name, address, seconds=3):
    return "hello" in guest(name, "timeout", str(seconds), "busybox", "nc",
                            address, "80").stdout


def machine_pings(address):
    return subprocess.run(["busybox", "ping", "-c", "1", "-W", "1", address],
                          capture_output=True).returncode == 0


class Cloud:
    """A routed network with a guest and a server on each host."""

    def __init__(self):
        c = cloud("h1")
        self.net, self.compute, self.storage = (
            c.network, c.compute, c.block_storage)
        public = self.net.find_network("public").id
        self.network = self.net.create_network(name="across").id
        four = self.net.create_subnet(
            network_id=self.network, ip_version=4, cidr=f"{V4}.0/24").id
        six = self.net.create_subnet(
            network_id=self.network, ip_version=6, cidr=f"{V6}::/64",
            ipv6_ra_mode="slaac", ipv6_address_mode="slaac").id
        self.router = self.net.create_router(
            name="across", external_gateway_info={"network_id": public}).id
        for subnet in (four, six):
            self.net.add_interface_to_router(self.router, subnet_id=subnet)
        self.web = self.group("web")
        self.plain = self.group("plain")
        self.net.create_security_group_rule(
            security_group_id=self.web, direction="ingress", protocol="tcp",
            port_range_min=80, port_range_max=80, remote_group_id=self.web)
        self.disks = self.disks_of_all()
        self.ports = {g: self.port(self.plain if g == self.stranger
                                   else self.web) for g in self.disks}
        self.servers = {g: self.server(g, p) for g, p in self.ports.items()}
        for server in self.servers.values():
            self.compute.wait_for_server(server, wait=120)
        self.floating = {g: self.net.create_ip(
            floating_network_id=public, port_id=p.id).floating_ip_address
            for g, p in self.ports.items()}
        for name, port in self.ports.items():
            plug(name, port)

    def group(self, name):
        made = self.net.create_security_group(name=name).id
        for version, protocol in (("IPv4", "icmp"), ("IPv6", "ipv6-icmp")):
            self.net.create_security_group_rule(
                security_group_id=made, direction="ingress",
                protocol=protocol, ethertype=version)
        return made

    def disks_of_all(self):
        """An empty disk on each host, and one more: they go where they like,
        and servers to where their disks are."""
        disks = {}
        self.stranger = None
        while len(disks) <= len(HOSTS):
            made = self.storage.create_volume(size=1)
            host = self.storage.wait_for_status(
                made, "available", wait=60).host.split("@")[0]
            name = f"g-{host}" if f"g-{host}" not in disks else f"p-{host}"
            if name[0] == "p" and self.stranger:
                self.storage.delete_volume(made)
                continue
            self.stranger = name if name[0] == "p" else self.stranger
            self.storage.set_volume_bootable_status(made, True)
            disks[name] = made.id
        return disks

    def server(self, name, port):
        flavor = min(self.compute.flavors(), key=lambda f: f.ram)
        return self.compute.create_server(
            name=name, flavor_id=flavor.id, networks=[{"port": port.id}],
            block_device_mapping=[{
                "boot_index": 0, "source_type": "volume",
                "destination_type": "volume", "uuid": self.disks[name]}])

    def port(self, group):
        return self.net.create_port(network_id=self.network,
                                    security_group_ids=[group])

    def address(self, name, version=4):
        return next(ip["ip_address"] for ip in self.ports[name].fixed_ips
                    if (":" in ip["ip_address"]) == (version == 6))


def plug(name, port):
    """A guest without an address, that greets whoever asks its port 80."""
    on(name[-2:], "bash", "-ec", f"""
        ip netns add {name}
        ip link add v-{name} type veth peer name eth0 netns {name}
        ip link set v-{name} up
        ip netns exec {name} ip link set lo up
        ip netns exec {name} ip link set eth0 address {port.mac_address} \
            mtu {MTU} up
        ip netns exec {name} ethtool -K eth0 tx off
        ovs-vsctl --bare --columns=name find Interface \
            external_ids:iface-id={port.id} | xargs -r ovs-vsctl del-port
        ovs-vsctl add-port br-int v-{name} -- \
            set Interface v-{name} external_ids:iface-id={port.id}
        setsid ip netns exec {name} busybox nc -ll -p 80 -e echo hello \
            </dev/null >/dev/null 2>&1 &""")


@pytest.fixture(scope="module")
def world(pool):  # noqa: F811
    for host in HOSTS:
        wait_until(f"{host} sees all", lambda: set(HOSTS) <= {
            h.name for h in cloud(host).compute.hypervisors()}, 60)
    return Cloud()


def test_addresses_by_dhcp_on_every_host(world):
    for name in world.ports:
        wait_until(f"{name} gets a lease", lambda: works(
            name, "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-t", "5",
            "-T", "1", "-O", "mtu", "-O", "staticroutes", "-s",
            str(ROOT / "tests/lab/lease")), 60)
        shown = guest(name, "ip", "addr", "show", "eth0").stdout
        assert f"{world.address(name)}/24" in shown and f"mtu {MTU}" in shown


def test_guests_reach_each_other_with_whole_frames(world):
    for a in world.ports:
        for b in world.ports:
            if a != b:
                wait_until(f"{a} pings {b}", lambda: pings(
                    a, world.address(b), "-s", str(MTU - 28)))


def test_groups_hold_between_hosts(world):
    for a, b in (("g-h1", "g-h2"), ("g-h2", "g-h3"), ("g-h3", "g-h1")):
        wait_until(f"{a} is greeted by {b}",
                   lambda: greets(a, world.address(b)))
    for b in ("g-h1", "g-h2", "g-h3"):
        assert not greets(world.stranger, world.address(b), 1), "no group"
        assert not greets(b, world.address(world.stranger), 1), "closed"


def test_floating_addresses_on_every_host(world):
    for name, address in world.floating.items():
        wait_until(f"{name} answers outside", lambda: machine_pings(address))
        for other in world.ports:
            wait_until(f"{other} pings {name} at {address}",
                       lambda: pings(other, address))


def metadata(name):
    return guest(name, "bash", "-c", """
        exec 3<>/dev/tcp/169.254.169.254/80
        printf 'GET /openstack/latest/meta_data.json HTTP/1.0\\r\\n\\r\\n' >&3
        timeout 5 cat <&3""").stdout


def test_metadata_on_every_host(world):
    for name, server in world.servers.items():
        wait_until(f"metadata for {name}",
                   lambda: server.id in metadata(name), 60)


def test_ipv6_by_advertisement(world):
    for name in world.ports:
        wait_until(f"{name} has an IPv6 address", lambda: world.address(
            name, 6) in guest(name, "ip", "-6", "addr").stdout, 60)
    for a in world.ports:
        for b in world.ports:
            if a != b:
                wait_until(f"{a} pings {b} by IPv6", lambda: pings(
                    a, world.address(b, 6), "-s", str(MTU - 48)))


def test_ipv6_by_dhcp(world):
    network = world.net.create_network(name="stateful").id
    subnet = world.net.create_subnet(
        network_id=network, ip_version=6, cidr="fd00:a::/64",
        ipv6_ra_mode="dhcpv6-stateful", ipv6_address_mode="dhcpv6-stateful")
    world.net.add_interface_to_router(world.router, subnet_id=subnet.id)
    address = {}
    for name in ("d-h1", "d-h3"):
        port = world.net.create_port(network_id=network,
                                     security_group_ids=[world.plain])
        plug(name, port)
        mine = address[name] = port.fixed_ips[0]["ip_address"]
        wait_until(f"{name} is given its address", lambda: guest(
            name, ROOT / "tests/lab/dhcp6", "eth0",
            port.mac_address).stdout.strip() == mine, 60)
        guest(name, "ip", "addr", "add", f"{mine}/64", "dev", "eth0",
              "nodad", check=True)
        wait_until(f"{name} has a router", lambda: "default via fe80" in guest(
            name, "ip", "-6", "route").stdout)
    wait_until("they reach each other", lambda: pings("d-h1", address["d-h3"]))
    wait_until("... and through the router", lambda: pings(
        "d-h1", world.address("g-h2", 6)))


def gateway_of(world):
    """The host that carries the router's floating addresses."""
    text = on("h2", "ovn-sbctl", "--no-leader-only", "--bare",
              "--columns=chassis", "find", "Port_Binding",
              "type=chassisredirect", check=False).stdout.strip()
    return text and on("h2", "ovn-sbctl", "--no-leader-only", "--bare",
                       "--columns=name", "list", "Chassis",
                       text).stdout.strip()


def leader_of(database, ctl):
    for host in HOSTS:
        said = on(host, "ovs-appctl", "-t", f"/run/ovn/{ctl}", "cluster/status",
                  database, check=False).stdout
        if re.search(r"^Role: leader", said, re.M):
            return host
    return None


def test_the_databases_lose_their_leader(world):
    """What is written then takes effect: the group lets another in."""
    wait_until("a leader", lambda: leader_of("OVN_Northbound", "ovnnb_db.ctl"))
    for database, ctl in (("OVN_Northbound", "ovnnb_db"),
                          ("OVN_Southbound", "ovnsb_db")):
        host = leader_of(database, f"{ctl}.ctl")
        on(host, "sh", "-c", f"kill -KILL $(cat /run/ovn/{ctl}.pid)")
    start = time.monotonic()
    world.net.create_security_group_rule(
        security_group_id=world.web, direction="ingress", protocol="tcp",
        port_range_min=80, port_range_max=80, remote_group_id=world.plain)
    wait_until("the rule holds", lambda: all(
        greets(world.stranger, world.address(f"g-{h}")) for h in HOSTS), 60)
    print(f"databases without leaders: {time.monotonic() - start:.1f} s")


def test_the_databases_speak_to_members_only(world):
    pki = "/var/lib/cairn/pki"
    member = ("-p", f"{pki}/server.key", "-c", f"{pki}/server.crt",
              "-C", f"{pki}/ca.crt")
    net = re.search(r"net=([\d.]+)", (
        ROOT / f"build/lab/{NAME}/net").read_text())[1]

    def answer(kind, port, *words):
        return "OVN_" in on("h2", "timeout", "3", "ovsdb-client", *words,
                            "list-dbs", f"{kind}:{net}.2:{port}",
                            check=False).stdout
    assert answer("ssl", 6642, *member)
    for port in (6641, 6642):
        assert not answer("tcp", port), "plain text"
        assert not answer("ssl", port, "-p", "none", "-c", "none", "-C",
                          f"{pki}/ca.crt"), "no certificate"


def term():
    said = on("h2", "ovn-nbctl", "--no-leader-only", "get", "NB_Global", ".",
              "external_ids:cairn\\:term", check=False).stdout
    return int(said.strip().strip('"') or 0)


def test_a_leader_that_slept_writes_no_more(world):
    old, before = wait_until("a leader", lambda: leader("h2")), term()
    assert before
    lab("kill", old, "cairnd", "STOP")
    awake = next(h for h in HOSTS if h != old)
    start = time.monotonic()
    wait_until("another leads",
               lambda: leader(awake) not in (None, old), 60)
    wait_until("it writes", lambda: term() > before, 60)
    print(f"leader asleep: {time.monotonic() - start:.1f} s")
    after = term()
    lab("kill", old, "cairnd", "CONT")
    wait_until("the old one knows", lambda:
               "leads the pool no more" in log_of(old), 60)
    assert term() == after
    assert pings("g-h1", world.address("g-h2"))


def test_the_gateway_loses_power(world):
    host = wait_until("a gateway", lambda: gateway_of(world))
    stays = next(g for g in world.ports if g[-2:] != host)
    address = world.floating[stays]
    wait_until("it answers", lambda: machine_pings(address))
    cut = subprocess.Popen([ROOT / "tests/lab/lab", "--name", NAME, "cut",
                            host], stdout=subprocess.DEVNULL)
    wait_until("it is cut off", lambda: not machine_pings(address), 20)
    start = time.monotonic()
    wait_until(f"{stays} answers again", lambda: machine_pings(address), 60)
    print(f"gateway {host} cut: {time.monotonic() - start:.1f} s")
    cut.wait(120)
    others = [g for g in world.ports if g[-2:] not in (host, stays[-2:])]
    for name in others:
        assert pings(stays, world.address(name)), "tunnels are as they were"
        wait_until(f"{name} answers outside",
                   lambda: machine_pings(world.floating[name]))
