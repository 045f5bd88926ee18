# Cairn's verbs. Each is one line of what it does and one script that does
# it; the build itself is CMakeLists.txt.
#
#   SAN=address,undefined | SAN=thread   a sanitizer build, in a directory of
#                                        its own (build-address-undefined)
#   CC=clang                             the other compiler (build-clang)

.DEFAULT_GOAL := help
.PHONY: help build up down status check sim bench trace fmt lint docs fuzz \
    guest lab lab-down check-lab chaos faults clean engine-compare

export SAN
ifneq ($(origin CC),default)
export CC
else
unexport CC
endif
SEEDS ?= 200
FIRST ?= 1
N ?= 20000000
BUILD  = $(shell scripts/build --dir)

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | \
	    awk -F'\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'
	@echo
	@echo "  SAN=address,undefined or SAN=thread, and CC=clang, go with" \
	    "build, check, sim."

build: ## compile everything, tests and benchmarks too (packages first)
	@scripts/packages
	@scripts/build

up: ## start a pool of one node on this machine; prints how to use it
	@scripts/up

down: ## end that pool and remove everything it kept
	@scripts/down

lab: ## start a pool of NODES=3 hosts on this machine (tests/lab/lab)
	@tests/lab/lab up $(or $(NODES),3)

lab-down: ## end that one
	@tests/lab/lab down

status: ## what runs, where it answers, where its logs are
	@scripts/node status

check: ## all tests: style, units, simulation, fuzzers, the whole system
	@scripts/check

check-lab: ## the tests of many hosts alone: they join, and are one pool
	@scripts/packages
	@scripts/build
	@tests/guest/build build/guest >/dev/null
	@BUILD=$(BUILD) /usr/bin/python3 -m pytest -q -rf -p no:cacheprovider \
	    tests/lab/test_lab.py tests/lab/test_network.py

chaos: ## torment a pool for SECONDS=60 with SEED=1 (CEPH=1), and judge it
	@scripts/packages
	@scripts/build
	@tests/guest/build build/guest >/dev/null
	@BUILD=$(BUILD) /usr/bin/python3 tests/chaos/chaos.py \
	    --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1) \
	    $(if $(CEPH),--ceph)

faults: ## longer than make check: what recovery does, PARTS="one-way ..."
	@scripts/packages
	@scripts/build
	@BUILD=$(BUILD) NOBUILD=1 tests/lab/faults $(PARTS)

sim: ## simulate SEEDS=200 seeds from FIRST=1 on; SIZE=pool, local or large: many nodes
	@scripts/build sim
	@$(BUILD)/tests/sim --seeds $(SEEDS) --first $(FIRST) \
	    $(addprefix --,$(filter-out one,$(SIZE))) --jobs $(shell nproc)

engine-compare: ## check N=20000000 placements against the plain choice
	@scripts/build
	@$(BUILD)/tests/test_choose $(N)

bench: ## measure; one page, and the same as build/bench.json
	@scripts/build
	@scripts/bench

.PHONY: bench-lab
bench-lab: ## measure a pool of several hosts: one JSON line a figure (PARTS="moves")
	@scripts/packages
	@scripts/build
	@tests/guest/build build/guest >/dev/null
	@BUILD=$(BUILD) /usr/bin/python3 bench/lab/bench_lab.py $(PARTS)

.PHONY: trace
trace: ## replay the OpenB trace in DATA=../shared/data/openb (not part of this)
	@scripts/build
	@scripts/trace $(DATA)

fmt: ## format every C file
	@scripts/fmt

lint: ## format check, floors of the house, lengths, documents, clang-tidy
	@scripts/lint

docs: ## write the pages of docs/ that come from tables in the code
	@scripts/build
	@scripts/docs

fuzz: ## run each fuzzer for SECS=60 seconds
	@scripts/fuzz

guest: ## build the small guest image
	@scripts/packages
	@tests/guest/build build/guest

clean: ## remove the build directories (make down first)
	@scripts/clean
