# Every target does its own set-up: a clone, Python 3.11 or later and PyPI are enough.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
MODE ?=
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: help demo test chaos mutants bench plots lint format lock clean

help: ## say what each target does
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

# One virtual environment, three depths: what the demo needs, all that developing needs, and the peers of the bench.
# A stamp is as new as the lock it was installed from, so a second run installs nothing.
.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Entity Stream needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@echo "setting up .venv, once" >&2
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/demo: requirements/demo.lock pyproject.toml | .venv/created
	@echo "installing what the demo needs" >&2
	@$(PIP) install --require-hashes --requirement requirements/demo.lock
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

.venv/dev: requirements/dev.lock .venv/demo
	@echo "installing what the tests need" >&2
	@$(PIP) install --require-hashes --requirement requirements/dev.lock
	@touch $@

.venv/bench: requirements/bench.lock .venv/dev
	@echo "installing what the bench compares with" >&2
	@$(PIP) install --require-hashes --requirement requirements/bench.lock
	@touch $@

# With job control, Ctrl-C on a terminal reaches the demo alone: it drains and exits 0, and make with it.
demo: .venv/demo ## broker, engine and service on this machine; ARGS="--help" tells what it takes
	@bash -c '[ ! -t 0 ] || set -m; "$$0" demo "$$@"; exit $$?' $(BIN)/entity-stream $(ARGS)

test: .venv/dev ## all tests; with Docker, or Java and Maven, also those against a real Kafka
	$(BIN)/python -m pytest $(ARGS)

chaos: .venv/dev ## real processes, killed and stopped while the judge keeps books; MODE=exactly_once, ARGS="--help"; needs Java and Maven
	$(BIN)/python -m tests.chaos $(if $(MODE),--mode $(MODE)) $(ARGS)

mutants: .venv/dev ## planted bugs that the chaos has to find, each in a copy of the package; ARGS="NAME ..."
	$(BIN)/python -m tests.chaos --mutants $(ARGS)

bench: .venv/bench ## throughput, quota, CPU and memory beside the peers, in one run; ARGS="--help"
	$(BIN)/python -m tests.bench $(ARGS)

plots: .venv/bench ## how polling learns, scenario by scenario, in figures and drawn; ARGS="--out FOLDER NAME ..."
	$(BIN)/python -m tests.polling $(ARGS)

lint: .venv/dev ## format, lint rules and strict types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: .venv/dev ## rewrite the code as the formatter wants it
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: ## pin every dependency anew, with hashes; needs uv
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-annotate --quiet --upgrade --custom-compile-command "make lock" --extra demo --output-file requirements/demo.lock \
	  pyproject.toml requirements/build.in
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-annotate --quiet --upgrade --custom-compile-command "make lock" --extra dev --constraint requirements/demo.lock --output-file requirements/dev.lock \
	  pyproject.toml requirements/build.in
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-annotate --quiet --upgrade --custom-compile-command "make lock" --extra bench --constraint requirements/dev.lock --output-file requirements/bench.lock \
	  pyproject.toml requirements/build.in

clean: ## remove what the other targets made
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
