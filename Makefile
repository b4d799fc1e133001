# atb: `make demo` shows the whole path, `make test` proves it; both set up their own environment in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up-for
# What `make test-all` draws at random is drawn by this; it prints the number, which draws the same again.
SEED := $(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))
# Tests of one file share what they set up, and stay together, the longest first. Many wait for a process of their own, so there
# are two workers more than cores, up to five; each takes about 1 GiB.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
WORKERS := --numprocesses $(shell echo $$(($(CORES) < 3 ? $(CORES) + 2 : 5))) --dist loadfile --no-loadscope-reorder
# A lock file names all that is needed, with the hashes of its wheels: pip may look for nothing beside it and build nothing, so
# what appears on an index later changes nothing. `pip check` then says whether the lock file was whole.
INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --no-deps --only-binary :all:
RESOLVE := uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header --no-annotate
# What must not lose an order, or its proof, is tested to the branch: `make test-all` fails when one of these falls below the floor
# (per cent of lines and branches).
FLOOR := 95
FLOORED := engine promotion live venues db
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Without byte code every start of Python compiles every package again.
unexport PYTHONDONTWRITEBYTECODE
# A Python path from outside would bring packages that are not in the lock file.
unexport PYTHONPATH
unexport PYTHONHOME

.PHONY: help setup bench-setup demo test test-all floors check audit lab lock clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

# The stamp holds the checksums of the two files that decide what is installed; nothing is done while they are the same.
setup: ## Make .venv from the lock file, once; PYTHON=/path/to/python chooses the interpreter
	@cksum requirements.lock pyproject.toml | cmp -s - $(STAMP) || $(MAKE) --no-print-directory $(STAMP)

.PHONY: $(STAMP)
$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || \
	  { echo "atb needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true). Try: make setup PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "'$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@rm -f $(STAMP)
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) -r requirements.lock
	$(BIN)/python -m pip install --quiet --quiet --no-build-isolation --no-deps -e .
	$(BIN)/python -m pip check
	$(BIN)/atb warmup
	@cksum requirements.lock pyproject.toml > $(STAMP)

bench-setup: setup ## Add backtesting.py (AGPL-3.0) to .venv, for `atb bench` alone
	$(INSTALL) -r requirements-bench.lock
	$(BIN)/python -m pip check

demo: setup ## Candles to a promoted paper trade on a synthetic market, offline
	$(BIN)/atb demo

test: setup ## Everything but the slow tests; types and security are checked by `make check`
	$(BIN)/python -m pytest $(WORKERS) -m "not slow" --durations=30 --durations-min=2

test-all: setup ## Every test, with branch coverage; random examples anew, by a seed that is printed: SEED=NUMBER repeats it
	ATB_TEST_SEED=$(SEED) $(BIN)/python -m pytest $(WORKERS) --hypothesis-seed=$(SEED) --durations=30 --durations-min=2 --cov --cov-report=term-missing
	@$(MAKE) --no-print-directory floors

floors: ## Fail when a package that trades is tested below its floor; reads what the last `make test-all` measured
	@status=0; for package in $(FLOORED); do \
	  if total=$$($(BIN)/python -m coverage report --include="atb/$$package/*" --fail-under=$(FLOOR) --precision=1 --format=total); \
	  then echo "atb/$$package: $$total % of lines and branches"; \
	  else status=1; echo "atb/$$package: below the floor of $(FLOOR) % of lines and branches: $$total" >&2; fi; \
	done; exit $$status

check: setup ## The static checks alone: style, format, types, imports, security
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/lint-imports --config tests/cycles.toml
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive atb runners

audit: setup ## Known vulnerabilities in the lock files; asks an advisory service
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock -r requirements-bench.lock

lab: setup ## JupyterLab on the notebooks
	$(BIN)/atb lab

# The pins that a lock file holds are kept while they fit; `make lock UPGRADE=--upgrade` takes the newest.
lock: ## Resolve pyproject.toml into the three lock files anew; needs uv
	$(RESOLVE) $(UPGRADE) pyproject.toml --extra research --extra dev -o requirements.lock
	$(RESOLVE) pyproject.toml -c requirements.lock -o requirements-live.lock
	$(RESOLVE) --group bench -c requirements.lock -o requirements-bench.lock

clean: ## Remove the environment and what tools left; data, models and notebooks stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	rm -rf *.egg-info
	find atb runners tests notebooks -name __pycache__ -prune -exec rm -rf {} +
