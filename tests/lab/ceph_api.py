"""What tests/lab/ceph-api proves: the volumes of a real Ceph pool through the
OpenStack API, as clients and guests see them (docs/storage.md)."""
import base64
import hashlib
import hmac
import pathlib
import re
import sys
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from osc import Refused, refusal
from api_lab import (CONF, FAILURES, Guest, World, cairn, client, client_json, expect,
                     fail, lab, node_dir, on, refused, say, until)

IOPS = 50
# What a guest writes, so that it is found again where it should not be.
SECRET, PLAIN = "this-is-nobody-elses-business", "this-may-be-read-by-all"


# --- types and limits


def kind(name, *words):
    """A volume type, unless it is there."""
    if name not in {t["Name"] for t in client_json("volume", "type", "list")}:
        client("volume", "type", "create", *words, name)
    return name


def slow_kind():
    kind("slow", "--property", "cairn:storage=replicated")
    if not client_json("volume", "qos", "list"):
        client("volume", "qos", "create", "--consumer", "front-end",
               "--property", f"total_iops_sec={IOPS}", "fifty")
        client("volume", "qos", "associate", "fifty", "slow")
    return "slow"


def secret_kind():
    return kind("secret", "--encryption-provider", "luks",
                "--encryption-cipher", "aes-xts-plain64",
                "--encryption-key-size", "256",
                "--encryption-control-location", "front-end")


def shared_kind():
    return kind("shared", "--property", "multiattach=<is> True")


def images_of(host="h1"):
    return on(host, "rbd", f"--conf={CONF}", "--id=cairn", "ls").split()


def types(world):
    """A pool with Ceph begins with two, and volumes are where these say."""
    names = {t["Name"] for t in client_json("volume", "type", "list")}
    expect({"replicated", "local"} <= names, f"types at first: {names}")
    first = client("volume", "type", "list", "--default", "-f", "value")
    expect("replicated" in first, "replicated is the default")
    far, near = (world.volume(t, t) for t in ("replicated", "local"))
    images = images_of()
    expect(f"volume.{far.id}" in images, "a replicated one is in Ceph")
    expect(f"volume.{near.id}" not in images and any(
        list(node_dir(h).glob(f"fs/var/lib/cairn/storage/volumes/{near.id}*"))
        for h in world.hosts), "a local one is a file of one node")
    plain = world.volume("plain")
    expect(world.api.block_storage.get_volume(plain).volume_type ==
           "replicated", "one without a type is replicated")
    for volume in far, near, plain:
        world.has_gone(volume)


def rate(guest, device, count=60, writers=4):
    """Writes a second of 4 KiB, four at a time, O_DIRECT."""
    out = guest.sh(
        "read a _ </proc/uptime; for i in $(seq 0 "
        f"{writers - 1}); do dd if=/dev/zero of={device} bs=4096 count={count}"
        f" seek=$((i * {count} + 1000)) conv=notrunc oflag=direct 2>/dev/null "
        "& done; wait; read b _ </proc/uptime; echo $a $b", 300).split()
    return writers * count / (float(out[1]) - float(out[0]))


def limits(world):
    guest = world.guest("a", "h1")
    slow, fast = world.volume("slow", slow_kind()), world.volume("fast")
    device, other = guest.attach(slow), guest.attach(fast)
    expect(f"<total_iops_sec>{IOPS}</total_iops_sec>" in guest.xml(),
           "the domain's iotune has the limit")
    seen, free = rate(guest, device), rate(guest, other)
    expect(IOPS * 0.5 < seen < IOPS * 1.2,
           f"the guest writes {seen:.1f} times a second of {IOPS}; "
           f"{free:.1f} without a limit")
    guest.moves("h3")
    expect("<total_iops_sec>" in guest.xml(), "it has the limit there, too")
    seen = rate(guest, device)
    expect(IOPS * 0.4 < seen < IOPS * 1.2, f"and writes {seen:.1f} times")
    guest.detach(slow)
    guest.detach(fast)
    retyped(world, guest, slow, fast)


