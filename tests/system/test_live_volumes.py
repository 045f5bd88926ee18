"""Copies of a volume that a guest is writing to, and of what it was."""
import time

import pytest

from conftest import on_node, wait_until
from test_guest import boot, drop, lan  # noqa: F401 (a fixture)

# Numbered blocks of 512 bytes, each on the disk before the next is written:
# whatever is a copy of one moment holds 1 .. n without a gap, then zeros.
WRITER = r"""
i=0
while [ ! -e /stop ]; do
    printf '%511d\n' $((i + 1)) |
        dd of=/dev/vdb bs=512 seek=$i conv=notrunc,fsync 2>/dev/null || exit
    i=$((i + 1))
    echo $i >/written
done
"""
READER = r"""dd if={dev} bs=1M count=64 2>/dev/null | tr -d '\0' |
awk '$1 + 0 != NR {{ print "block", NR, "holds", $1; exit }}
     END {{ print NR }}'"""


def written(ssh):
    return int(ssh("cat /written").strip() or 0)


def blocks(ssh, dev):
    """How many blocks a disk holds, the first is 1 and none is missing."""
    ssh("sync; echo 3 >/proc/sys/vm/drop_caches")
    text = ssh(READER.format(dev=dev)).split("\n")
    assert len(text) == 2 and text[0].isdigit(), text
    return int(text[0])


@pytest.fixture()
def writer(demo, lan, key):  # noqa: F811
    """A guest that writes to its second disk, /dev/vdb."""
    server, ssh, fip = boot(demo, lan, key, "writer")
    volume = demo.block_storage.create_volume(name="live", size=1)
    demo.block_storage.wait_for_status(volume, "available", interval=0.2)
    demo.compute.create_volume_attachment(server, volume_id=volume.id)
    demo.block_storage.wait_for_status(volume, "in-use", interval=0.2)
    wait_until("the guest sees its disk",
               lambda: ssh.try_run("test -b /dev/vdb").returncode == 0)
    ssh(f"cat >/writer <<'END'\n{WRITER}END\n"
        "rm -f /stop; (setsid sh /writer >/dev/null 2>&1 </dev/null &)")
    wait_until("it writes", lambda: (ssh.try_run("cat /written").stdout or
                                     "0").strip() not in ("", "0"))
    yield server, ssh, volume
    drop(demo, server, fip)
    for made in list(demo.block_storage.snapshots()):  # a test that failed
        demo.block_storage.delete_snapshot(made)
        demo.block_storage.wait_for_delete(made, interval=0.2)
    for made in list(demo.block_storage.volumes()):
        demo.block_storage.wait_for_status(made, "available", interval=0.2)
        demo.block_storage.delete_volume(made)
        demo.block_storage.wait_for_delete(made, interval=0.2)


def snapshot(demo, volume, name, force=True):
    made = demo.block_storage.create_snapshot(
        volume_id=volume.id, name=name, force=force)
    return demo.block_storage.wait_for_status(
        made, "available", failures=["error"], interval=0.1, wait=60)


def inspect(demo, server, ssh, volume):
    """The blocks in a volume, read by the guest as another disk."""
    demo.block_storage.wait_for_status(
        volume, "available", failures=["error"], interval=0.2, wait=60)
    demo.compute.create_volume_attachment(server, volume_id=volume.id)
    demo.block_storage.wait_for_status(volume, "in-use", interval=0.2)
    wait_until("the guest sees it",
               lambda: ssh.try_run("test -b /dev/vdc").returncode == 0)
    n = blocks(ssh, "/dev/vdc")
    # Not by the SDK's call: its arguments change places between versions.
    assert demo.compute.delete(
        f"/servers/{server.id}/os-volume_attachments/{volume.id}"
    ).status_code == 202
    demo.block_storage.wait_for_status(volume, "available", interval=0.2)
    demo.block_storage.delete_volume(volume)
    demo.block_storage.wait_for_delete(volume, interval=0.2)
    return n


def test_snapshots_while_it_writes(demo, writer):
    server, ssh, volume = writer
    before = written(ssh)
    first = snapshot(demo, volume, "first")
    between = written(ssh)
    second = snapshot(demo, volume, "second")
    after = written(ssh)
    wait_until("it goes on writing", lambda: written(ssh) > after)
    assert blocks(ssh, "/dev/vdb") > after
    block = demo.block_storage
    n = inspect(demo, server, ssh, block.create_volume(
        size=1, snapshot_id=first.id, name="of the first"))
    assert before <= n <= between + 1
    # The first goes while its layer is in use.
    block.delete_snapshot(first)
    block.wait_for_delete(first, interval=0.2)
    m = inspect(demo, server, ssh, block.create_volume(
        size=1, snapshot_id=second.id, name="of the second"))
    assert between <= m <= after + 1 and m >= n
    block.delete_snapshot(second)
    block.wait_for_delete(second, interval=0.2)
    # From scratch, with the file that the record names.
    ssh("touch /stop")
    time.sleep(0.5)
    end = written(ssh)
    demo.compute.reboot_server(server, "HARD")
    time.sleep(1)
    demo.compute.wait_for_server(server, wait=60, interval=0.3)
    ssh.wait()
    assert blocks(ssh, "/dev/vdb") == end


def test_clone_and_image_while_it_writes(demo, writer):
    server, ssh, volume = writer
    block = demo.block_storage
    before = written(ssh)
    clone = block.create_volume(size=1, source_volume_id=volume.id,
                                name="clone")
    block.wait_for_status(clone, "available", failures=["error"],
                          interval=0.1, wait=60)
    after = written(ssh)
    assert before <= inspect(demo, server, ssh, clone) <= after + 1
    before = written(ssh)
    made = block.post(f"/volumes/{volume.id}/action", json={
        "os-volume_upload_image": {
            "image_name": "live", "disk_format": "qcow2",
            "container_format": "bare", "force": True}})
    assert made.status_code == 202, made.text
    image_id = made.json()["os-volume_upload_image"]["image_id"]
    image = wait_until("the image is filled", lambda: (
        lambda i: i if i.status == "active" else None)(
            demo.image.get_image(image_id)))
    assert block.get_volume(volume).status == "in-use"
    copy = block.create_volume(size=1, image_id=image.id, name="of the image")
    assert inspect(demo, server, ssh, copy) >= before
    demo.image.delete_image(image)
    wait_until("it goes on writing",
               lambda: written(ssh) > after)


def test_crashes_while_snapshots_are_taken(demo, writer):
    _, ssh, volume = writer
    block = demo.block_storage
    for i in range(3):
        made = block.create_snapshot(volume_id=volume.id, force=True,
                                     name=f"crash {i}")
        time.sleep(0.03 * i)
        old = core_pid()
        on_node("kill", "-KILL", old)
        # Its face may answer once more before it ends.
        wait_until("another core runs", lambda: core_pid() != old, 30)
        wait_until("the API is back", lambda: is_up(demo), 30)
        block.wait_for_status(made, "available", failures=["error"],
                              interval=0.2, wait=60)
        block.delete_snapshot(made)
        block.wait_for_delete(made, interval=0.2)
    now = written(ssh)
    wait_until("it goes on writing", lambda: written(ssh) > now)
    assert blocks(ssh, "/dev/vdb") > now


def core_pid():
    return on_node("cat", "/run/node/cairnd.pid").stdout.strip()


def is_up(demo):
    try:
        return list(demo.block_storage.types())
    except Exception:  # noqa: BLE001 (whatever a client makes of it)
        return False
