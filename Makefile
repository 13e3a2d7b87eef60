# make karmma   set up, fit the models to KarMMa, run its design, write results/karmma/
# make test     set up, run every test but the slow ones
# make quick    what every commit must pass: style, types, architecture, every snapshot (four minutes on two cores)
# make slow     the tests that take minutes each: facts left out, the score of the fit, the second notebook
# make snapshots   keep what today's code gives in place of the kept numbers; read the diff, say why in CHANGELOG.md
# make calibrate   simulation-based calibration of the fit of time to event (an hour and a half)
# make fuzz     5,000 scenarios, studies and data of each kind, good and bad; what it finds: results/fuzz-*.json
# make kills    100 runs, fits and replications killed; nothing half-written may be left
# make bench    the speed budgets, side by side (not part of the tests)
SHELL := /bin/bash
.DEFAULT_GOAL := help

# uv is installed below .cache/, nothing of the user's is touched. Interpreters kept by pyenv come last on
# the PATH that uv searches; where no CPython >= 3.12 is found, uv downloads one of its own.
UV := .cache/uv/bin/uv
export PATH := $(PATH):$(subst $(eval ) ,:,$(wildcard $(HOME)/.pyenv/versions/*/bin))
BIN := .venv/bin
# the compilation caches of a checkout stay inside it
export PYTENSOR_FLAGS := base_compiledir=$(CURDIR)/.cache/pytensor$(if $(PYTENSOR_FLAGS),$(comma)$(PYTENSOR_FLAGS))
export VTRIAL_CACHE ?= $(CURDIR)/.cache/vtrial

.PHONY: help setup karmma test quick slow snapshots lint fuzz kills bench calibrate lock clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(UV):
	python3 -m pip install --quiet --disable-pip-version-check --target .cache/uv uv

.venv/.ready: $(UV) requirements.lock pyproject.toml
	$(UV) venv --quiet --allow-existing --python '>=3.12,<3.15' .venv
	$(UV) pip sync --quiet --python .venv --require-hashes --compile-bytecode requirements.lock
	$(UV) pip install --quiet --python .venv --no-deps --editable .
	@touch $@

setup: .venv/.ready

karmma: setup
	$(BIN)/vtrial fit karmma
	$(BIN)/vtrial run karmma --out results/karmma

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

quick: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -q tests/architecture tests/snapshots

slow: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

snapshots: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/snapshots --update-snapshots

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fuzz: setup
	$(BIN)/python -m tests.fuzz

kills: setup
	$(BIN)/python -m tests.fuzz.kills

bench: setup
	$(BIN)/python -m tests.benchmarks

calibrate: setup
	$(BIN)/python -m tests.calibration --at prior
	$(BIN)/python -m tests.calibration --at posterior

# after a change of the dependencies in pyproject.toml
lock: $(UV)
	$(UV) pip compile pyproject.toml --extra dev --universal --python-version 3.12 --upgrade \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --quiet -o requirements.lock

clean:
	rm -rf .venv .cache results build dist
