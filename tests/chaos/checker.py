"""The verdict: what must be there, from the history, against what is there.

Pure functions of a history (rows of history.py) and a final state; each gives
a list of sentences, empty when all is well.  test_checker.py shows for each
that it can say no.
"""
import re
from collections import Counter, defaultdict


# --- answered writes ---------------------------------------------------------

class Story:
    """What the answers say about one thing, by its name."""

    def __init__(self, rows):
        self.rows = rows
        self.kind, self.name = rows[0]["kind"], rows[0]["name"]
        self.made = self.outcome("create")
        self.deleted = self.outcome("delete")
        self.ids = {r["id"] for r in rows if r.get("id")}
        self.values = self.possible()

    def outcome(self, op):
        outs = {r["out"] for r in self.rows if r["op"] == op}
        for out in ("ok", "unknown", "refused"):
            if out in outs:
                return out
        return None

    def possible(self):
        """The last that was answered, and those whose answer got lost.  What
        was only begun (`maybe`) is so or is not, until the next answer."""
        values = []
        for r in self.rows:
            if r["op"] in ("create", "change"):
                if r["out"] == "ok" and not r.get("maybe"):
                    values = [v for v in values if v[1] == "unknown"]
                if r["out"] != "refused":
                    values.append((r["value"], r["out"]))
        return {v for v, _ in values}


def stories(rows):
    by_name = defaultdict(list)
    for r in rows:
        if r["what"] == "op":
            by_name[r["name"]].append(r)
    return [Story(r) for r in by_name.values()]


def check_answers(rows, final):
    """final: {kind: [{"id", "name", "value"}]}."""
    bad = []
    there = defaultdict(list)
    for kind, things in final.items():
        for t in things:
            there[kind, t["name"]].append(t)
    for s in stories(rows):
        bad += check_story(s, there[s.kind, s.name])
    return bad


def check_story(s, found):
    who = f"{s.kind} {s.name}"
    if len(found) > 1:
        return [f"{who} is there {len(found)} times"]
    if not found:
        if s.made == "ok" and s.deleted not in ("ok", "unknown"):
            return [f"{who} was answered, and is not there"]
        return []
    if s.made == "refused":
        return [f"{who} was refused, and is there"]
    if s.deleted == "ok":
        return [f"{who} was deleted, and is there"]
    if found[0]["value"] not in s.values:
        return [f"{who} is '{found[0]['value']}', not one of "
                f"{sorted(s.values, key=str)}"]
    if s.ids and found[0]["id"] not in s.ids:
        return [f"{who} is another one than was answered"]
    return []


def staleness(rows):
    """Seconds by which reads were behind what their own client was answered
    before, and how many; the longest with its row.  Not a crime: each node
    reads what it has (docs/dev/chaos.md)."""
    worst, count, example = 0, 0, None
    for s in stories(rows):
        value, since = None, 0
        for r in s.rows:
            if r["op"] in ("create", "change") and r["out"] == "ok":
                value, since = r["value"], r["at"]
            elif r["op"] == "read" and value is not None and (
                    r["status"] == 404 or
                    (r["out"] == "ok" and r["value"] != value)):
                count += 1
                if r["begun"] - since > worst:
                    worst, example = round(r["begun"] - since, 3), r
    return {"stale_reads": count, "worst_s": worst, "example": example}


def count_asked(rows):
    """{"attachment change": {"ok": 3, ...}}: what the storm has tried."""
    found = defaultdict(Counter)
    for r in rows:
        if r["what"] == "op" and r["op"] != "read":
            found[f"{r['kind']} {r['op']}"][r["out"]] += 1
        if r["what"] == "move":
            found[f"writer {r['move']}"][r["out"]] += 1
    return found


# --- guests ------------------------------------------------------------------

