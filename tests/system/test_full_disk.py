"""A node whose disk is full: what clients are told, and that it ends well.

A pool of its own, whose data directory is a small file system; `ballast`
takes what is free in it, and gives it back.
"""
import os
import subprocess

import openstack
import pytest
from openstack.config import OpenStackConfig

from conftest import FLAVOR, IMAGE, ROOT, Cli, wait_until
from test_guest import boot, drop, lan  # noqa: F401 (a fixture)

NAME = "full"
HOME = ROOT / "build/node" / NAME
DATA = HOME / "fs/var/lib/cairn"
SIZE = 24 << 30  # of a file with holes
MB = 1 << 20


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    assert not check or done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def clouds():
    """A pool on a small disk; its clouds.yaml."""
    def down():
        run(ROOT / "scripts/node", "--name", NAME, "down", check=False)
        run("umount", DATA, check=False)
        run(ROOT / "scripts/down", "--name", NAME, check=False)
        disk.unlink(missing_ok=True)
    disk = HOME.parent / f"{NAME}.ext4"
    down()
    DATA.mkdir(parents=True)
    with open(disk, "wb") as f:
        f.truncate(SIZE)
    run("mkfs.ext4", "-q", "-m", "0", "-N", "20000", disk)
    run("mount", "-o", "loop,noinit_itable", disk, DATA)
    (DATA / "lost+found").rmdir()
    try:
        run(ROOT / "scripts/up", "--name", NAME)
        yield HOME / "clouds.yaml"
    finally:
        down()


@pytest.fixture(scope="module")
def demo(clouds):
    return openstack.connection.Connection(config=OpenStackConfig(
        load_envvars=False, config_files=[str(clouds)]).get_one(
            cloud="cairn-demo"))


@pytest.fixture(scope="module")
def cli(clouds):
    user = Cli("cairn-demo")
    user.env["OS_CLIENT_CONFIG_FILE"] = str(clouds)
    return user


class Ballast:
    path = DATA / "ballast"

    def fill(self, leave):
        """Takes all that is free but `leave` bytes, at once."""
        with open(self.path, "ab") as f:
            while (more := self.free() - leave) > 0:
                try:
                    os.posix_fallocate(f.fileno(), os.fstat(
                        f.fileno()).st_size, more)
                except OSError:
                    break

    @staticmethod
    def free():
        fs = os.statvfs(DATA)
        return fs.f_bavail * fs.f_frsize

    def drop(self):
        self.path.unlink(missing_ok=True)


@pytest.fixture()
def ballast():
    it = Ballast()
    yield it
    it.drop()


def files():
    """What storage keeps, by place."""
    return {place: sorted(os.listdir(DATA / "storage" / place)) for place in
            ("uploads", "images", "disks", "volumes", "snapshots", "tmp")}


def upload(demo, image, data):
    return demo.image.put(
        f"/images/{image.id}/file", data=data,
        headers={"Content-Type": "application/octet-stream"})


def test_upload(demo, cli, ballast, tmp_path):
    before = files()
    ballast.fill(24 * MB)
    image = demo.image.create_image(
        name="large", disk_format="raw", container_format="bare")
    data = os.urandom(40 * MB)
    answer = upload(demo, image, data)
    assert answer.status_code == 507, answer.text
    assert "space" in answer.text
    assert demo.image.get_image(image).status == "queued"
    wait_until("nothing is left of it", lambda: files() == before, 10)
    # As the user sees it.
    (tmp_path / "large").write_bytes(data)
    done = cli.run("image", "create", "larger", "--disk-format", "raw",
                   "--file", str(tmp_path / "large"))
    assert done.returncode != 0 and "space" in done.stderr, done.stderr
    # There is room again.
    ballast.drop()
    assert upload(demo, image, data).status_code == 204
    wait_until("it is active",
               lambda: demo.image.get_image(image).status == "active", 20)
    for made in list(demo.image.images(owner=demo.current_project_id)):
        demo.image.delete_image(made)
    wait_until("nothing is left of them", lambda: files() == before, 10)


def refused(request):
    """The status and the text of a request that must fail."""
    with pytest.raises(openstack.exceptions.HttpException) as e:
        request()
    return e.value.status_code, str(e.value)


