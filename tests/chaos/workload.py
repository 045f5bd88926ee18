"""Clients that make, change and delete things through all nodes.

Each thing has a name that nobody else has, and one client that owns it and
waits for its answer before it asks again: so what must be there afterwards
follows from the answers alone (checker.py).  When an answer is lost its
owner never touches that thing again, for the request may still happen.
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


def make_network(world, name, value):
    return "/networks", {"network": {"name": name, "description": value}}


def make_port(world, name, value):
    return "/ports", {"port": {"name": name, "description": value,
                               "network_id": world.network}}


def make_volume(world, name, value):
    return f"/{world.project}/volumes", {"volume": {
        "name": name, "size": 1, "metadata": {"value": value}}}


def make_server(world, name, value):
    return "/servers", {"server": {
        "name": name, "flavorRef": world.flavor, "imageRef": world.image,
        "networks": "none", "metadata": {"value": value}, **world.where()}}


def put(what):
    def change(world, thing, value):
        return ("PUT", f"/{what}s/{thing.id}", {what: {"description": value}})
    return change


def change_volume(world, thing, value):
    return ("PUT", f"/{world.project}/volumes/{thing.id}/metadata",
            {"metadata": {"value": value}})


def change_server(world, thing, value):
    return ("PUT", f"/servers/{thing.id}/metadata",
            {"metadata": {"value": value}})


KINDS = {k.name: k for k in (
    Kind("network", "network", "/networks", 4, make_network, put("network")),
    Kind("port", "network", "/ports", 4, make_port, put("port")),
    Kind("volume", "volume", "/{project}/volumes", 2, make_volume,
         change_volume, settles=True),
    Kind("server", "compute", "/servers", 1, make_server, change_server,
         settles=True))}


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
        self.flavor = next(f["id"] for f in api.get(
            host, "compute", "/flavors")["flavors"]
            if f["name"] == "cairn.nano")
        self.project = next(p["id"] for p in api.records(host, "project")
                            if p["name"] == "admin")
        self.network = None

    def where(self):
        """Without a block store the image is on the first host only."""
        return {} if self.spread else {"availability_zone": "nova:h1"}


class Thing:
    def __init__(self, kind, name):
        self.kind, self.name, self.id = kind, name, None


class Client(threading.Thread):
    def __init__(self, number, seed, world, history, auth, stop):
        super().__init__(name=f"client {number}", daemon=True)
        self.random = random.Random(f"{seed} client {number}")
        self.world, self.history, self.stop = world, history, stop
        self.number, self.made = number, 0
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

    def ask(self, op, thing, method, path, body=None, value=None, learn=None):
        """The row; `out` is ok, refused (it never happens) or unknown.
        `learn` makes more fields of a good answer."""
        kind = KINDS[thing.kind]
        host = self.random.choice(self.world.hosts)
        begun, data, status, why = self.history.now(), {}, None, None
        more = {"id": thing.id, "value": value}
        try:
            status, data = self.api.call(host, method, kind.service, path,
                                         body)
            out = "ok" if status < 300 else \
                "refused" if status < 500 else "unknown"
            why = None if out == "ok" else str(data)[:300]
            if out == "ok" and learn:
                more |= learn(data)
        except Lost as e:
            out, why = "unknown" if e.sent else "refused", str(e)[:300]
        return self.history.add(
            "op", client=self.number, op=op, kind=thing.kind, name=thing.name,
            node=host, begun=begun, out=out, status=status, why=why, **more)

    def step(self):
        kind = self.random.choices(("network", "port", "volume", "server"),
                                   (4, 4, 3, 2))[0]
        own = [t for t in self.mine if t.kind == kind]
        if not own or (len(own) < KINDS[kind].most and
                       self.random.random() < 0.4):
            return self.create(kind)
        thing = self.random.choice(own)
        what = self.random.choices((self.read, self.change, self.delete),
                                   (4, 4, 2))[0]
        return what(thing)

    def next_name(self):
        self.made += 1
        return f"chaos-{self.number}-{self.made}"

    def create(self, kind):
        thing = Thing(kind, self.next_name())
        value = f"{thing.name}-0"
        path, body = KINDS[kind].make(self.world, thing.name, value)
        row = self.ask("create", thing, "POST", path, body, value,
                       lambda data: {"id": data[kind]["id"]})
        if row["out"] == "ok":
            thing.id = row["id"]
            self.mine.append(thing)

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

    def delete(self, thing):
        """Cinder refuses to delete what it is still making."""
        if KINDS[thing.kind].settles and self.read(thing).get(
                "state", "").lower() not in SETTLED:
            return
        row = self.ask("delete", thing, "DELETE", self.place(thing))
        if row["out"] != "refused":
            self.mine.remove(thing)


class Workload:
    def __init__(self, world, history, auth, seed, clients=4):
        self.stop = threading.Event()
        self.clients = [Client(n, seed, world, history, auth, self.stop)
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