def retyped(world, guest, slow, fast):
    """Only its limits: by name."""
    client("volume", "set", "--type", "replicated", slow.id)
    client("volume", "set", "--type", "slow", fast.id)
    _, other = guest.attach(slow), guest.attach(fast)
    xml = guest.xml()
    expect(xml.count("<total_iops_sec>") == 1, "the limit went with the type")
    seen = rate(guest, other)
    expect(seen < IOPS * 1.2, f"{seen:.1f} times a second")
    for volume in slow, fast:
        guest.detach(volume)
        world.has_gone(volume)


# --- encryption


def passphrase(volume):
    """As only the pool's authority can tell it: its record unwrapped."""
    key = serialization.load_pem_private_key(
        (node_dir("h1") / "fs/var/lib/cairn/pki/ca.key").read_bytes(), None)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    wraps = hmac.digest(number, b"cairn volume keys", hashlib.sha256)
    record = next(line for line in records("volume_key").splitlines()
                  if volume.id in line)
    box = base64.b64decode(re.search(r'"wrapped":"([^"]+)"', record)[1])
    return AESGCM(wraps).decrypt(box[:12], box[12:], volume.id.encode()).hex()


def records(word):
    pki = "/var/lib/cairn/pki"
    return on("h1", "sh", "-c", "etcdctl --endpoints "
              f"https://{lab.address('h1')}:2379 --cacert {pki}/ca.crt "
              f"--cert {pki}/server.crt --key {pki}/server.key "
              f"get --prefix cairn/ | tr '\\n' ' ' | sed 's| cairn/|\\n&|g' | "
              f"grep {word}")


def raw(volume, host="h1"):
    """What is in Ceph of it, as bytes."""
    return base64.b64decode(on(
        host, "sh", "-c", f"rbd --conf={CONF} --id=cairn export-diff "
        f"--no-progress rbd/volume.{volume.id} - | base64 -w 0"))


def secrets(host):
    return on(host, "virsh", "secret-list")


def forgotten(volume, *hosts):
    for host in hosts:
        until(f"{host} has forgotten the passphrase", lambda:
              volume.id not in secrets(host))


def encrypted(world):
    volume, plain = world.volume("secret", secret_kind()), world.volume("open")
    a, b = world.guest("a", "h1"), world.guest("b", "h2")
    here, there = a.host(), b.host()
    device, other = a.attach(volume), a.attach(plain)
    expect(a.size(device) == 1 << 30, "the guest sees all of the GiB")
    expect(volume.id in secrets(here), f"{here} knows the passphrase")
    a.write(device, SECRET)
    a.write(other, PLAIN)
    expect(a.read(device) == SECRET, "the guest reads what it wrote")
    a.detach(volume)
    a.detach(plain)
    forgotten(volume, here)
    expect(PLAIN.encode() in raw(plain), "Ceph holds what is not encrypted")
    data = raw(volume)
    expect(b"LUKS\xba\xbe" in data and SECRET.encode() not in data,
           "of what is encrypted it holds a LUKS header and no word")
    device = b.attach(volume)
    expect(b.read(device) == SECRET, f"a guest on {there} reads it")
    goes_along(world, volume, b, device)
    of_a_copy(world, volume, a)
    b.detach(volume)
    keys_are_nowhere(world, volume)
    world.has_gone(plain)
    world.has_gone(volume)
    expect(volume.id not in records("volume"), "its key has gone with it")


def goes_along(world, volume, guest, device):
    """It moves with its guest, and grows in use."""
    from_host = guest.host()
    to = world.other(from_host, "h1")
    guest.moves(to)
    expect(guest.read(device) == SECRET, f"and on {to}, where it has moved")
    guest.write(device, "written-after-the-move", 2)
    forgotten(volume, from_host)
    client("--os-volume-api-version", "3.42", "volume", "set", "--size", "2",
           volume.id)
    until("it grows while the guest has it", lambda:
          guest.size(device) == 2 << 30)
    last = (2 << 30) // 4096 - 1
    guest.write(device, "the-last-block", last)
    expect(guest.read(device, last) == "the-last-block", "to its last block")
    guest.act({"reboot": {"type": "HARD"}})
    guest.is_status("ACTIVE")
    guest.answers()
    device = guest.device(volume)
    expect(guest.read(device, last) == "the-last-block" and
           guest.read(device, 2) == "written-after-the-move",
           "all of it is there after a reboot")


