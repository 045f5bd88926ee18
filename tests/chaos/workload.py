"""Clients that make, change and delete things through all nodes.

Each thing has a name that nobody else has, and one client that owns it and
waits for its answer before it asks again: so what must be there afterwards
follows from the answers alone (checker.py).  When an answer is lost its
owner never touches that thing again, for the request may still happen.

What a volume is attached to and what flavor a server has are things of their
own in the history, "NAME@" and "NAME#".  Moves and resizes are answered when
they begin, and may fail: `maybe` in the history.
"""
import random
import threading

from pool import Api, Lost


class Kind:
    """How a kind of thing is asked for.  `value` is what changes."""

    def __init__(self, name, service, path, most, make, change, settles=False):
        self.name, self.service, self.path = name, service, path
        self.most, self.make, self.change = most, make, change
        self.settles = settles  # it is made and deleted later


def make_network(world, thing, value):
    return "/networks", {"network": {"name": thing.name,
                                     "description": value}}


def make_port(world, thing, value):
    return "/ports", {"port": {"name": thing.name, "description": value,
                               "network_id": world.network}}


def make_volume(world, thing, value):
    return f"/{world.project}/volumes", {"volume": {
        "name": thing.name, "size": 1, "metadata": {"value": value}}}


def make_snapshot(world, thing, value):
    return f"/{world.project}/snapshots", {"snapshot": {
        "name": thing.name, "volume_id": thing.of.id, "force": True,
        "metadata": {"value": value}}}


def make_server(world, thing, value):
    return "/servers", {"server": {
        "name": thing.name, "flavorRef": world.flavors[thing.flavor],
        "imageRef": world.image, "networks": "none",
        "metadata": {"value": value}, **world.where()}}


def put(what):
    def change(world, thing, value):
        return ("PUT", f"/{what}s/{thing.id}", {what: {"description": value}})
    return change


def metadata_of(what):
    def change(world, thing, value):
        return ("PUT", f"/{world.project}/{what}s/{thing.id}/metadata",
                {"metadata": {"value": value}})
    return change


def change_server(world, thing, value):
    return ("PUT", f"/servers/{thing.id}/metadata",
            {"metadata": {"value": value}})


KINDS = {k.name: k for k in (
    Kind("network", "network", "/networks", 4, make_network, put("network")),
    Kind("port", "network", "/ports", 4, make_port, put("port")),
    Kind("volume", "volume", "/{project}/volumes", 2, make_volume,
         metadata_of("volume"), settles=True),
    Kind("snapshot", "volume", "/{project}/snapshots", 2, make_snapshot,
         metadata_of("snapshot"), settles=True),
    Kind("server", "compute", "/servers", 1, make_server, change_server,
         settles=True))}


# Of a volume: its server; of a server: its flavor.
ASPECTS = {"attachment": "@", "flavor": "#"}
SMALL, BIGGER = "cairn.nano", "chaos"
SETTLED = ("available", "active", "error", "shutoff")


def value_of(kind, shown):
    return shown["description"] if kind in ("network", "port") else \
        shown["metadata"].get("value")


class World:
    """What all clients need to know."""

    def __init__(self, lab, api, spread):
        self.lab, self.spread = lab, spread
        self.hosts = lab.hosts()
        host = self.hosts[0]
        self.image = api.get(host, "image", "/images?name=cairn-guest")[
            "images"][0]["id"]
        self.flavors = {f["name"]: f["id"] for f in api.get(
            host, "compute", "/flavors")["flavors"]}
        self.flavors[BIGGER] = self.flavors.get(BIGGER) or self.bigger(api)
        self.project = next(p["id"] for p in api.records(host, "project")
                            if p["name"] == "admin")
        self.network = None

    def bigger(self, api):
        """A flavor to resize to."""
        status, made = api.call(self.hosts[0], "POST", "compute", "/flavors", {
            "flavor": {"name": BIGGER, "vcpus": 1, "ram": 160, "disk": 1}})
        if status != 200:
            raise RuntimeError(f"no flavor: {status} {made}")
        return made["flavor"]["id"]

    def where(self):
        """Without a block store the image is on the first host only."""
        return {} if self.spread else {"availability_zone": "nova:h1"}