# What a guest's kernel says may stand in the middle of a line: that one is
# not read.
WHOLE = re.compile(r"DOUBLE gen=\d+ seq=\d+|"
                   r"check gens=\d+ last=\d+ blocks=\d+ bad=\d+ strange=\d+|"
                   r"gen=\d+ boot=[0-9a-f]+ at=\d+ synced=\d+ worst=\d+")


def numbers(line):
    """The fields of a writer's line that are numbers."""
    return {k: int(v) for k, _, v in (w.partition("=") for w in line.split())
            if v.isdigit()}


def check_writers(rows, names, asked):
    """`asked`: {name: its check after all was made, or why not}."""
    bad = [f"{who} does not answer after all: {said}"
           for who, said in asked.items() if not said.startswith("check ")]
    synced, boots = defaultdict(Counter), {}  # by generation
    for r in rows:
        if r["what"] != "writer" or not WHOLE.fullmatch(r["line"]):
            continue
        who, line = names[r["server"]], r["line"]
        if line.startswith("DOUBLE"):
            bad.append(f"{who} ran twice: {line}")
        elif line.startswith("check "):
            seen = numbers(line)
            before = [n for gen, n in synced[who].items()
                      if gen <= seen["gens"]]
            bad += check_disk(who, seen, max(before, default=0))
        elif line.startswith("gen="):
            seen = numbers(line)
            boot = next(w for w in line.split() if w.startswith("boot="))
            if boots.setdefault((who, seen["gen"]), boot) != boot:
                bad.append(f"{who}: generation {seen['gen']} started twice")
            synced[who][seen["gen"]] = max(synced[who][seen["gen"]],
                                           seen["synced"])
    return sorted(set(bad))


def check_disk(who, seen, synced):
    """What a start found, against what the starts before it had synced."""
    bad = []
    if seen["bad"]:
        bad.append(f"{who}: {seen['bad']} blocks are not as written")
    if seen["strange"]:
        bad.append(f"{who}: {seen['strange']} blocks are another start's")
    if seen["last"] < synced:
        bad.append(f"{who}: block {synced} was written, the last on its disk "
                   f"is {seen['last']}")
    return bad


def overlaps(rows):
    """Seconds for which a guest had processes on two hosts, by guest."""
    spans = defaultdict(list)
    for r in rows:
        if r["what"] == "twice" and not any(w[2] for w in r["where"]):
            spans[r["server"]].append(r["at"])
    return {s: round(len(at) * 0.25, 2) for s, at in spans.items()}


# --- everything is accounted for ----------------------------------------------

def check_same(dumps):
    """All nodes tell the same; dumps: {host: {kind: {id: record}}}."""
    bad = []
    (first, base), *others = dumps.items()
    for host, other in others:
        for kind in sorted(base.keys() | other.keys()):
            a, b = base.get(kind, {}), other.get(kind, {})
            differ = [i for i in a.keys() | b.keys() if a.get(i) != b.get(i)]
            if differ and kind not in MOVING:
                bad.append(f"{first} and {host} differ in {len(differ)} of "
                           f"{kind}, as {sorted(differ)[0]}")
    return bad


# What goes on changing in a pool at rest.
MOVING = {"node", "node_use"}


def charge_of(dump, server):
    """(vcpus, MiB); of both flavors the larger while it is resized."""
    m = dump.get("migration", {}).get(server.get("migration_id") or "")
    flavors = [server] if not m or m["type"] != "resize" else \
        [m["old_flavor"], m["new_flavor"]]
    return tuple(max(f[what] for f in flavors) for what in ("vcpus", "ram_mb"))


