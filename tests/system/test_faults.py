"""What dies comes back, and nothing answered is lost."""
import http.client
import ssl
import statistics
import threading
import time
from urllib.parse import urlsplit

import requests

from conftest import FLAVOR, IMAGE, on_node, wait_until


def pid_of(name):
    return on_node("sh", "-c", f"cat /run/node/{name}.pid 2>/dev/null || "
                   f"cat /run/cairn/services/{name}.pid").stdout.strip()


def face_pid():
    done = on_node("pgrep", "-P", pid_of("cairnd"), "-f", "cairnd",
                   check=False)
    return done.stdout.split()[0] if done.stdout.split() else None


def answers(demo):
    try:
        return demo.network.get("/networks?limit=1").status_code == 200
    except Exception:  # refused, reset, cut: not yet
        return False


def outage(session, strike):
    """Seconds from before strike() to the first answer after it."""
    url = session.get_endpoint(service_type="network").rstrip("/") + "/"

    def up():
        try:
            return requests.get(url, verify=session.verify,
                                timeout=2).status_code == 200
        except requests.RequestException:
            return False
    assert up()
    start = time.monotonic()
    strike()
    wait_until("the API answers again", up, 30, pause=0.01)
    return time.monotonic() - start


def test_the_face_comes_back(demo):
    """SPECIFICATION.md: within a second.  The median of five, since other
    work on the machine may delay one; and none may take three."""
    core = pid_of("cairnd")
    gaps = []
    for _ in range(5):
        was = face_pid()
        gaps.append(outage(demo.session,
                           lambda: on_node("kill", "-KILL", was)))
        wait_until("a new face", lambda: face_pid() not in (None, was))
    print("the face answered again after", [f"{g:.2f} s" for g in gaps])
    assert pid_of("cairnd") == core
    assert statistics.median(gaps) < 1
    assert max(gaps) < 3


def shown_certificate(url):
    host, port = url.hostname, url.port or 443
    return ssl.get_server_certificate((host, port))


def test_a_renewed_certificate_is_shown(demo):
    """The face takes it without a restart, and cuts nobody off."""
    url = urlsplit(demo.session.get_endpoint(service_type="network"))
    core, face, was = pid_of("cairnd"), face_pid(), shown_certificate(url)
    context = ssl.create_default_context(cafile=demo.session.verify)
    standing = http.client.HTTPSConnection(url.hostname, url.port,
                                           context=context, timeout=10)
    standing.request("GET", "/healthz")
    assert standing.getresponse().read()
    sock = standing.sock
    on_node("rm", "/var/lib/cairn/pki/api/server.crt")
    on_node("kill", "-HUP", core)
    wait_until("another certificate", lambda: shown_certificate(url) != was)
    assert answers(demo)  # the CA is the same
    standing.request("GET", "/healthz")
    assert standing.getresponse().status == 200
    assert standing.sock is sock
    assert (pid_of("cairnd"), face_pid()) == (core, face)


def test_kill_9_loses_nothing(demo, admin):
    """Writers write, the daemon is killed: what was answered is there."""
    limits = f"/quotas/{demo.current_project_id}"
    admin.network.put(limits, json={"quota": {"network": -1}})
    try:
        kill_under_writers(demo)
    finally:
        admin.network.delete(limits)


def kill_under_writers(demo):
    answered, stop = [], threading.Event()

    def write(n):
        i = 0
        while not stop.is_set():
            i += 1
            try:
                net = demo.network.create_network(name=f"w{n}-{i}")
                answered.append(net.id)
                time.sleep(0.05)  # enough of them, and not thousands
            except Exception:  # the daemon is away: not answered
                time.sleep(0.05)
    quota = demo.current_project_id
    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    try:
        for _ in range(3):
            wait_until("some writes", lambda n=len(answered):
                       len(answered) >= n + 4, 30)
            on_node("kill", "-KILL", pid_of("cairnd"))
    finally:
        stop.set()
        for t in threads:
            t.join()
    wait_until("the API answers", lambda: answers(demo), 30)
    there = {n.id for n in demo.network.networks(project_id=quota)}
    lost = set(answered) - there
    for net in demo.network.networks(project_id=quota):
        if net.name.startswith("w"):
            demo.network.delete_network(net)
    assert len(answered) >= 12 and not lost


def test_guests_outlive_the_daemon(demo):
    server = demo.compute.create_server(
        name="survivor", image_id=demo.image.find_image(IMAGE).id,
        flavor_id=demo.compute.find_flavor(FLAVOR).id, networks="none")
    server = demo.compute.wait_for_server(server, wait=120, interval=0.3)

    def qemu():
        return on_node("pgrep", "-f", f"qemu.*{server.id}").stdout.split()
    before = qemu()
    was = pid_of("cairnd")
    on_node("kill", "-KILL", was)
    wait_until("a new daemon", lambda: pid_of("cairnd") != was, 30)
    wait_until("the API answers", lambda: answers(demo), 30)
    assert qemu() == before
    assert demo.compute.get_server(server.id).status == "ACTIVE"
    demo.compute.delete_server(server)
    demo.compute.wait_for_delete(server, wait=60, interval=0.3)
    assert on_node("pgrep", "-f", f"qemu.*{server.id}",
                   check=False).stdout == ""
