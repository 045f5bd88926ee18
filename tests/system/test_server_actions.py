"""Rebuild, images of servers, shelving and resizing, seen from the guest."""
import pytest

from conftest import FLAVOR, IMAGE, wait_until
from test_guest import boot, drop, lan  # noqa: F401 (a fixture)


def act(demo, server, **body):
    """An action by its bare name: the SDK's helpers differ by version."""
    answer = demo.compute.post(f"/servers/{server.id}/action", json=body,
                               microversion="2.60")
    assert answer.ok, answer.text
    return answer


def reach(demo, server, status):
    """The server as it is when it has come to rest there.  Not by the SDK's
    wait: that believes what the object said before the action."""
    def there():
        now = demo.compute.get_server(server.id)
        assert now.status != "ERROR", now.fault
        return now.status == status and now.task_state is None
    wait_until(f"the server is {status}", there, 180)
    return demo.compute.get_server(server.id)


def memory_kib(ssh):
    return int(ssh("grep MemTotal /proc/meminfo").split()[1])


def root_gib(ssh):
    return int(ssh("cat /sys/block/vda/size")) * 512 / 2 ** 30


def mark(ssh, name):
    ssh(f"echo {name} >/root/{name}; sync")


def has(ssh, name):
    return ssh.try_run(f"cat /root/{name}").stdout.strip() == name


@pytest.fixture()
def bigger(admin, demo):
    """Flavors with more of everything, and with less disk."""
    small = demo.compute.find_flavor(FLAVOR)
    made = [admin.compute.create_flavor(
        name=name, ram=small.ram * 2, vcpus=2, disk=disk)
        for name, disk in (("bigger", small.disk + 2),
                           ("shorter", max(small.disk - 1, 0)))]
    yield made
    for flavor in made:
        admin.compute.delete_flavor(flavor)


def test_image_of_a_running_server_and_rebuild(demo, lan, key):  # noqa: F811
    server, ssh, fip = boot(demo, lan, key, "original")
    mark(ssh, "first")
    made = act(demo, server, createImage={"name": "snap"}).json()["image_id"]
    wait_until("the image is made",
               lambda: demo.image.get_image(made).status == "active", 120)
    image = demo.image.get_image(made)
    raw = demo.image.get(f"/images/{made}").json()
    assert raw["image_type"] == "snapshot", raw
    assert raw["instance_uuid"] == server.id
    mark(ssh, "second")
    wait_until("the task ends",
               lambda: demo.compute.get_server(server).task_state is None)

    act(demo, server, rebuild={"imageRef": image.id, "name": "again"})
    server = reach(demo, server, "ACTIVE")
    assert server.name == "again" and server.image.id == image.id
    ssh.wait()
    assert has(ssh, "first") and not has(ssh, "second")

    act(demo, server,
        rebuild={"imageRef": demo.image.find_image(IMAGE).id})
    reach(demo, server, "ACTIVE")
    ssh.wait()
    assert not has(ssh, "first")
    drop(demo, server, fip)
    demo.image.delete_image(image)


def test_resize(demo, lan, key, bigger):  # noqa: F811
    more, shorter = bigger
    server, ssh, fip = boot(demo, lan, key, "grows")
    mark(ssh, "before")
    ram, gib = memory_kib(ssh), root_gib(ssh)
    refused = demo.compute.post(
        f"/servers/{server.id}/action",
        json={"resize": {"flavorRef": shorter.id}})
    assert refused.status_code == 400, refused.text

    act(demo, server, resize={"flavorRef": more.id})
    server = reach(demo, server, "VERIFY_RESIZE")
    ssh.wait()
    assert memory_kib(ssh) > ram * 1.5 and root_gib(ssh) == gib + 2
    assert has(ssh, "before")
    mark(ssh, "after")
    act(demo, server, revertResize=None)
    reach(demo, server, "ACTIVE")
    ssh.wait()
    assert memory_kib(ssh) == ram and root_gib(ssh) == gib
    assert has(ssh, "before") and not has(ssh, "after")

    act(demo, server, resize={"flavorRef": more.id})
    reach(demo, server, "VERIFY_RESIZE")
    act(demo, server, confirmResize=None)
    server = reach(demo, server, "ACTIVE")
    ssh.wait()
    assert has(ssh, "before") and root_gib(ssh) == gib + 2
    drop(demo, server, fip)


def test_shelve(demo, admin, lan, key):  # noqa: F811
    server, ssh, fip = boot(demo, lan, key, "sleeper")
    mark(ssh, "kept")
    act(demo, server, shelve=None)
    server = reach(demo, server, "SHELVED_OFFLOADED")
    assert admin.compute.get_server(server.id).compute_host is None
    assert demo.image.find_image("sleeper-shelved").status == "active"
    act(demo, server, unshelve=None)
    reach(demo, server, "ACTIVE")
    ssh.wait()
    assert has(ssh, "kept")
    wait_until("its image goes",
               lambda: not demo.image.find_image("sleeper-shelved"))
    drop(demo, server, fip)
