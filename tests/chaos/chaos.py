#!/usr/bin/python3
"""Torments a pool in the laboratory, and judges what is left of it.

make chaos SECONDS=60 SEED=1; docs/dev/chaos.md.  History and verdict are
kept in build/chaos/NAME.  Exit code 0: all that was promised holds.
"""
import argparse
import json
import os
import shutil
import sys
import time
import traceback

import checker
import state
from guests import Watch, Writers
from history import History
from moves import Moves
from nemesis import Nemesis, heal_all, plan
from pool import ROOT, Api, Lab, Lost, wait_until
from workload import ASPECTS, KINDS, Workload, World, value_of

# Until a healed pool rests, or has carried out what it was told: generous,
# for what is asked is whether it gets there, on machines that are busy.
PATIENCE_S = 600


def what_stays(look, seconds):
    """What look() finds, until that is nothing or the time is over."""
    def nothing():
        nothing.bad = look()
        return not nothing.bad
    try:
        wait_until("nothing is left", nothing, seconds, pause=1)
    except TimeoutError:
        pass
    return nothing.bad


class Run:
    def __init__(self, options):
        self.o = options
        self.lab = Lab(options.name, os.environ.get("BUILD", "build"))
        self.dir = ROOT / "build/chaos" / options.name
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.history = History(self.dir / "history.jsonl")
        self.bad, self.figures = [], {}

    def say(self, text):
        print(f"{self.history.now():8.1f} s  {text}", flush=True)

    def judge(self, what, sentences):
        self.bad += [f"{what}: {s}" for s in sentences]

    # --- the pool

    def prepare(self):
        self.lab("down", check=False)
        env = {"STATE_GIB": "8", "NOBUILD": "1"}
        if self.o.ceph:
            env["VOLUMES"] = "ceph"
        self.lab("up", self.o.hosts, **env)
        self.api = Api(self.lab)
        self.hosts = self.lab.hosts()
        wait_until("all vote", self.all_vote, PATIENCE_S)
        self.world = World(self.lab, self.api, spread=self.o.ceph)
        status, made = self.api.call(
            "h1", "POST", "network", "/networks",
            {"network": {"name": "chaos"}})
        self.world.network = made["network"]["id"]
        self.rebalance("on")  # a record that is there before
        self.before = state.dump(self.api, "h1")
        self.files_before = state.files(self.lab)
        self.images_before = self.images()

    def rebalance(self, how):
        """While it is judged, nothing moves that nobody asked to."""
        def accepted():
            try:
                status, _ = self.api.call("h1", "PUT", "cairn", "/policy",
                                          {"rebalancing": how})
            except Lost:
                return False
            return status == 200
        wait_until(f"rebalancing is {how}", accepted, PATIENCE_S)

    def images(self):
        return state.images(self.lab) if self.o.ceph else set()

    def all_vote(self):
        """The founder's etcd has three members that have started."""
        members = self.lab.on("h1", "cat", "/var/lib/cairn/store",
                              check=False)
        return members.count(":2379") >= min(3, self.o.hosts)

    # --- the storm

    def storm(self):
        writers = Writers(self.world, self.api, self.history, self.o.writers)
        writers.start()
        self.writers = writers
        self.say(f"{len(writers.ids)} guests write")
        self.watch = Watch(self.lab, self.history, list(writers.ids))
        self.watch.start()
        work = Workload(self.world, self.history, self.api.auth, self.o.seed,
                        self.o.without)
        moves = Moves(self.world, self.history, self.api.auth, self.o.seed,
                      list(writers.ids), self.o.without)
        acts = plan(self.o.seed, self.o.seconds, self.hosts, self.without())
        nemesis = Nemesis(self.lab, self.history, acts,
                          time.monotonic() + self.o.seconds)
        work.start()
        moves.start()
        nemesis.start()
        self.follow(nemesis)
        self.judge("harness", [nemesis.failed] if nemesis.failed else [])
        heal_all(self.lab)
        self.say("healed")
        self.judge("harness", work.end() + moves.end())

    def without(self):
        return self.o.without + ([] if self.o.ceph else
                                 ["slow disk", "unplug storage"])

    def follow(self, nemesis):
        told = 0
        while nemesis.is_alive():
            nemesis.join(0.5)
            rows = self.history.of("nemesis")
            for row in rows[told:]:
                if row["state"] != "end":
                    self.say(f"{row['act']}: {row['state']} "
                             f"{row.get('why', '')}")
            told = len(rows)

    # --- the verdict

    def verdict(self):
        self.rebalance("off")
        self.rest()
        self.say("quiet")
        self.judge("guests", self.writers.settle())
        checks = self.writers.check(self.watch)
        self.rest()
        self.watch.end()
        rows = self.history.rows
        dumps = state.dumps(self.api, self.hosts)
        dump = dumps[self.hosts[0]]
        self.judge("answers", checker.check_answers(rows, self.final(dump)))
        self.judge("guests", checker.check_writers(
            rows, self.writers.ids, checks))
        self.judge("nodes", checker.check_same(dumps))
        self.judge_accounts(dump)
        self.count(rows)
        self.say("judged; deletes everything")
        self.delete_all(dump)

    def rest(self):
        """What it waits for is kept: a pool that rests late is slow."""
        self.judge("quiet", state.quiet(
            self.api, self.hosts, PATIENCE_S,
            lambda why: self.history.add("unrest", why=why)))

    def final(self, dump):
        """As the history has it: things, and what they are tied to."""
        found = {kind: [{"id": r["id"], "name": r["name"],
                         "value": value_of(kind, r)}
                        for r in dump.get(kind, {}).values()]
                 for kind in KINDS}
        found["flavor"] = [
            {"id": s["id"], "name": s["name"] + ASPECTS["flavor"],
             "value": s["flavor_name"]} for s in dump["server"].values()]
        found["attachment"] = [
            {"id": v["id"], "name": v["name"] + ASPECTS["attachment"],
             "value": next((a["server_id"] for a in v.get(
                 "attachments", [])), None)}
            for v in dump.get("volume", {}).values()]
        return found

    def judge_accounts(self, dump):
        self.judge("usage", checker.check_usage(dump))
        self.judge("claims", checker.check_claims(dump))
        self.judge("migrations", checker.check_migrations(dump))
        self.judge("references", checker.check_references(dump))
        self.judge("domains", checker.check_domains(dump, state.domains(
            self.lab)))
        self.judge("volumes", checker.check_attached(dump, state.sources(
            self.lab)))
        self.judge("health", checker.check_well(dump))
        self.judge("OVN", self.ovn_differs(dump))
        # What a guest left that was on its way is swept up once a minute.
        self.judge("files", what_stays(
            lambda: self.files_of_nobody(dump), 120))

    def ovn_differs(self, dump):
        """OVN follows behind: until it agrees, or for two minutes."""
        def look():
            found = state.ovn(self.lab)
            ports = {p for p in found["logical_switch_port"]
                     if state.UUID.fullmatch(p)}
            return checker.check_names(
                "switch", found["logical_switch"], dump["network"]) + \
                checker.check_names("port", ports, set(dump.get("port", {})))
        return what_stays(look, 120)

    def files_of_nobody(self, dump):
        now = {k: v for k, v in dump.items() if k not in checker.HISTORY}
        known = set(state.UUID.findall(json.dumps(now)))
        found = {**state.files(self.lab), "Ceph": self.images()}
        return [f"{where}: {f} is of nobody"
                for where, names in found.items() for f in sorted(names)
                if state.UUID.search(f) and
                not known & set(state.UUID.findall(f))]

    def count(self, rows):
        ops = [r for r in rows if r["what"] == "op"]
        self.figures |= {
            "operations": len(ops),
            **{out: sum(r["out"] == out for r in ops)
               for out in ("ok", "refused", "unknown")},
            "slowest_answer_s": max((r["at"] - r["begun"] for r in ops
                                     if r["out"] == "ok"), default=0),
            "staleness": checker.staleness(rows),
            "on_two_hosts_s": checker.overlaps(rows),
            "asked": checker.count_asked(rows),
            "acts": [r["act"] + ": " + r["state"] for r in rows
                     if r["what"] == "nemesis" and r["state"] != "end"]}

    def delete_all(self, dump):
        """What the storm has left goes; then nothing may be left of it."""
        for kind in ("server", "snapshot", "volume", "port", "network"):
            self.delete_kind(kind)
        self.judge("leaks", self.leaks())

    def mine(self, kind):
        return [i for i in state.dump(self.api, "h1").get(kind, {})
                if i not in self.before.get(kind, {})]

    def delete_kind(self, kind):
        def gone():
            left = self.mine(kind)
            for i in left:
                path = KINDS[kind].path.format(project=self.world.project)
                try:
                    gone.why = i, self.api.call(
                        "h1", "DELETE", KINDS[kind].service, f"{path}/{i}")
                except Lost as e:
                    gone.why = i, e
            return not left
        gone.why = ""
        try:
            wait_until(f"{kind}s are gone", gone, PATIENCE_S / 2, pause=1)
        except TimeoutError as e:
            self.judge("leaks", [f"{e} ({gone.why})"])

    def leaks(self):
        def left():
            after = state.dump(self.api, "h1")
            bad = checker.check_leaks(self.before, after)
            bad += checker.check_usage(after)
            bad += checker.check_migrations(after)
            bad += self.ovn_differs(after)
            bad += [f"domain {s} on {h}" for h, found in state.domains(
                self.lab).items() for s in found]
            for host, found in state.files(self.lab).items():
                more = set(found) - set(self.files_before[host])
                bad += [f"{host}: {f} is left" for f in sorted(more)]
            bad += [f"Ceph: {f} is left" for f in sorted(
                self.images() - self.images_before)]
            return bad
        return what_stays(left, 180)

    def keep(self):
        verdict = {"seed": self.o.seed, "seconds": self.o.seconds,
                   "good": not self.bad, "bad": self.bad, **self.figures}
        (self.dir / "verdict.json").write_text(
            json.dumps(verdict, indent=1) + "\n")
        self.history.close()
        for host in self.lab.hosts():
            self.keep_log(host)

    def keep_log(self, host):
        """All of them, or, if all was good, cairnd's."""
        log = self.lab.home(host) / "log"
        if self.bad:
            shutil.copytree(log, self.dir / f"log-{host}",
                            ignore_dangling_symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy(log / "node/cairnd.log",
                        self.dir / f"cairnd-{host}.log")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--seed", default="1")
    p.add_argument("--name", default="chaos")
    p.add_argument("--hosts", type=int, default=3)
    p.add_argument("--writers", type=int, default=2)
    p.add_argument("--ceph", action="store_true")
    p.add_argument("--keep", action="store_true", help="leave the lab up")
    p.add_argument("--without", action="append", default=[])
    run = Run(p.parse_args())
    try:
        run.prepare()
        run.say("the pool is up")
        run.storm()
        run.verdict()
    except Exception as e:
        run.bad.append(f"harness: {type(e).__name__}: {e}")
        run.history.add("harness", why=traceback.format_exc())
        if run.o.keep:
            raise
    finally:
        run.keep()
        if not run.o.keep:
            run.lab("down", check=False)
    for sentence in run.bad:
        print(f"FAILED {sentence}")
    f = run.figures
    print(f"{'FAILED' if run.bad else 'ok'}  seed {run.o.seed}: "
          f"{f.get('operations', 0)} operations ({f.get('ok', 0)} ok, "
          f"{f.get('unknown', 0)} unknown), {len(f.get('acts', []))} acts; "
          f"{run.dir}")
    return 1 if run.bad else 0


if __name__ == "__main__":
    sys.exit(main())
