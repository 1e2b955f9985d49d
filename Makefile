# Every target does its own set-up: `make run` and `make test` work in a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DOCS := README.md $(wildcard docs/*.md)
# `make check` keeps the tests' files in memory where there is room: the disk is proved by `make test`.
IN_MEMORY := $(shell [ "$$(df --output=avail /dev/shm 2>/dev/null | tail -1)" -gt 1000000 ] 2>/dev/null && echo TMPDIR=/dev/shm)

.PHONY: help env env-dev run demo test check lint picture pictures bench lock docs clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(VENV)/.run  ## build .venv with what `tocsin run` needs

env-dev: $(VENV)/.dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Tocsin needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml requirements/run.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/build.txt -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

run: env  ## watch this host with the shipped config
	@$(BIN)/tocsin run

demo: env  ## a day of trouble, through the real pipeline, in a minute
	@$(BIN)/tocsin demo

test: env-dev  ## everything, with real servers
	@$(BIN)/python -m tests.services.setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: env-dev  ## ruff, mypy, layers, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PYTHONPATH=. $(BIN)/cog --check -I . $(DOCS)

check: lint  ## lint and the tests that need no server
	$(IN_MEMORY) $(BIN)/python -m pytest -q -m 'not server and not slow' -n 2 --dist worksteal --hypothesis-profile quick

docs: env-dev  ## write what the docs show of the code
	PYTHONPATH=. $(BIN)/cog -r -I . $(DOCS)

picture: env-dev  ## record the demo as docs/demo.svg
	$(BIN)/python docs/record.py

pictures: env-dev  ## draw the messages that docs/paging.md shows, with Chromium
	PYTHONPATH=. $(BIN)/python -m docs.pictures

bench: env-dev  ## measure, against a named peer or limit each
	$(BIN)/python -m benchmarks.run

lock:  ## pin everything anew, with hashes
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet uv
	for set in build base run dev; do $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header requirements/$$set.in -o requirements/$$set.txt; done
	rm -rf $(VENV)-lock

clean:  ## remove what the targets built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
