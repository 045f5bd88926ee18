"""An operator who moves the guests that write while all this happens.

Their own checks (guests.py) say whether a block was lost on the way, or
whether one ran twice.  What was asked is in the history as "move"; nothing
follows from the answers, for a move may fail.
"""
import random
import threading

from pool import Api, Lost
from workload import BIGGER, SMALL

# What, how often, and from which states.  Nothing is reverted: a guest
# goes back to the disk it had before, and what it wrote since is rightly gone
# (the clients of workload.py do revert, servers that do not write).
MOVES = {"migrate": (5, "ACTIVE"), "resize": (2, "ACTIVE"),
         "confirm": (8, "VERIFY_RESIZE"), "reboot": (1, "ACTIVE")}


class Moves(threading.Thread):
    def __init__(self, world, history, auth, seed, servers, without=()):
        super().__init__(name="moves", daemon=True)
        self.random = random.Random(f"{seed} moves")
        self.world, self.history, self.servers = world, history, servers
        self.api, self.without = Api(world.lab, auth=auth), without
        self.over, self.failed = threading.Event(), None

    def run(self):
        while not self.over.wait(self.random.uniform(1, 5)):
            try:
                self.step(self.random.choice(self.servers))
            except Lost:
                pass  # nobody knows its state: another time
            except Exception as e:  # a fault of the harness: the verdict
                self.failed = f"moves: {type(e).__name__}: {e}"
                return

    def step(self, server):
        host = self.random.choice(self.world.hosts)
        status, data = self.api.call(host, "GET", "compute",
                                     f"/servers/{server}")
        if status != 200:
            return
        can = {m: n for m, (n, state) in MOVES.items()
               if state == data["server"]["status"] and m not in self.without}
        if can:
            move = self.random.choices(list(can), can.values())[0]
            self.ask(host, server, move, data["server"])

    def body(self, move, shown):
        if move == "migrate":
            to = self.random.choice([None] + self.world.hosts)
            return {"os-migrateLive": {"host": to, "block_migration": "auto"}}
        if move == "resize":
            small = shown["flavor"]["original_name"] == SMALL
            flavor = self.world.flavors[BIGGER if small else SMALL]
            return {"resize": {"flavorRef": flavor}}
        return {"confirm": {"confirmResize": None},
                "reboot": {"reboot": {"type": "HARD"}}}[move]

    def ask(self, host, server, move, shown):
        out, why = "unknown", None
        try:
            status, data = self.api.call(
                host, "POST", "compute", f"/servers/{server}/action",
                self.body(move, shown))
            out = "ok" if status < 300 else "refused"
            why = None if out == "ok" else str(data)[:300]
        except Lost as e:
            why = str(e)[:300]
        self.history.add("move", server=server, move=move, node=host, out=out,
                         why=why)

    def end(self):
        self.over.set()
        self.join(120)
        return [self.failed or "moves: does not end"] \
            if self.failed or self.is_alive() else []