@pytest.fixture()
def writer(demo, lan, key):  # noqa: F811
    """A guest with a volume that it can write to."""
    server, ssh, fip = boot(demo, lan, key, "writer")
    volume = demo.block_storage.create_volume(name="mine", size=1)
    demo.block_storage.wait_for_status(volume, "available", interval=0.2)
    demo.compute.create_volume_attachment(server, volume_id=volume.id)
    demo.block_storage.wait_for_status(volume, "in-use", interval=0.2)
    wait_until("the guest sees its disk",
               lambda: ssh.try_run("test -b /dev/vdb").returncode == 0)
    yield server, ssh, volume
    drop(demo, server, fip)
    demo.block_storage.wait_for_status(volume, "available", interval=0.2)
    demo.block_storage.delete_volume(volume)
    demo.block_storage.wait_for_delete(volume, interval=0.2)


def test_nothing_new_but_deletes(demo, cli, writer, ballast):
    block, compute = demo.block_storage, demo.compute
    server, ssh, volume = writer
    image = demo.image.find_image(IMAGE)
    flavor = compute.find_flavor(FLAVOR)
    spare = block.create_volume(size=1, name="spare")
    block.wait_for_status(spare, "available", interval=0.2)
    before = files()
    ballast.fill(0)
    for request in (
            lambda: block.create_volume(size=1, image_id=image.id, name="no"),
            lambda: block.create_snapshot(volume_id=spare.id, name="no"),
            lambda: demo.network.create_network(name="no"),
            lambda: demo.image.create_image(
                name="no", disk_format="raw", container_format="bare"),
            lambda: compute.create_server(
                name="no", image_id=image.id, flavor_id=flavor.id,
                networks="none")):
        status, text = refused(request)
        assert status == 507 and "full" in text, text
    done = cli.run("volume", "create", "--size", "1", "no")
    assert done.returncode != 0 and "full" in done.stderr, done.stderr
    assert files() == before
    # What is read is served, what runs runs, and what is to make room does.
    assert ssh("echo on") == "on\n"
    ssh("dd if=/dev/vdb of=/dev/null bs=1M count=1 2>/dev/null")
    block.delete_volume(spare)
    block.wait_for_delete(spare, interval=0.2)
    before["volumes"].remove(f"{spare.id}.qcow2")
    assert files() == before
    # The guest's own writes wait for room, and lose nothing.
    ssh("(dd if=/dev/urandom of=/tmp/seen bs=1M count=8 && "
        "dd if=/tmp/seen of=/dev/vdb bs=1M oflag=direct && sync && "
        "touch /tmp/written) >/dev/null 2>&1 </dev/null &")
    ballast.fill(0)
    wait_until("the guest waits", lambda: compute.get_server(
        server).power_state == 3, 30)
    assert compute.get_server(server).status == "ACTIVE"
    ballast.drop()
    wait_until("it has written", lambda: (
        lambda d: d and d.returncode == 0)(ssh.try_run("test -e /tmp/written")),
        60)
    ssh("dd if=/dev/vdb bs=1M count=8 2>/dev/null | cmp - /tmp/seen")
    # And new things are made.
    made = block.create_volume(size=1, image_id=image.id, name="yes")
    block.wait_for_status(made, "available", interval=0.2)
    block.delete_volume(made)
    block.wait_for_delete(made, interval=0.2)
    again = compute.create_server(name="yes", image_id=image.id,
                                  flavor_id=flavor.id, networks="none")
    again = compute.wait_for_server(again, wait=60, interval=0.3)
    compute.delete_server(again)
    compute.wait_for_delete(again, wait=60, interval=0.3)


def test_half_made(demo, ballast):
    """Room for records, and too little for what they are about."""
    block, compute = demo.block_storage, demo.compute
    before = files()
    raw = demo.image.create_image(
        name="of zeros and more", disk_format="raw", container_format="bare")
    assert upload(demo, raw, os.urandom(40 * MB)).status_code == 204
    volume = block.create_volume(size=1, image_id=raw.id, name="copied")
    block.wait_for_status(volume, "available", interval=0.2)
    kept = files()
    ballast.fill(24 * MB)
    answer = block.post(f"/volumes/{volume.id}/action", json={
        "os-volume_upload_image": {
            "image_name": "too large", "disk_format": "raw",
            "container_format": "bare"}})
    assert answer.status_code == 202, answer.text
    image_id = answer.json()["os-volume_upload_image"]["image_id"]
    wait_until("the image is given up", lambda: demo.image.get_image(
        image_id).status == "queued", 20)
    block.wait_for_status(volume, "available", interval=0.2)
    assert files() == kept
    ballast.drop()
    demo.image.delete_image(image_id)
    block.delete_volume(volume)
    block.wait_for_delete(volume, interval=0.2)
    demo.image.delete_image(raw)
    wait_until("nothing is left of them", lambda: files() == before, 10)
