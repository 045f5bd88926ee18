"""A pool of several hosts (tests/lab/lab): they join, and are one.

make check-lab; LAB names the lab (check), which is made and removed here.
"""
import datetime
import os
import pathlib
import random
import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import openstack
import pytest

import live
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = os.environ.get("LAB", "check")
BUILD = ROOT / os.environ.get("BUILD", "build")


def lab(*words, check=True):
    done = subprocess.run([ROOT / "tests/lab/lab", "--name", NAME, *words],
                          capture_output=True, text=True, timeout=300,
                          errors="replace",
                          stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise AssertionError(f"lab {' '.join(words)}:\n{done.stdout}"
                             f"{done.stderr}")
    return done


def on(host, *words, check=True):
    return lab("on", host, *words, check=check)


def wait_until(what, test, seconds=90):
    end = time.monotonic() + seconds
    while not (got := test()):
        assert time.monotonic() < end, f"{what}: not after {seconds} s"
        time.sleep(0.2)
    return got


def cloud(host):
    os.environ["OS_CLIENT_CONFIG_FILE"] = \
        str(ROOT / f"build/lab/{NAME}/clouds.yaml")
    return openstack.connect("cairn" if host == "h1" else f"cairn-{host}")


def log_of(host):
    return (ROOT / f"build/node/{NAME}-{host}/log/node/cairnd.log").read_text()


@pytest.fixture(scope="module", autouse=True)
def pool():
    lab("down", check=False)
    try:
        lab("up", "3")
        yield
    finally:
        lab("down")


def hypervisors(host):
    return {h.name: h for h in cloud(host).compute.hypervisors(details=True)}


def answers(host):
    try:
        return hypervisors(host)
    except Exception:  # refused, reset, cut: not yet
        return None


def is_reached(host):
    """Its machine takes a connection: at once, for all are on this one."""
    url = urlsplit(cloud(host).config.auth["auth_url"])
    try:
        socket.create_connection((url.hostname, url.port or 443), 1).close()
    except OSError:
        return False
    return True


def test_three_hosts_are_one_pool():
    for host in ("h1", "h2", "h3"):
        wait_until(f"{host} sees all", lambda: set(hypervisors(host)) ==
                   {"h1", "h2", "h3"})
    for host, number in (("h2", 3), ("h3", 4)):
        url = cloud(host).session.get_endpoint(service_type="compute")
        assert f".{number}/compute" in url, "the catalogue is that of the node"


HOSTS = ("h1", "h2", "h3")


def status(answer, *wanted):
    """Which is not from memory, and one of these."""
    assert "X-Cairn-Unconfirmed" not in answer.headers, answer.headers
    assert answer.status_code in wanted, f"{answer.request.method} " \
        f"{answer.url}: {answer.status_code} {answer.text}"
    return answer


def make_and_unmake(apis, number, times):
    """Networks; each step through another host than the one before."""
    turns = random.Random(number)

    def another(last=[None]):
        last[0] = turns.choice([h for h in HOSTS if h != last[0]])
        return apis[last[0]]
    for i in range(times):
        name = f"hop-{number}-{i}"
        made = status(another().post("/networks", json={
            "network": {"name": name}}), 201).json()["network"]["id"]
        at = f"/networks/{made}"
        status(another().get(at), 200)
        listed = another().get(f"/networks?name={name}").json()["networks"]
        assert [n["id"] for n in listed] == [made]
        status(another().put(at, json={"network": {"name": f"{name}-2"}}), 200)
        shown = status(another().get(at), 200).json()["network"]
        assert shown["name"] == f"{name}-2"
        assert not another().get(f"/networks?name={name}").json()["networks"]
        status(another().delete(at), 204)
        status(another().get(at), 404)
        status(another().delete(at), 404)
        listed = another().get(f"/networks?name={name}-2").json()["networks"]
        assert not listed


def test_what_one_answers_any_other_shows_at_once():
    """Without a pause between, three clients at once."""
    with ThreadPoolExecutor() as pool:
        clients = [pool.submit(make_and_unmake, {
            h: cloud(h).network for h in HOSTS}, n, 60) for n in range(3)]
        for client in clients:
            client.result()


def test_who_is_known_to_one_is_known_to_any_other():
    """Users, their tokens, and the end of these."""
    admin = {h: cloud(h).identity for h in HOSTS}
    for i in range(6):
        a, b, c = (HOSTS[(i + n) % 3] for n in range(3))
        user = admin[a].create_user(name=f"u-{i}", password="s3cr3t-word")

        def tokens(host, method, **headers):
            return admin[host].request("/auth/tokens", method,
                                       authenticated=False, **headers)
        token = status(tokens(b, "POST", json={"auth": {"identity": {
            "methods": ["password"], "password": {"user": {
                "id": user.id, "password": "s3cr3t-word"}}}}}),
            201).headers["X-Subject-Token"]
        own = {"X-Auth-Token": token, "X-Subject-Token": token}
        status(tokens(c, "GET", headers=own), 200)
        status(tokens(a, "DELETE", headers=own), 204)
        status(tokens(b, "GET", headers=own), 401)
        admin[c].delete_user(user.id)
        status(admin[a].get(f"/users/{user.id}"), 404)


def plug(host, name, port):
    """A guest that is a namespace with the port's MAC and address."""
    address = port.fixed_ips[0]["ip_address"]
    on(host, "bash", "-ec", f"""
        ip netns add {name}
        ip link add v-{name} type veth peer name eth0 netns {name}
        ip link set v-{name} up
        ip netns exec {name} ip link set lo up
        ip netns exec {name} ip link set eth0 address {port.mac_address} \
            mtu 1442 up
        ip netns exec {name} ethtool -K eth0 tx off
        ip netns exec {name} ip addr add {address}/24 dev eth0
        ip netns exec {name} ip route add default via 10.9.0.1
        ovs-vsctl add-port br-int v-{name} -- \
            set Interface v-{name} external_ids:iface-id={port.id}""")
    return address


def pings(host, name, address):
    return on(host, "ip", "netns", "exec", name, "busybox", "ping", "-c", "1",
              "-W", "1", address, check=False).returncode == 0


def test_guests_on_different_hosts_reach_each_other():
    net = cloud("h1").network
    network = net.create_network(name="across")
    subnet = net.create_subnet(network_id=network.id, ip_version=4,
                               cidr="10.9.0.0/24", name="across")
    router = net.create_router(name="across", external_gateway_info={
        "network_id": net.find_network("public").id})
    net.add_interface_to_router(router, subnet_id=subnet.id)
    where = {}
    for host in ("h1", "h2", "h3"):
        port = net.create_port(network_id=network.id, name=host,
                               port_security_enabled=False)
        where[host] = plug(host, f"g-{host}", port)
    for a in where:
        for b, address in where.items():
            if a != b:
                wait_until(f"{a} pings {b}",
                           lambda: pings(a, f"g-{a}", address))
        ours = re.search(r"net=([\d.]+)", (
            ROOT / f"build/lab/{NAME}/net").read_text())[1]
        wait_until(f"{a} pings the machine",
                   lambda: pings(a, f"g-{a}", f"{ours}.1"))


def test_ovn_has_three_voters():
    for db, name in (("nb", "OVN_Northbound"), ("sb", "OVN_Southbound")):
        def members():
            text = on("h1", "ovs-appctl", "-t", f"/run/ovn/ovn{db}_db.ctl",
                      "cluster/status", name).stdout
            return len(set(re.findall(r"at ssl:([\d.]+):", text))) == 3
        wait_until(f"{db} has three members", members)


def etcdctl(host, *words):
    pki = "/var/lib/cairn/pki"
    address = re.search(r"net=([\d.]+)", (
        ROOT / f"build/lab/{NAME}/net").read_text())[1]
    return on(host, "etcdctl", "--endpoints",
              f"https://{address}.{int(host[1:]) + 1}:2379", "--cacert",
              f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key",
              f"{pki}/server.key", *words, check=False).stdout


def voters(host):
    """Names of those that vote and are started, as a host's etcd has them."""
    return {words[2] for line in etcdctl(host, "member", "list").splitlines()
            if (words := line.split(", "))[1] == "started"
            and words[5] == "false"}


def leader(host):
    got = etcdctl(host, "get", "cairn/election/leader",
                  "--print-value-only").strip()
    return got if re.fullmatch(r"h\d+", got) else None


def test_the_state_has_three_voters():
    wait_until("three vote", lambda: voters("h2") == {"h1", "h2", "h3"}, 120)
    for host in ("h1", "h2", "h3"):
        def knows():
            return on(host, "cat", "/var/lib/cairn/store").stdout.count(
                ":2379") == 3
        wait_until(f"{host} knows all", knows)
    assert leader("h2") == "h1", "who founded goes on leading"


ENDED = ("completed", "error", "cancelled")


@pytest.fixture(scope="module")
def mover():
    """A guest with a disk of its host's that it writes to all the time."""
    return live.Mover(
        cloud("h1"), "h1", lambda host, server: ROOT / "build/node"
        f"/{NAME}-{host}/fs/var/lib/cairn/guests/{server}/console.log")


def goes_on(mover):
    before = mover.written()
    wait_until("the guest writes", lambda: mover.written() > before, 120)
    assert mover.is_whole(), mover.console()
    # Whole, with what it had written before it came here.
    return before


def move_ends(mover, pinger=None):
    wait_until("the move ends", lambda: mover.move()["status"] in ENDED, 180)
    wait_until("the server rests", lambda: mover.get().status == "ACTIVE")
    if pinger:
        sent = pinger.sent  # all before it are answered by then, or lost
        wait_until("echoes come back", lambda: pinger.newest > sent)
        gap, lost = pinger.end()
        print(f"longest gap {gap:.3f} s, {lost} echoes lost")


def test_a_console_is_read_through_any_host(mover):
    goes_on(mover)
    for host in HOSTS:
        said = cloud(host).compute.get_server_console_output(
            mover.id, length=20)["output"]
        assert "synced=" in said, f"{host}: {said}"
        assert len(said.splitlines()) <= 20


def test_a_guest_moves_there_and_back(mover):
    goes_on(mover)
    for to in ("h2", "h1"):
        written, pinger = mover.written(), live.Pinger(mover.address)
        mover.migrate(to)
        move_ends(mover, pinger)
        assert (mover.move()["status"], mover.host()) == ("completed", to)
        goes_on(mover)
        assert mover.written() > written, "it goes on where it was"


def test_a_move_is_aborted(mover):
    at = mover.host()
    mover.migrate()
    wait_until("it moves", lambda: mover.move()["status"] == "running")
    assert mover.abort().status_code in (202, 400)
    move_ends(mover)
    if mover.move()["status"] == "cancelled":  # else it was too late
        assert mover.host() == at
    goes_on(mover)


def test_cairnd_dies_while_a_guest_moves(mover):
    at = mover.host()
    mover.migrate("h2" if at == "h1" else "h1")
    wait_until("it moves", lambda: mover.move()["status"] == "running")
    on(at, "sh", "-c", "kill -KILL $(cat /run/node/cairnd.pid)")

    def ended():
        try:
            return mover.move()["status"] in ENDED
        except Exception:  # refused, reset: not yet
            return False
    wait_until("the move ends", ended, 180)
    wait_until("the pool answers", lambda: answers("h1"))
    move_ends(mover)
    here = [h for h in ("h1", "h2", "h3")
            if "running" in on(h, "virsh", "list", "--all").stdout]
    assert here == [mover.host()], "it runs once, where the record says"
    goes_on(mover)


def client(*words):
    """An administrator's own: python-openstackclient."""
    done = subprocess.run(
        ["openstack", *words], capture_output=True, text=True, timeout=300,
        stdin=subprocess.DEVNULL, env=os.environ | {
            "OS_CLOUD": "cairn", "OS_CLIENT_CONFIG_FILE":
            str(ROOT / f"build/lab/{NAME}/clouds.yaml")})
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def files_of(host, server):
    return list((ROOT / f"build/node/{NAME}-{host}/fs/var/lib/cairn/storage")
                .glob(f"disks/*{server}*"))


def restarted(mover, written):
    """It has begun again with all that it had written."""
    def checked():
        last = re.findall(r"check gens=\d+ last=(\d+)", mover.console())
        return last and int(last[-1]) >= written
    wait_until("the guest finds its blocks", checked, 180)
    goes_on(mover)


def is_at(mover, status, host):
    wait_until(f"it is {status}", lambda: mover.get().status == status, 180)
    assert mover.host() == host


def test_a_guest_goes_cold_and_is_taken_back(mover):
    at, written = mover.host(), mover.written()
    to = "h2" if at != "h2" else "h1"
    client("server", "migrate", "--host", to, "--os-compute-api-version",
           "2.56", "--wait", mover.id)
    is_at(mover, "VERIFY_RESIZE", to)
    restarted(mover, written)
    assert files_of(at, mover.id), "the old disk stays until it is confirmed"
    client("server", "migrate", "revert", mover.id)
    is_at(mover, "ACTIVE", at)
    restarted(mover, written)
    wait_until("nothing is left there", lambda: not files_of(to, mover.id))
    listed = client("server", "migration", "list", "--server", mover.id,
                    "--os-compute-api-version", "2.59", "-f", "value")
    assert "reverted" in listed and "migration" in listed


def test_a_guest_is_resized_and_goes_cold(mover):
    at, written = mover.host(), mover.written()
    client("flavor", "create", "--ram", "160", "--vcpus", "1", "--disk", "2",
           "mover.2")
    client("server", "resize", "--flavor", "mover.2", "--wait", mover.id)
    restarted(mover, written)
    client("server", "resize", "confirm", mover.id)
    wait_until("it is confirmed", lambda: mover.get().status == "ACTIVE")
    at, written = mover.host(), mover.written()
    client("server", "stop", mover.id)
    wait_until("it is off", lambda: mover.get().status == "SHUTOFF")
    client("server", "migrate", "--wait", mover.id)
    to = mover.host()
    assert to != at
    client("server", "migrate", "confirm", mover.id)
    wait_until("it is confirmed", lambda: mover.get().status == "SHUTOFF")
    wait_until("nothing is left there", lambda: not files_of(at, mover.id))
    client("server", "start", mover.id)
    is_at(mover, "ACTIVE", to)
    restarted(mover, written)


def test_a_drained_host_is_empty(mover):
    at = mover.host()
    cairn("node", "drain", at)
    wait_until("the guest has left", lambda: mover.host() != at, 180)
    move_ends(mover)
    goes_on(mover)
    cairn("node", "undrain", at)
    mover.delete()


def test_a_fourth_joins():
    lab("add")
    for host in ("h1", "h4"):
        wait_until(f"{host} sees h4", lambda: "h4" in hypervisors(host))


def test_a_host_that_lost_power_comes_back():
    lab("cut", "h3")
    assert set(hypervisors("h2")) >= {"h1", "h2", "h3"}, "the others go on"
    lab("boot", "h3")
    wait_until("h3 answers", lambda: set(hypervisors("h3")) >=
               {"h1", "h2", "h3"})
    assert "joined the pool" in log_of("h3")


def first_write(network, until):
    """Seconds until a write is answered; how often it was refused."""
    start, refused = time.monotonic(), 0
    while True:
        try:
            network.create_network(name=f"after-{refused}")
            return time.monotonic() - start, refused
        except Exception:  # no quorum yet, or the connection is a dead one
            refused += 1
            assert time.monotonic() - start < until, "no write is answered"
            time.sleep(0.1)


def slowest_read(network, wanted, seconds):
    end, slowest = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        start = time.monotonic()
        assert network.find_network(wanted), "what was answered is there"
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(0.05)
    return slowest


def test_the_founder_loses_power_and_the_pool_goes_on():
    """It led, and was the first voter: reads go on, writes after a moment."""
    h2, h3 = cloud("h2").network, cloud("h3").network
    h2.find_network("public"), h3.find_network("public")  # tokens
    before = cloud("h1").network.create_network(name="before").id
    with ThreadPoolExecutor() as pool:
        cut = pool.submit(lab, "cut", "h1")
        start = time.monotonic()
        wait_until("the wires are cut", lambda: not is_reached("h1"))
        read = pool.submit(slowest_read, h3, before, 4)
        gap, refused = first_write(h2, 60)
        wait_until("another leads",
                   lambda: leader("h3") in ("h2", "h3"))
        led = time.monotonic() - start
        cut.result()
        slowest = read.result()
    print(f"write gap {gap:.2f} s ({refused} refused), "
          f"leader after {led:.2f} s, slowest read {slowest:.3f} s")
    assert slowest < 5, "reads go on"  # how fast: make bench-lab
    assert h2.find_network("after-0" if not refused else f"after-{refused}")
    lab("boot", "h1")
    wait_until("h1 answers", lambda: answers("h1"))
    for host in ("h1", "h2", "h3"):
        assert cloud(host).network.find_network(before), host
    wait_until("h1 votes again", lambda: voters("h1") == {"h1", "h2", "h3"})


def test_the_copy_of_a_disk_is_refused():
    """h3's state on h4: the same identity twice."""
    lab("cut", "h4")
    var = "fs/var/lib/cairn"
    h3, h4 = (ROOT / f"build/node/{NAME}-{h}/{var}" for h in ("h3", "h4"))
    kept = h4.with_name("cairn.own")
    subprocess.run(["sh", "-ec", f"mv {h4} {kept}; mkdir -m 711 {h4};"
                    f"cp -a {h3}/pool.json {h3}/pki {h3}/store {h4}"],
                   check=True)
    boot_until("h4", "lives (")
    subprocess.run(["sh", "-ec", f"rm -rf {h4}; mv {kept} {h4}"], check=True)
    lab("boot", "h4")
    wait_until("h4 is a member again", lambda: answers("h4"))


def test_cairnd_killed_its_daemons_stay():
    before = on("h2", "cat", "/run/cairn/services/libvirtd.pid").stdout
    on("h2", "sh", "-c", "kill -KILL $(cat /run/node/cairnd.pid)")
    wait_until("h2 answers again", lambda: answers("h2"))
    assert on("h2", "cat", "/run/cairn/services/libvirtd.pid").stdout == before


def cairn(*words, check=True):
    env = {k.split("=")[0][7:]: k.split("=", 1)[1] for k in (
        ROOT / f"build/lab/{NAME}/openrc").read_text().splitlines()
        if k.startswith("export OS_")}
    done = subprocess.run([BUILD / "cairn", *words], capture_output=True,
                          text=True, env={**os.environ, **env})
    assert not check or done.returncode == 0, done.stderr
    return done


def pki(host, name):
    return ROOT / f"build/node/{NAME}-{host}/fs/var/lib/cairn/pki/{name}"


PORTS = {"API": 443, "peers": 6780, "etcd": 2379, "etcd's peers": 2380,
         "OVN north": 6641, "OVN south": 6642, "OVN north RAFT": 6643,
         "OVN south RAFT": 6644, "libvirt": 16514}


def shown(host, port):
    """The certificate that who listens there shows; PEM."""
    address = re.search(r"net=([\d.]+)", (
        ROOT / f"build/lab/{NAME}/net").read_text())[1]
    own = "/var/lib/cairn/pki/server"
    text = on(host, "timeout", "5", "openssl", "s_client", "-connect",
              f"{address}.{int(host[1:]) + 1}:{port}", "-alpn",
              "h2,http/1.1" if port != 6780 else "cairn-ceph/1",
              "-cert", f"{own}.crt", "-key", f"{own}.key", check=False).stdout
    found = re.search(r"-----BEGIN CERT.*?END CERTIFICATE-----", text, re.S)
    return found and found[0]


CERTS = "server.crt", "api/server.crt"


def shows_its_file(host):
    def own(name):
        text = pki(host, CERTS[name == "API"]).read_text()
        return text.split("-----END")[0].strip()
    for name, port in PORTS.items():
        wait_until(f"{host}: {name} shows the new certificate", lambda: (
            shown(host, port) or "").startswith(own(name)), 60)


def test_a_renewed_certificate_is_shown_by_all_without_a_restart():
    def pids(host):  # libvirtd alone is started anew
        return on(host, "sh", "-c", "cd /run/cairn/services; grep . "
                  "/run/node/cairnd.pid $(ls *.pid | grep -v libvirtd)").stdout
    before = {h: pids(h) for h in ("h1", "h2")}
    for host in before:
        files = [pki(host, cert) for cert in CERTS]
        were = [file.read_text() for file in files]
        for file in files:
            file.unlink()
        on(host, "sh", "-c", "kill -HUP $(cat /run/node/cairnd.pid)")
        wait_until(f"{host} has others", lambda: all(
            file.exists() and file.read_text() != was
            for file, was in zip(files, were)))
        shows_its_file(host)
    for host, were in before.items():
        assert pids(host) == were
    # Who has to connect anew shows the new one too.
    on("h1", "sh", "-c", "kill -KILL $(cat /run/cairn/services/etcd.pid)")
    wait_until("h1 answers", lambda: answers("h1"))
    wait_until("three vote", lambda: voters("h2") == {"h1", "h2", "h3"}, 120)


def expire(host):
    """Its certificate ended a year ago; the key stays."""
    load = x509.load_pem_x509_certificate
    ca = load(pki(host, "ca.crt").read_bytes())
    old = load(pki(host, "server.crt").read_bytes())
    key = serialization.load_pem_private_key(
        pki(host, "ca.key").read_bytes(), None)
    end = datetime.datetime.utcnow() - datetime.timedelta(days=365)
    new = x509.CertificateBuilder(
        ca.subject, old.subject, old.public_key(),
        x509.random_serial_number(), end - datetime.timedelta(days=397), end)
    for e in old.extensions:
        new = new.add_extension(e.value, e.critical)
    pki(host, "server.crt").write_bytes(new.sign(
        key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def test_a_pool_that_was_switched_off_for_a_year_starts():
    hosts = ("h1", "h2", "h3")
    made = cloud("h2").network.create_network(name="last-year").id
    for host in hosts:
        lab("cut", host)
        expire(host)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda h: lab("boot", h), hosts))
    for host in hosts:
        wait_until(f"{host} answers", lambda: answers(host), 90)
        assert cloud(host).network.find_network(made), host
        shows_its_file(host)
    wait_until("three vote", lambda: voters("h2") == set(hosts), 120)


def test_join_secrets():
    text = cairn("join-secret", "create", "--once", "--hours", "1").stdout
    secret = re.fullmatch(r"cairn-([0-9a-f]{8})-[0-9a-f]{32}\n", text)
    assert secret, text
    listed = cairn("join-secret", "list").stdout
    assert secret[1] in listed and text.strip() not in listed
    cairn("join-secret", "revoke", secret[1])
    assert secret[1] not in cairn("join-secret", "list").stdout
    assert cairn("join-secret", "revoke", secret[1], check=False).returncode


def boot_blank(host, words):
    """Its state is gone; it tries to join and must be refused."""
    subprocess.run(["sh", "-c", f"rm -rf {ROOT}/build/node/{NAME}-{host}"
                    "/fs/var/lib/cairn/*"], check=True)
    boot_until(host, words)


def boot_until(host, words):
    boot = subprocess.Popen(
        [ROOT / "scripts/node", "--name", f"{NAME}-{host}", "up"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL)
    wait_until(f"{host} is refused: {words}", lambda: words in log_of(host))
    lab("cut", host)
    boot.wait(60)


def test_a_second_of_the_same_name_is_refused():
    lab("cut", "h4")
    boot_blank("h4", "there is a member h4 already")


def test_a_wrong_secret_is_refused():
    etc = ROOT / f"build/node/{NAME}-h4/fs/etc/cairn/join-secret"
    right = etc.read_text()
    etc.write_text(right[:-2] + ("0" if right[-2] != "0" else "1") + "\n")
    boot_blank("h4", "who answers does not know the join secret")


def test_a_node_that_lives_is_not_removed():
    done = cairn("node", "remove", "h2", check=False)
    assert done.returncode and "alive" in done.stderr
    assert "h2" in cairn("node", "show", "h2").stdout
