"""What tests/lab/recovery proves on its three hosts.

Each thing seen is a line "ok  WHAT"; the first that is not ends it.  Times
are told as they are; the deadlines are those of a machine under load.
"""
import re
import socket
import time

from hosts import NAME, ROOT, ceph, cloud, has_grown, lab, on, until


def cairn(host, *words):
    """The native API as that host answers it."""
    session = cloud(host).session
    base = cloud(host).config.auth["auth_url"].split("/identity")[0]
    return session.get(f"{base}/cairn/v1{'/'.join(('',) + words)}").json()


def make_network(api):
    """A network that floating addresses reach, open to all."""
    net = api.network.create_network(name="lan")
    sub = api.network.create_subnet(network_id=net.id, ip_version=4,
                                    name="lan", cidr="10.9.0.0/24")
    public = api.network.find_network("public")
    router = api.network.create_router(
        name="r", external_gateway_info={"network_id": public.id})
    api.network.add_interface_to_router(router, subnet_id=sub.id)
    group = api.network.create_security_group(name="open")
    api.network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", ether_type="IPv4")
    return net, public, group


def boot(api, name, host, net, group):
    return api.compute.create_server(
        name=name, networks=[{"uuid": net.id}],
        security_groups=[{"name": group.name}],
        image_id=api.image.find_image("cairn-guest").id,
        availability_zone=f"nova:{host}",
        flavor_id=api.compute.find_flavor("cairn.nano").id)


def float_to(api, server, public):
    port = next(api.network.ports(device_id=server.id))
    return api.network.create_ip(floating_network_id=public.id,
                                 port_id=port.id).floating_ip_address


def answers(address):
    """Its SSH says who it is."""
    with socket.create_connection((address, 22), timeout=1) as s:
        s.settimeout(1)
        return s.recv(16).startswith(b"SSH")


def is_silent(address):
    try:
        return not answers(address)
    except OSError:
        return True


def host_of(api, server):
    return api.compute.get_server(server.id).hypervisor_hostname


def status(host, server):
    return cloud(host).compute.get_server(server.id).status


def runs_on(host, server):
    return server.id in on(host, "virsh", "list", "--uuid")


def health(host, node):
    return cairn(host, "nodes", node)["health"]


def survives_a_power_cut(api, server, address, host, other):
    """The host loses its power; seconds until the server answers again."""
    lab("cut", host)
    start = time.monotonic()
    until(f"{host} has no power any more, the server is silent", lambda:
          is_silent(address), 10)
    until("it was started elsewhere", lambda:
          host_of(cloud(other), server) != host and status(other, server) ==
          "ACTIVE", 60)
    print(f"ok  {time.monotonic() - start:.1f} s after the cut", flush=True)
    until("it answers again", lambda: answers(address), 120, 0.1)
    seconds = time.monotonic() - start
    now = host_of(cloud(other), server)
    print(f"ok  it runs on {now}; {seconds:.1f} s after the cut", flush=True)
    return now


def comes_back(host, other, server):
    assert health(other, host) == "fenced"
    lab("boot", host)
    until(f"{host} is back in the pool", lambda:
          health(other, host) == "up", 120)
    assert not runs_on(host, server)
    assert not ceph(other, "osd", "dump")["blocklist"].get(
        f"{storage_address(other, host)}:0/0")


def storage_address(host, of):
    nodes = ceph(host, "mon", "dump")["mons"]
    return next(m["public_addrs"]["addrvec"][0]["addr"].rsplit(":", 1)[0]
                for m in nodes if m["name"] == of)


def three_vote(host):
    """Of two voters on the state none may die."""
    pki = "/var/lib/cairn/pki"
    net = (ROOT / f"build/lab/{NAME}/net").read_text()
    address = re.search(r"net=([\d.]+)", net)[1]
    members = on(host, "etcdctl", "--endpoints",
                 f"https://{address}.{int(host[1:]) + 1}:2379", "--cacert",
                 f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key",
                 f"{pki}/server.key", "member", "list").splitlines()
    return sum(", started, " in m and m.endswith(", false")
               for m in members) == 3


def main():
    api = cloud("h2")
    until("three monitors, three copies", lambda: has_grown("h1"), 120)
    until("three vote on the state", lambda: three_vote("h2"), 120)
    net, public, group = make_network(api)
    server = boot(api, "web", "h1", net, group)
    address = float_to(api, server, public)
    until("a server on h1 runs", lambda: status("h2", server) == "ACTIVE")
    start = time.monotonic()
    until("it answers", lambda: answers(address), 120)
    print(f"ok  it boots in {time.monotonic() - start:.1f} s", flush=True)
    now = survives_a_power_cut(api, server, address, "h1", "h2")
    comes_back("h1", "h2", server)
    until("all data has all its copies", lambda: has_grown("h2"), 120)
    third = next(h for h in ("h2", "h3") if h != now)
    survives_a_partition(server, address, now, third)
    works_as_before(api, now, net, group)


def works_as_before(api, host, net, group):
    """The host that was cut off: its own connections to Ceph, too."""
    server = boot(api, "second", host, net, group)
    until(f"{host} starts a new server", lambda:
          status(host, server) == "ACTIVE", 60)
    assert host_of(api, server) == host
    volume = api.block_storage.create_volume(size=1, name="v")
    until("a volume is made", lambda: api.block_storage.get_volume(
        volume.id).status == "available")


def survives_a_partition(server, address, host, other):
    """Its wires are cut, not its power: its guests must end by themselves."""
    lab("unplug", host, "ex0")
    lab("unplug", host, "st0")
    start = time.monotonic()
    until(f"{host} is cut off, the server is silent", lambda:
          is_silent(address), 10)
    until("it answers again", lambda: answers(address), 120, 0.1)
    print(f"ok  after {time.monotonic() - start:.1f} s", flush=True)
    until(f"{host} has stopped its guest by itself", lambda:
          not runs_on(host, server), 30)
    lab("heal")
    until(f"{host} is back in the pool", lambda:
          health(other, host) == "up", 120)
    assert not runs_on(host, server)
    # The gateway may be on its way back to that host for a moment.
    until("it answers still", lambda: answers(address))


if __name__ == "__main__":
    main()