def expected_usage(dump):
    """What each project holds, counted anew: {"compute/<id>": Counter}."""
    use = defaultdict(Counter)
    for s in dump["server"].values():
        c = use["compute/" + s["project_id"]]
        cores, ram = charge_of(dump, s)
        c.update(instances=1, cores=cores, ram=ram)
    for g in dump.get("server_group", {}).values():
        use["compute/" + g["project_id"]].update(server_groups=1)
    for v in dump.get("volume", {}).values():
        use["volume/" + v["project_id"]].update(volumes=1,
                                                gigabytes=v["size_gb"])
    for v in dump.get("snapshot", {}).values():
        use["volume/" + v["project_id"]].update(snapshots=1,
                                                gigabytes=v["size_gb"])
    for kind, name in (("network", "network"), ("subnet", "subnet"),
                       ("port", "port"), ("router", "router"),
                       ("floating_ip", "floatingip"),
                       ("security_group", "security_group"),
                       ("security_group_rule", "security_group_rule")):
        for r in dump.get(kind, {}).values():
            if r.get("project_id"):
                use["network/" + r["project_id"]].update({name: 1})
    return use


def check_usage(dump):
    bad, expected = [], expected_usage(dump)
    has = {u["id"]: Counter({a["name"]: a["n"] for a in u["amounts"]})
           for u in dump.get("usage", {}).values()}
    for who in sorted(expected.keys() | has.keys()):
        a, b = expected.get(who, Counter()), has.get(who, Counter())
        for name in sorted(a.keys() | b.keys()):
            if a[name] != b[name]:
                bad.append(f"usage {who}: {name} says {b[name]}, there are "
                           f"{a[name]}")
    return bad


def check_claims(dump):
    """Nobody holds what he is not; each port holds its address and MAC."""
    bad = []
    claims = {c["id"]: c["owner"] for c in dump.get("claim", {}).values()}
    for claim, owner in claims.items():
        kind, _, key = (owner or "").partition("/")
        if claim.startswith("scheduler/"):  # who decides: of no record
            continue
        if key not in dump.get(kind, {}):
            bad.append(f"claim {claim} is of {owner}, who is not there")
    for p in dump.get("port", {}).values():
        if f"mac/{p['network_id']}/{p['mac_address']}" not in claims:
            bad.append(f"port {p['id']} does not hold its MAC")
    return bad


def check_references(dump):
    bad = []

    def needs(kind, record, field, other):
        wanted = record.get(field)
        if wanted and wanted not in dump.get(other, {}):
            bad.append(f"{kind} {record['id']}: its {field} {wanted} is not "
                       f"there")
    for p in dump.get("port", {}).values():
        needs("port", p, "network_id", "network")
    for d in dump.get("disk", {}).values():
        if d["id"][:36] not in dump["server"]:
            bad.append(f"disk {d['id']} is of no server")
    for v in dump.get("volume", {}).values():
        for a in v.get("attachments", []):
            if a["server_id"] not in dump["server"]:
                bad.append(f"volume {v['id']} is attached to no server")
    return bad


def check_domains(dump, domains):
    """domains: {host: {server: state}} as libvirt tells."""
    bad, where = [], defaultdict(list)
    for host, found in domains.items():
        for server, state in found.items():
            where[server].append((host, state))
            if server not in dump["server"]:
                bad.append(f"domain {server} on {host} is of no server")
    for s in dump["server"].values():
        running = [h for h, state in where[s["id"]] if state == "running"]
        if len(running) > 1:
            bad.append(f"server {s['name']} runs on {running}")
        if s["vm_state"] == "active" and running != [s["node"]]:
            bad.append(f"server {s['name']} is active on {s['node']}, runs "
                       f"on {running}")
        for host, _ in where[s["id"]]:
            if host != s["node"]:
                bad.append(f"server {s['name']} of {s['node']} has a domain "
                           f"on {host}")
    return bad