def of_a_copy(world, volume, guest):
    """A snapshot of it in use, and a volume of that: the same key."""
    block = world.api.block_storage
    snapshot = block.create_snapshot(volume_id=volume.id, name="s", force=True)
    until("a snapshot of it", lambda:
          block.get_snapshot(snapshot.id).status == "available")
    copy = block.create_volume(name="copy", size=2, snapshot_id=snapshot.id)
    world.volume_is(copy, "available")
    device = guest.attach(copy)
    expect(guest.read(device) == SECRET, "a volume of its snapshot reads")
    guest.detach(copy)
    world.has_gone(copy)
    block.delete_snapshot(snapshot)
    until("the snapshot is gone", lambda: not list(block.snapshots()))


def keys_are_nowhere(world, volume):
    """Not in a log, a file, an argument or the environment of a process."""
    words = passphrase(volume)
    forms = [words.encode(), bytes.fromhex(words),
             base64.b64encode(words.encode()),
             base64.b64encode(bytes.fromhex(words))]
    places = [f for h in world.hosts for f in node_dir(h).rglob("*")
              if f.is_file() and not f.is_symlink() and "fs/proc" not in str(f)]
    places += pathlib.Path("/proc").glob("[0-9]*/cmdline")
    places += pathlib.Path("/proc").glob("[0-9]*/environ")
    seen = [str(f) for f in places if holds(f, forms)]
    expect(not seen and len(places) > 300,
           f"its key is in none of {len(places)} files, logs and processes "
           f"{seen}")


def holds(file, words):
    try:
        if file.stat().st_size > 64 << 20:
            return False
        data = file.read_bytes()
    except OSError:  # it has ended, or gone
        return False
    return any(w in data for w in words)


def boots(world):
    """A server whose root disk is encrypted."""
    api = world.api
    volume = api.block_storage.create_volume(
        name="root", size=1, volume_type=secret_kind(),
        image_id=api.image.find_image("cairn-guest").id)
    world.volume_is(volume, "available")
    guest = Guest(world, "boots", "h2", image_id="", block_device_mapping_v2=[{
        "boot_index": 0, "uuid": volume.id, "source_type": "volume",
        "destination_type": "volume"}]).waits()
    guest.sh("echo kept >/root/kept; sync")
    data = raw(volume)
    expect(b"LUKS\xba\xbe" in data and b"syslinux" not in data.lower() and
           len(data) > 1 << 20, "nothing of the image is read in Ceph")
    guest.moves("h1")
    expect(guest.sh("cat /root/kept") == "kept\n", "it moves and goes on")
    guest.act({"os-stop": None})
    guest.is_status("SHUTOFF")
    forgotten(volume, *world.hosts)
    guest.act({"os-start": None})
    guest.is_status("ACTIVE")
    guest.answers()
    expect(guest.sh("cat /root/kept") == "kept\n", "and starts again")
    guest.delete()
    world.volume_is(volume, "available")
    world.has_gone(volume)


# --- one volume, two servers