class Thing:
    """`of`: a snapshot's volume.  Of a server: its flavor, the one that it
    is being resized to, its volumes; of a volume: its server."""

    def __init__(self, kind, name, of=None):
        self.kind, self.name, self.id, self.of = kind, name, None, of
        self.flavor, self.wish = SMALL, None
        self.volumes, self.server = [], None


class Client(threading.Thread):
    def __init__(self, number, seed, world, history, auth, stop, without=()):
        super().__init__(name=f"client {number}", daemon=True)
        self.random = random.Random(f"{seed} client {number}")
        self.world, self.history, self.stop = world, history, stop
        self.number, self.made, self.without = number, 0, without
        self.api = Api(world.lab, auth=auth)
        self.mine, self.failed = [], None

    def run(self):
        while not self.stop.is_set():
            try:
                self.step()
            except Exception as e:  # a fault of the harness: the verdict
                self.failed = f"{type(e).__name__}: {e}"
                return
            self.stop.wait(self.random.uniform(0.02, 0.4))

    # --- one request, one row

    def ask(self, op, thing, method, path, body=None, value=None, learn=None,
            service=None, **more):
        """The row; `out` is ok, refused (it never happens) or unknown.
        `learn` makes more fields of a good answer."""
        service = service or KINDS[thing.kind].service
        host = self.random.choice(self.world.hosts)
        begun, data, status, why = self.history.now(), {}, None, None
        more = {"kind": thing.kind, "name": thing.name, "id": thing.id,
                "value": value, **more}
        try:
            status, data = self.api.call(host, method, service, path, body)
            out = "ok" if status < 300 else \
                "refused" if status < 500 else "unknown"
            why = None if out == "ok" else str(data)[:300]
            if out == "ok" and learn:
                more |= learn(data)
        except Lost as e:
            out, why = "unknown" if e.sent else "refused", str(e)[:300]
        return self.history.add(
            "op", client=self.number, op=op, node=host, begun=begun, out=out,
            status=status, why=why, **more)

    def step(self):
        kind = self.random.choices(
            ("network", "port", "volume", "snapshot", "server"),
            (4, 4, 3, 2, 4))[0]
        own = self.own(kind)
        if not own or (len(own) < KINDS[kind].most and
                       self.random.random() < 0.4):
            return self.create(kind)
        thing = self.random.choice(own)
        what = self.random.choices(
            (self.read, self.change, self.delete, self.act),
            (4, 4, 2, 6 if kind == "server" else 0))[0]
        return what(thing)

    def own(self, kind):
        return [t for t in self.mine if t.kind == kind]

    def next_name(self):
        self.made += 1
        return f"chaos-{self.number}-{self.made}"

    def create(self, kind):
        thing = Thing(kind, self.next_name())
        if kind == "snapshot":
            volumes = self.own("volume")
            if not volumes:
                return self.create("volume")
            thing.of = self.random.choice(volumes)
        value = f"{thing.name}-0"
        path, body = KINDS[kind].make(self.world, thing, value)
        row = self.ask("create", thing, "POST", path, body, value,
                       lambda data: {"id": data[kind]["id"]})
        if row["out"] == "ok":
            thing.id = row["id"]
            self.mine.append(thing)
        if kind == "server":
            self.tell(row, "flavor", thing, thing.flavor)
        if kind == "volume":
            self.tell(row, "attachment", thing, None)
        return row

    def tell(self, row, aspect, thing, value):
        """The same answer says something of an aspect of the thing, too."""
        self.history.add("op", client=self.number, op="change", kind=aspect,
                         name=thing.name + ASPECTS[aspect], id=thing.id,
                         value=value, **{k: row[k] for k in (
                             "node", "begun", "out", "status", "why")})

    def change(self, thing):
        self.made += 1
        value = f"{thing.name}-{self.made}"
        method, path, body = KINDS[thing.kind].change(self.world, thing, value)
        row = self.ask("change", thing, method, path, body, value)
        if row["out"] == "unknown":
            self.mine.remove(thing)

    def read(self, thing):
        def learn(data):
            shown = data[thing.kind]
            return {"value": value_of(thing.kind, shown),
                    "state": shown["status"]}
        return self.ask("read", thing, "GET", self.place(thing), learn=learn)

    def place(self, thing):
        path = KINDS[thing.kind].path.format(project=self.world.project)
        return f"{path}/{thing.id}"

    def state(self, thing):
        return (self.read(thing).get("state") or "").lower()

    def delete(self, thing):
        """Cinder refuses to delete what it is still making."""
        if KINDS[thing.kind].settles and self.state(thing) not in SETTLED:
            return
        row = self.ask("delete", thing, "DELETE", self.place(thing))
        if row["out"] == "refused":
            return
        self.mine.remove(thing)
        for volume in thing.volumes:
            self.tell(row, "attachment", volume, None)
            volume.server = None

    # --- what servers can do

    def act(self, server):
        state = self.state(server)
        if state == "verify_resize" and server.wish:
            return self.end_resize(server)
        if state not in ("active", "shutoff"):
            return None
        can = {"resize": 2, "migrate": 2 if state == "active" else 0,
               "attach": 4 if self.free(server) else 0,
               "detach": 4 if server.volumes else 0}
        can = {k: n for k, n in can.items() if n and k not in self.without}
        if not can:
            return None
        return getattr(self, self.random.choices(
            list(can), can.values())[0])(server)

    def free(self, server):
        return [] if server.volumes else \
            [v for v in self.own("volume") if not v.server]

    def ask_aspect(self, aspect, thing, value, method, path, body, **more):
        """A request about a server that changes an aspect of the thing."""
        more |= {"kind": aspect, "name": thing.name + ASPECTS[aspect],
                 "id": thing.id}
        return self.ask("change", thing, method, path, body, value,
                        service="compute", **more)

    def attach(self, server):
        volume = self.random.choice(self.free(server))
        row = self.ask_aspect(
            "attachment", volume, server.id, "POST",
            f"/servers/{server.id}/os-volume_attachments",
            {"volumeAttachment": {"volumeId": volume.id}})
        if row["out"] != "refused":
            server.volumes.append(volume)
            volume.server = server
        self.forget_lost(row, volume)

    def detach(self, server):
        volume = self.random.choice(server.volumes)
        row = self.ask_aspect(
            "attachment", volume, None, "DELETE",
            f"/servers/{server.id}/os-volume_attachments/{volume.id}", None)
        if row["out"] != "refused":
            server.volumes.remove(volume)
            volume.server = None
        self.forget_lost(row, volume)

    def forget_lost(self, row, *things):
        if row["out"] == "unknown":
            self.mine = [t for t in self.mine if t not in things]

    def action(self, server, name, value, body, **more):
        row = self.ask_aspect("flavor", server, value, "POST",
                              f"/servers/{server.id}/action", {name: body},
                              **more)
        self.forget_lost(row, server)
        return row

    def resize(self, server):
        wish = BIGGER if server.flavor == SMALL else SMALL
        row = self.action(server, "resize", wish,
                          {"flavorRef": self.world.flavors[wish]}, maybe=True)
        if row["out"] == "ok":
            server.wish = wish

    def end_resize(self, server):
        if self.random.random() < 0.5:
            row = self.action(server, "confirmResize", server.wish, None)
            if row["out"] == "ok":
                server.flavor = server.wish
        else:
            row = self.action(server, "revertResize", server.flavor, None)
        if row["out"] == "ok":
            server.wish = None

    def migrate(self, server):
        self.ask("migrate", server, "POST", f"/servers/{server.id}/action",
                 {"os-migrateLive": {"host": None,
                                     "block_migration": "auto"}})


class Workload:
    def __init__(self, world, history, auth, seed, without=(), clients=4):
        self.stop = threading.Event()
        self.clients = [Client(n, seed, world, history, auth, self.stop,
                               without)
                        for n in range(1, clients + 1)]

    def start(self):
        for c in self.clients:
            c.start()

    def end(self):
        """All answers are in; what went wrong in the harness itself."""
        self.stop.set()
        for c in self.clients:
            c.join(120)
        return [f"{c.name}: {c.failed or 'does not end'}"
                for c in self.clients if c.failed or c.is_alive()]