def check_attached(dump, sources):
    """Volumes and servers tell the same, and a guest that runs has what its
    record says; sources: {server: its domain's disks, one text}."""
    bad = []
    servers, volumes = dump["server"], dump.get("volume", {})
    for v in volumes.values():
        mine = [a["server_id"] for a in v.get("attachments", [])]
        of = [s["id"] for s in servers.values() for x in s.get("volumes", [])
              if x["volume_id"] == v["id"]]
        if sorted(mine) != sorted(of):
            bad.append(f"volume {v['id']} says it is of {mine}, the servers "
                       f"say {of}")
        if (v["status"] == "in-use") != bool(mine):
            bad.append(f"volume {v['id']} is {v['status']}, and of {mine}")
    for s in servers.values():
        has = sources.get(s["id"])
        if has is None or s["vm_state"] != "active":
            continue
        wanted = {x["volume_id"] for x in s.get("volumes", [])}
        for v in volumes:
            if (v in has) != (v in wanted):
                bad.append(f"server {s['name']}: volume {v} is "
                           f"{'wanted' if v in wanted else 'not wanted'}, "
                           f"its guest has {has.split()}")
    return bad


def check_well(dump):
    """All nodes belong to the pool; nothing has failed, save that there was
    no room for it."""
    return [f"node {n['id']} is {n['health']}: {n.get('health_why')}"
            for n in dump.get("node", {}).values()
            if n.get("health", "up") != "up"] + \
        [f"{kind} {r['name']} is in error: {r.get('fault')}"
         for kind, field in (("server", "vm_state"), ("volume", "status"),
                             ("snapshot", "status"))
         for r in dump.get(kind, {}).values() if "error" in r[field] and
         not (r.get("fault") or "").startswith("No valid host")]


def check_names(what, there, wanted):
    """Exactly those."""
    there, wanted = set(there), set(wanted)
    return [f"{what}: {n} is of nobody" for n in sorted(there - wanted)] + \
        [f"{what}: {n} is missing" for n in sorted(wanted - there)]


# What a pool keeps of what it did.
HISTORY = {"placement_decision", "migration", "revocation"}
# And what may go on changing.
KEPT = MOVING | HISTORY | {"token_key", "usage", "claim", "counter"}

# A migration that has ended is history and is kept so long, and so many
# (engine/housekeeping.h).
ENDED = {"completed", "cancelled", "error", "confirmed", "reverted", "done",
         "failed"}
KEPT_MIGRATIONS = 10000
COUNTERS = {"migration"}


def check_migrations(dump):
    """Of what was deleted none is under way; what has ended is bounded, and
    each has a number of its own that was given out."""
    moves = dump.get("migration", {}).values()
    last = {c["id"]: c["last"] for c in dump.get("counter", {}).values()}
    bad = [f"counter {c} counts nothing" for c in sorted(last) if
           c not in COUNTERS]
    for m in moves:
        if m["status"] not in ENDED and m["server_id"] not in dump["server"]:
            bad.append(f"migration {m['id']} is {m['status']}, its server is "
                       f"not there")
        if not 1 <= m["number"] <= last.get("migration", 0):
            bad.append(f"migration {m['id']}: its number {m['number']} was "
                       f"not given out")
    twice = [n for n, k in Counter(m["number"] for m in moves).items()
             if k > 1]
    if len([m for m in moves if m["status"] in ENDED]) > KEPT_MIGRATIONS:
        bad.append(f"more than {KEPT_MIGRATIONS} ended migrations are kept")
    return bad + [f"migrations: number {n} was given twice" for n in twice]


def check_leaks(before, after):
    """Everything was deleted: each kind has the records it had before, and
    more of those that are history."""
    bad = [f"migration {i} is left {m['status']}"
           for i, m in sorted(after.get("migration", {}).items())
           if m["status"] not in ENDED and
           i not in before.get("migration", {})]
    for kind in sorted((before.keys() | after.keys()) - KEPT):
        more = after.get(kind, {}).keys() - before.get(kind, {}).keys()
        less = before.get(kind, {}).keys() - after.get(kind, {}).keys()
        bad += [f"{kind} {i} is left" for i in sorted(more)]
        bad += [f"{kind} {i} is lost" for i in sorted(less)]
    more = after.get("claim", {}).keys() - before.get("claim", {}).keys()
    return bad + [f"claim {i} is left" for i in sorted(more)
                  if not i.startswith("scheduler/")]
