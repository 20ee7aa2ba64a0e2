# Postdate from a clone: `make` lists what there is.

PYTHON ?= python3
ARGS   ?=
VENV   := .venv
BIN    := $(VENV)/bin
# Written when everything is installed; older than what it depends on, it is installed again.
STAMP  := $(VENV)/.installed
# The same for the implementations that are not ours, which only the tests need.
PEERS  := $(VENV)/.peers

.DEFAULT_GOAL := help
.PHONY: help setup peers demo test serve check bench clean

help: ## this list
	@echo "make TARGET, where TARGET is"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1	\2/p' $(MAKEFILE_LIST) | expand -t 10
	@echo "Options of a command follow in ARGS: make test ARGS=\"tests/core -x\""

setup: $(STAMP) ## install Postdate and its packages into .venv (quick when nothing changed)
	@echo "Ready. Next: make demo"

peers: $(PEERS) ## install also what only the tests need

demo: $(STAMP) ## see Postdate at work: a message scheduled, moved, sent and delivered
	@$(BIN)/postdate demo $(ARGS)

# A worker that has nothing left to do takes over tests from another; ARGS=-n0 runs one test after the other.
test: $(PEERS) ## run the tests, several at once
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

serve: $(STAMP) ## run Postdate
	@$(BIN)/postdate serve $(ARGS)

check: $(PEERS) ## format, lint, import rules, types, tests: all that must pass before a commit
	@scripts/check

bench: $(STAMP) ## measure it on this machine
	@$(BIN)/python -m bench $(ARGS)

clean: ## remove caches and build output; .venv and data stay
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . \( -name .venv -o -name node_modules -o -name .git \) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Clean. To begin again from nothing: rm -rf $(VENV) && make setup"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Postdate needs Python 3.11 or later, and \`$(PYTHON)\` is: $$($(PYTHON) --version 2>/dev/null || echo not there)"; \
	  echo "  Debian 12, Ubuntu 24.04 or later:  apt-get install python3 python3-venv   (as root)"; \
	  echo "  another Python is installed:       make setup PYTHON=python3.12"; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python cannot make virtual environments: its modules venv or ensurepip are missing."; \
	  echo "  Debian, Ubuntu:  apt-get install python3-venv   (as root), then again: make setup"; \
	  exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Making $(VENV) with $$($(PYTHON) --version) ..."; \
	  $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing Postdate and $$(grep -c == constraints.txt) packages into $(VENV); the first time takes a minute ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]' || { \
	  echo "Not everything could be installed: the lines above say what. Network needed; then again: make setup"; \
	  exit 1; }
	@touch $@

$(PEERS): $(STAMP)
	@echo "Installing what the tests hold Postdate against ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev,peers]' || { \
	  echo "Not everything could be installed: the lines above say what. Network needed; then again: make test"; \
	  exit 1; }
	@touch $@
