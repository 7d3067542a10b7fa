# Everything a developer or a first user does, from a fresh clone: `make` lists it.
#
# Packages go to .venv. Stamp files in there remember what is installed, so that a second call
# costs nothing and a changed requirements file is noticed.

PYTHON ?= python3
VENV ?= .venv
KEEP ?= 1
PYTEST_ARGS ?=
BENCH_ARGS ?=
DEMO_ARGS ?=

SHELL := bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A stamp per version: PYTHON=python3.13 after python3.11 means a new environment.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CREATED := $(VENV)/.stamp-python$(VERSION)
SERVER := $(VENV)/.stamp-server
PGSERVER := $(VENV)/.stamp-pgserver
DEV := $(VENV)/.stamp-dev
BENCH := $(VENV)/.stamp-bench
# pgserver:///… needs PostgreSQL from PyPI; everything else does without that download.
DATABASE := $(if $(filter pgserver:%,$(DATABASE_URL)),$(PGSERVER))
# Ctrl-C is how these end: the shell waits for them, and make has no error to tell of.
UNTIL_CTRL_C := trap : INT;
OR_130 := || [ $$? -eq 130 ]

.PHONY: help setup demo serve test lint bench docs screenshots clean

help: ## Print this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) \
	    | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'
	@echo
	@echo '  PYTHON=python3.12 picks the Python (3.11 or later), DATABASE_URL=… the database.'

setup: $(DEV) ## Create .venv with all that is needed to run, test and document the farm

demo: $(SERVER) $(DATABASE) ## Run a farm over the Python standard library; KEEP=0 ends it afterwards; DEMO_ARGS='--port 5001'
	@$(UNTIL_CTRL_C) $(BIN)/python -m examples.stdlib_farm --keep $(KEEP) $(DEMO_ARGS) $(OR_130)

serve: $(SERVER) $(DATABASE) ## Serve the farm on 127.0.0.1:5000 after bringing its database up to date
	@$(UNTIL_CTRL_C) PATH="$(abspath $(BIN)):$$PATH" deploy/serve $(OR_130)

# Both databases are always tried; pytest's summary of the second one is the last line. In one
# process each: PYTEST_ARGS='-n 2' works, but on two cores it was no faster, as tests start servers,
# workers and browsers of their own.
test: $(DEV) ## Run the tests on SQLite, then on PostgreSQL; PYTEST_ARGS='-k claim -x'
	@status=0; \
	TASKFARM_TEST_DATABASE=sqlite $(BIN)/python -m pytest $(PYTEST_ARGS) || status=$$?; \
	TASKFARM_TEST_DATABASE=postgresql $(BIN)/python -m pytest $(PYTEST_ARGS) || status=$$?; \
	exit $$status

lint: $(DEV) ## Check style, types, import rules, migrations, production settings, deployment files
	@PATH="$(abspath $(BIN)):$$PATH" .ci/lint

bench: $(BENCH) ## Measure this server beside its peer, half an hour; BENCH_ARGS='--quick size'
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

docs: $(DEV) ## Build the documentation into docs/_build; warnings are errors
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo 'docs/_build/index.html'

screenshots: $(DEV) ## Take the pictures of the pages that the documentation shows; needs chromium
	@$(BIN)/python -m tests.pages.screenshots

clean: ## Remove .venv, caches, the demo's files and what was built; your databases and keys stay
	rm -rf $(VENV) docs/_build build dist *.egg-info worker_client/build worker_client/src/*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf var/demo var/demo.sqlite3*
	find staticfiles -mindepth 1 ! -name .gitkeep -delete
	@echo 'Kept, if they are there: taskfarm.sqlite3, .secret-key, and all else that you put into var/.'

# --- The environment --------------------------------------------------------------------------

# An environment that is there already is kept when it has the right Python.
$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit("Taskfarm needs Python 3.11 or later, and $(PYTHON) is " \
	    + sys.version.split()[0] + ": try make PYTHON=python3.12") if sys.version_info < (3, 11) else 0'
	@[ "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>&1)" = $(VERSION) ] \
	    || { echo 'Creating $(VENV) with Python $(VERSION)'; $(PYTHON) -m venv --clear $(VENV); }
	@rm -f $(VENV)/.stamp-*
	@touch $@

$(SERVER): requirements.txt worker_client/pyproject.toml $(CREATED)
	@echo 'Installing the server and the client into $(VENV)'
	@$(PIP) -r requirements.txt -e worker_client
	@touch $@

$(PGSERVER): requirements-pgserver.txt $(CREATED)
	@echo 'Installing PostgreSQL into $(VENV)'
	@$(PIP) -r requirements-pgserver.txt
	@touch $@

$(DEV): requirements-dev.txt requirements.txt requirements-pgserver.txt worker_client/pyproject.toml $(CREATED)
	@echo 'Installing the server, the client and the tools into $(VENV)'
	@$(PIP) -r requirements-dev.txt
	@touch $@ $(SERVER) $(PGSERVER)

$(BENCH): benchmarks/requirements.txt $(SERVER)
	@echo 'Installing what the benchmarks need into $(VENV)'
	@$(PIP) -r benchmarks/requirements.txt
	@touch $@
