# Every recipe makes its own .venv first; each is safe to repeat. `make help` lists them.
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
BIN := .venv/bin
PY := $(BIN)/python
MODEL ?= smollm2-135m
SEEDS ?= 20
SEED_BASE ?= 1
EDGES ?= 20
HOURS ?= 24
JOBS ?= 2
ONLY ?=
CUT ?= 240
RATE ?= 1
TRACES ?=
LIVE ?=
COMPILE := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate --no-config
PURE := src/littoral/domain/*,src/littoral/trust/*,src/littoral/cost/*,src/littoral/placement/*,src/littoral/planner/*
export PYTHON TRACES

.DEFAULT_GOAL := help
.PHONY: help up down test check lint static cover slow sim lab conformance docs translations wheel lock clean base dev \
	bench-engines bench-gateway bench-serving bench-start bench-outbox bench-footprint bench-traffic bench-overload bench-loadgen bench-memory bench-placement bench-delivery bench-fleet bench-records bench-audits bench-simulation

help:           ## list the recipes
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

up: base        ## set up, fetch a model, start, answer a first question
	@$(BIN)/littoral up --detach --model $(MODEL)

down: base      ## stop what `make up` started
	@$(BIN)/littoral down

test: dev       ## the default test suite
	@$(PY) -m pytest -q -n auto

check: lint static docs cover ## what CI runs: style, contracts, types, docs, the tests under coverage

lint: dev       ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

static: dev     ## import contracts, types, dependencies, dead code
	PYTHONPATH=src $(BIN)/lint-imports --no-logo
	$(BIN)/basedpyright
	$(BIN)/deptry src
	@$(PY) scripts/dead_code.py

cover: dev      ## the default test suite, and how much of the code it runs
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -n auto
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report --fail-under=90
	@$(BIN)/coverage report --fail-under=100 --include="$(PURE)"

slow: dev       ## kill loops, ledger equality, power-loss images, the size of an install
	@$(PY) -m pytest -q -m slow

sim: dev        ## simulate fleets: SEEDS of them from SEED_BASE on, EDGES edges for HOURS each
	@seq $(SEED_BASE) $$(($(SEED_BASE) + $(SEEDS) - 1)) | xargs -P $(JOBS) -I SEED \
		$(BIN)/littoral lab fleet --edges $(EDGES) --hours $(HOURS) --seed SEED

lab: dev        ## real processes in network namespaces (root): ONLY=site,... CUT=seconds RATE=1
	@$(PY) tests/lab/run.py --only "$(ONLY)" --cut $(CUT) --rate $(RATE)

conformance: dev ## unmodified clients, each in its own environment, and the table of what works
	@$(PY) tests/clients/run.py

docs: dev       ## English and Chinese pages into docs/_build
	@$(BIN)/sphinx-build -W -q -b html docs docs/_build/en
	@$(BIN)/sphinx-build -W -q -b html -D language=zh_CN docs docs/_build/zh

translations: dev ## bring docs/locale up to date with the English pages
	@rm -rf docs/_build/gettext
	@$(BIN)/sphinx-build -W -q -b gettext docs docs/_build/gettext
	@cd docs/_build/gettext && rm -rf adr explanation reference performance.pot
	@$(BIN)/sphinx-intl update -p docs/_build/gettext -d docs/locale -l zh_CN -w 0 --no-obsolete

bench-engines bench-gateway bench-serving bench-start bench-outbox bench-footprint bench-traffic bench-overload bench-loadgen bench-memory bench-placement bench-delivery bench-fleet bench-records bench-audits bench-simulation: dev ## measure; figures go to bench/out
	@$(PY) bench/$(@:bench-%=%)/run.py

.PHONY: bench-placement-live bench-placement-virtual
bench-placement-virtual: dev ## placement as on the two real engines, in virtual time: half a minute
	@$(PY) bench/placement/virtual.py

bench-placement-live: dev ## placement on two real engines, 40 minutes: LIVE="--edge a.gguf --cloud b.gguf"
	@$(PY) bench/placement/live.py $(LIVE)

wheel: dev      ## build dist/*.whl
	@$(PY) -m build --wheel --no-isolation --outdir dist .

lock: dev       ## resolve requirements/*.txt anew, from the public index
	@$(BIN)/$(COMPILE) pyproject.toml requirements/base.in --extra llama -o requirements/base.txt
	@$(BIN)/$(COMPILE) pyproject.toml requirements/base.txt requirements/dev.in --extra embed --extra llama --extra testing -o requirements/dev.txt

clean:          ## remove everything the recipes made here
	rm -rf .venv dist docs/_build bench/out .clients .coverage .coverage.* .pytest_cache .ruff_cache .hypothesis .import_linter_cache

base dev:
	@scripts/setup.sh $@