def multiattach(world):
    a, b = world.guest("a", "h1"), world.guest("b", "h2")
    plain = world.volume("one")
    a.attach(plain)
    refused(b.attach(plain), 400, "status must be available")
    volume = world.volume("both", shared_kind())
    refused(a.api.post(f"/servers/{a.id}/os-volume_attachments",
                       microversion="2.59", json={"volumeAttachment": {
                           "volumeId": volume.id}}), 400, "2.60")
    at_a, at_b = a.attach(volume), b.attach(volume)
    expect(a.host() != b.host(), "two guests on two nodes have it")
    for n, (writer, to, reader, at) in enumerate((
            (a, at_a, b, at_b), (b, at_b, a, at_a))):
        for i in range(5):
            writer.write(to, f"{writer.name}-{i}", n)
            got = reader.read(at, n)
            if got != f"{writer.name}-{i}":
                fail(f"{reader.name} reads '{got}'")
        say(f"{reader.name} reads what {writer.name} writes, at once")
    moved = world.other(a.host(), b.host())
    b.moves(moved)
    b.write(at_b, "from-elsewhere", 3)
    expect(a.read(at_a, 3) == "from-elsewhere", f"{moved} writes, too")
    answer = world.api.block_storage.delete(f"/volumes/{volume.id}")
    refused(answer, 400, "attach|status must be")
    a.detach(volume, left="in-use")
    b.write(at_b, "alone", 4)
    expect(b.read(at_b, 4) == "alone", "the other goes on")
    at_a = a.attach(volume)
    expect(a.read(at_a, 4) == "alone", "it comes back")
    third_takes_it_along(world, volume, a)
    b.detach(volume, left="in-use")
    a.detach(volume)
    a.detach(plain)
    world.has_gone(volume)
    world.has_gone(plain)


def third_takes_it_along(world, volume, a):
    """A server that is deleted leaves it to the others."""
    third = world.guest("third", world.other(a.host()))
    third.attach(volume)
    third.delete()
    until("two have it", lambda: len(world.api.block_storage.get_volume(
        volume.id).attachments) == 2)
    expect(world.status(volume) == "in-use", "it is in use still")


# --- a node's own disk


def local(world):
    volume = world.volume("own", "local")
    at = next(h for h in world.hosts if list(node_dir(h).glob(
        f"fs/var/lib/cairn/storage/volumes/{volume.id}*")))
    other = world.other(at)
    here = world.guest("here", at)
    far = next(g for g in (world.guest("a", "h1"), world.guest("b", "h2"))
               if g.host() != at)
    refused(far.attach(volume), 400, "own disk of another")
    device = here.attach(volume)
    here.write(device, "mine")
    for body in ({"os-migrateLive": {"host": None, "block_migration": "auto"}},
                 {"os-migrateLive": {"host": other,
                                     "block_migration": "auto"}},
                 {"migrate": None}, {"migrate": {"host": other}}):
        refused(here.act(body, good=None), 409, "own disk")
    expect(here.read(device) == "mine" and here.host() == at, "it stays")
    client("volume", "type", "create", "--property", "cairn:storage=local",
           "own-secret")
    why = refusal("cairn", "volume", "type", "set", "--encryption-provider",
                  "luks", "--encryption-control-location", "front-end",
                  "own-secret")
    expect("not encrypted" in why, f"refused: {why.strip()}")
    here.detach(volume)
    world.has_gone(volume)
    here.delete()


# --- nodes that fail


def fail_over(world):
    """h2 loses its power: two servers there wait to be confirmed, one is
    off, one finds no room."""
    group = world.api.compute.create_server_group(
        name="apart", policy="anti-affinity")
    hint = {"scheduler_hints": {"group": group.id}}
    apart = [Guest(world, f"apart-{h}", h, **hint) for h in world.hosts]
    waiting = [Guest(world, n, "h1") for n in ("confirms", "reverts")]
    off = Guest(world, "off", "h2")
    for guest in apart[0], apart[2]:  # they only take the room
        guest.is_status("ACTIVE")
        guest.act({"os-stop": None})
    for guest in (*waiting, off, apart[1]):
        guest.waits()
    for guest in waiting:
        guest.sh("echo before >/root/kept; sync")
        client("--os-compute-api-version", "2.56", "server", "migrate",
               "--host", "h2", guest.id)
    for guest in waiting:
        guest.is_status("VERIFY_RESIZE")
        expect(guest.host() == "h2", "it waits on h2 to be confirmed")
        guest.answers()
    off.act({"os-stop": None})
    off.is_status("SHUTOFF")
    lab("cut", "h2")
    say("h2 has no power any more")
    finds_no_room(world, apart)
    for guest, action, status in zip(waiting, ("confirm", "revert"),
                                     ("ACTIVE", "ACTIVE")):
        until(f"{guest.name} is elsewhere and waits still", lambda: (
            s := guest.get()).status == "VERIFY_RESIZE" and
            s.hypervisor_hostname != "h2" and s.task_state is None)
        guest.answers()
        at = guest.host()
        client("server", "migrate", action, guest.id)
        guest.is_status(status)
        guest.answers()
        expect(guest.sh("cat /root/kept") == "before\n",
               f"{action}ed from {at}, on {guest.host()} now")
        if action == "revert":
            expect(guest.host() == "h1", "back where it came from")
    until("what is off is elsewhere", lambda: off.host() != "h2")
    off.act({"os-start": None})
    off.is_status("ACTIVE")
    off.answers()
    lab("boot", "h2")
    until("h2 belongs to the pool again", lambda: "up" in next(
        line for line in cairn("node", "list").splitlines()
        if line.startswith("h2")))
    for guest in (*apart, *waiting, off):
        at = [h for h in world.hosts if guest.id in on(
            h, "virsh", "list", "--uuid")]
        is_on = guest.get().status == "ACTIVE"
        expect(at == ([guest.host()] if is_on else []),
               f"{guest.name} runs {f'once, on {at[0]}' if at else 'nowhere'}")
        guest.delete()


