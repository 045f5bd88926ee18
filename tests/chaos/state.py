"""What there is after all: records as each node tells them, domains, files,
OVN's rows, etcd's keys.  For checker.py, which judges."""
import re

from pool import Lost, wait_until

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def dump(api, host):
    return {kind: {r["id"]: r for r in api.records(host, kind)}
            for kind in api.kinds(host)}


def dumps(api, hosts):
    """Of all, at one moment: nothing changed while they were read."""
    for _ in range(10):
        found = {h: dump(api, h) for h in hosts}
        if not checker_differs(found):
            break
    return found


def checker_differs(found):
    from checker import check_same
    return check_same(found)


def domains(lab):
    found = {}
    for host in lab.hosts():
        found[host] = {}
        for line in lab.on(host, "virsh", "-q", "list", "--all", "--uuid",
                           "--name").splitlines():
            uuid = UUID.match(line.strip())
            if uuid:
                state = lab.on(host, "virsh", "-q", "domstate", uuid[0])
                found[host][uuid[0]] = state.strip()
    return found


def sources(lab):
    """What the disks of the guests that run stand on, {server: text}."""
    found = {}
    for host in lab.hosts():
        for server in lab.on(host, "virsh", "-q", "list", "--uuid").split():
            found[server] = lab.on(host, "virsh", "-q", "domblklist", server,
                                   check=False)
    return found


def images(lab):
    """What the block store has, by name; of pools that hold images."""
    host = lab.hosts()[0]

    def ceph(*words):
        return lab.on(host, *words, "--conf=/etc/cairn/ceph.conf")
    found = set()
    for pool in ceph("rados", "lspools").split():
        for name in ceph("rbd", "ls", "--pool", pool).split():
            found.add(f"{pool}/{name}")
        for line in ceph("rbd", "trash", "ls", "--all", "--pool",
                         pool).splitlines():
            found.add(f"{pool} (trash)/{line.split()[-1]}")
    return found


def files(lab):
    """Names under a node's storage, and of guests' directories."""
    found = {}
    for host in lab.hosts():
        root = lab.home(host) / "fs/var/lib/cairn"
        found[host] = sorted(
            str(f.relative_to(root)) for d in ("storage", "guests")
            for f in (root / d).rglob("*") if UUID.search(f.name))
    return found


def ovn(lab):
    """Ids of the switches and ports in the northbound database."""
    found = {}
    for table in ("logical_switch", "logical_switch_port"):
        text = lab.on(lab.hosts()[0], "ovn-nbctl", "--no-leader-only",
                      "--timeout=60", "--bare", "--columns=name", "list",
                      table)
        found[table] = {line.removeprefix("cairn-")
                        for line in text.split() if line}
    return found


def settled(record):
    """Nothing is under way; records of kinds that have such a thing."""
    if "vm_state" in record:
        return record["vm_state"] != "building" and \
            record.get("task_state") in (None, "", "none") and \
            all(v["state"] == "attached" for v in record.get("volumes", []))
    return record.get("status", "available") not in (
        "creating", "deleting", "attaching", "detaching", "extending",
        "reserved", "uploading")


def stage(kind, record):
    """What is under way there, in a few words."""
    what = record.get("task_state") or record.get("status")
    return f"{kind} {record['id']} of {record.get('node')}: " \
        f"{record.get('vm_state', '')} {what}"


def unrest(api, hosts):
    """All that is under way, and where nodes tell different things."""
    try:
        found = {h: dump(api, h) for h in hosts}
    except Lost as e:
        return [str(e)]
    busy = {stage(k, r) for d in found.values()
            for k in ("server", "volume", "snapshot")
            for r in d.get(k, {}).values() if not settled(r)}
    ill = {f"node {n['id']} is {n['health']}" for d in found.values()
           for n in d["node"].values() if n["health"] != "up"}
    return sorted(ill) + sorted(busy) + checker_differs(found)


def quiet(api, hosts, seconds, tell):
    """Waits until all nodes answer the same and nothing is under way;
    tell(TEXT) hears whenever it waits for something else."""
    def is_quiet():
        why = unrest(api, hosts)
        if why != is_quiet.why:
            tell("; ".join(why))
        is_quiet.why = why
        return not why
    is_quiet.why = None
    try:
        wait_until("quiet", is_quiet, seconds, pause=1)
    except TimeoutError as e:
        return [f"{e}: {is_quiet.why[0]}"]
    return []
