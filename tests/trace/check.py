#!/usr/bin/python3
"""Checks an assignments file of bench/trace, with no code of the engine.

    tests/trace/check.py --nodes NODES.csv --tasks SEQUENCE.csv OUT.csv

SEQUENCE is what was placed (bench/trace --as-given), OUT has a row
`task,node,gpus` for each of it, in order. Says the first thing that is wrong
and exits with 1, or prints the share of the GPUs that is allocated.
"""
import argparse
import csv
import sys


class Wrong(Exception):
    pass


class Node:
    def __init__(self, row):
        self.name = row["sn"]
        self.cpu = int(row["cpu_milli"])
        self.memory = int(row["memory_mib"])
        self.gpus = [1000] * int(row["gpu"])
        self.model = row["model"]

    def take(self, task, gpus):
        count, thousandths = int(task["num_gpu"]), int(task["gpu_milli"])
        self.cpu -= int(task["cpu_milli"])
        self.memory -= int(task["memory_mib"])
        if self.cpu < 0 or self.memory < 0:
            raise Wrong(f"{self.name} has not that much CPU or memory")
        count = count if thousandths else 0
        if len(gpus) != count or len(set(gpus)) != count:
            raise Wrong(f"{count} GPUs are asked for, it got {gpus}")
        allowed = (task.get("gpu_spec") or self.model).split("|")
        if count and self.model not in allowed:
            raise Wrong(f"{self.name} has {self.model}, not {allowed}")
        for gpu in gpus:
            if not 0 <= gpu < len(self.gpus):
                raise Wrong(f"{self.name} has no GPU {gpu}")
            self.gpus[gpu] -= thousandths
            if self.gpus[gpu] < 0:
                raise Wrong(f"GPU {gpu} of {self.name} is given away twice")

    def room(self, task):
        """Could it take the task?"""
        count, thousandths = int(task["num_gpu"]), int(task["gpu_milli"])
        count = count if thousandths else 0
        allowed = (task.get("gpu_spec") or self.model).split("|")
        return (
            self.cpu >= int(task["cpu_milli"])
            and self.memory >= int(task["memory_mib"])
            and (not count or self.model in allowed)
            and sum(g >= thousandths for g in self.gpus) >= count
        )


def rows(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def check(nodes, tasks, assignments):
    """The share of the GPUs that is allocated, in per cent; or Wrong."""
    pool = {}
    for row in nodes:
        pool[row["sn"]] = Node(row)
    if len(assignments) != len(tasks):
        raise Wrong(f"{len(tasks)} tasks, {len(assignments)} rows")
    for i, (task, row) in enumerate(zip(tasks, assignments)):
        if row["task"] != str(i):
            raise Wrong(f"row {i} is of task {row['task']}")
        try:
            if row["node"]:
                gpus = [int(g) for g in row["gpus"].split("|") if g]
                if row["node"] not in pool:
                    raise Wrong(f"there is no node {row['node']}")
                pool[row["node"]].take(task, gpus)
            elif any(n.room(task) for n in pool.values()):
                raise Wrong("turned away, though there is room")
        except Wrong as e:
            raise Wrong(f"task {i}: {e}") from None
    everything = sum(1000 * len(n.gpus) for n in pool.values())
    left = sum(sum(n.gpus) for n in pool.values())
    return 100 * (everything - left) / everything


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--nodes", required=True)
    p.add_argument("--tasks", required=True)
    p.add_argument("assignments")
    args = p.parse_args()
    try:
        share = check(rows(args.nodes), rows(args.tasks), rows(args.assignments))
    except Wrong as e:
        sys.exit(f"{args.assignments}: {e}")
    print(f"{share:.3f} % of the GPUs allocated")


if __name__ == "__main__":
    main()