def finds_no_room(world, apart):
    """Evacuated by hand when there is some: the others of its group are
    everywhere else."""
    lost = next(g for g in apart if g.name == "apart-h2")
    lost.is_status("ERROR")
    say(f"it has no place: {lost.fault()}")
    answer = lost.act({"evacuate": {"host": "h2"}}, good=None)
    refused(answer, 400, "same")
    refused(lost.act({"evacuate": {"host": "nowhere"}}, good=None), 404, "")
    alive = next(g for g in apart if g.name == "apart-h1")
    refused(alive.act({"evacuate": {}}, good=None), 400, "still in use")
    leaves = next(g for g in apart if g.name == "apart-h3")
    leaves.delete()
    apart.remove(leaves)
    try:  # the recovery asks for it every two seconds itself
        client("--os-compute-api-version", "2.90", "server", "evacuate",
               "--host", "h3", lost.id)
        say("there is room: it is evacuated to h3, which was asked for")
    except Refused as e:
        say(f"there is room: the recovery was quicker: {e}")
    until("it is on h3", lambda: lost.host() == "h3")
    lost.is_status("ACTIVE")
    lost.answers()
    print(client("--os-compute-api-version", "2.59", "server", "migration",
                 "list", "--server", lost.id))


def drain(world):
    """With a server that is off and one that runs."""
    off, runs = Guest(world, "off-3", "h3"), Guest(world, "runs-3", "h3")
    for guest in off, runs:
        guest.waits()
    off.act({"os-stop": None})
    off.is_status("SHUTOFF")
    cairn("node", "drain", "h3")
    for guest in off, runs:
        until(f"{guest.name} has left", lambda: guest.host() != "h3" and
              guest.get().task_state is None)
    expect(off.get().status == "SHUTOFF", "what was off is off")
    until("it is empty", lambda: not [
        s for s in world.api.compute.servers(details=True)
        if s.hypervisor_hostname == "h3"])
    off.act({"os-start": None})
    off.is_status("ACTIVE")
    off.answers()
    cairn("node", "undrain", "h3")
    off.delete()
    runs.delete()


PARTS = {f.__name__.replace("_", "-"): f for f in (
    types, limits, encrypted, boots, multiattach, local, drain, fail_over)}


def main():
    wanted = sys.argv[1:] or list(PARTS)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        sys.exit(f"no such part: {unknown}; there are: {' '.join(PARTS)}")
    two = set(wanted) & {"limits", "encrypted", "multiattach", "local"}
    world, bad = World((("a", "h1"), ("b", "h2")) if two else ()), []
    for part in wanted:
        begun = time.monotonic()
        say(f"--- {part}")
        try:
            PARTS[part](world)
        except (SystemExit, *FAILURES) as e:  # what comes after is seen, too
            bad.append(f"{part}: {e}")
            print(e, flush=True)
            world.clears()
        say(f"--- {part}: {time.monotonic() - begun:.0f} s")
    if bad:
        sys.exit("\n".join(bad))


if __name__ == "__main__":
    main()
