# Every target prepares what it needs: system libraries, uv, Python, the locked environment in .venv,
# and llama.cpp compiled for this machine (once; kept in the user's cache). See packaging/setup/.
#
#   make run ARGS="--home /tmp/try"    arguments for the program, or for pytest with `make test`
#   make run BACKEND=vulkan            auto (the default), cpu, vulkan, cuda or metal; remembered
#   make run PYTHON=/path/to/python    the Python to build .venv with
#   make run JOBS=2                    files compiled at a time

SHELL := /bin/bash
ARGS ?=
export BACKEND PYTHON JOBS

SETUP := bash packaging/setup/setup.sh
BIN := .venv/bin

.PHONY: help run install test check format guide screenshots bench lock menu clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1|\2/' | column -t -s '|'

run:  ## open the window (with no display: the conversation in this terminal)
	@$(SETUP) run
	@bash packaging/setup/start.sh $(ARGS)

install:  ## build the environment in .venv; the program is then .venv/bin/inglenook
	@$(SETUP) install
	@echo "Ready: $(CURDIR)/.venv/bin/inglenook"

test:  ## run the tests
	@$(SETUP) test
	@$(BIN)/python -m pytest $(ARGS)

check:  ## formatting, lint, types and import contracts
	@$(SETUP) check
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format:  ## rewrite the source in the project's format
	@$(SETUP) check
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

guide:  ## train the built-in model again
	@$(SETUP) install
	bash packaging/guide/run.sh $(ARGS)

screenshots:  ## take the pictures in assets/screenshots again
	@$(SETUP) test
	$(BIN)/python packaging/pictures $(ARGS)

bench:  ## measure speed against peers
	@$(SETUP) test
	$(BIN)/python -m pytest tests/bench -m bench -s $(ARGS)

lock:  ## choose the newest versions that fit pyproject.toml and pin them
	@bash packaging/setup/lock.sh $(ARGS)

menu:  ## add Inglenook to this desktop's menu (make menu ARGS=--remove takes it out)
	@$(SETUP) install
	@bash packaging/setup/menu.sh $(ARGS)

clean:  ## remove the environment and all caches of this folder (conversations and models stay)
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find desktop tests packaging -name __pycache__ -type d -prune -exec rm -rf {} +
