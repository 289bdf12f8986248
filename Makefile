# make run   starts the server of this checkout;  make test   tests it;  make help   names the rest.

VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= conf/xconf.yaml
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install run test test-long lint format bench clean

help:            ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

install: $(VENV)/.installed            ## set up .venv and install xconf into it

run: install            ## start the server with conf/xconf.yaml (CONFIG=FILE for another)
	@echo "Starting; Ctrl-C stops it. When it is ready, in another terminal: $(BIN)/xconf phone sip:3000@127.0.0.1 --tone 440 --duration 10s"
	@exec $(BIN)/twistd -n --pidfile= xconf -c $(CONFIG)

test: $(VENV)/.installed-dev            ## set up what the tests need, run them (ARGS='-k pin' for some)
	@.ci/system-packages
	@# Virtual time does not mind company; real telephones do. A machine that stood still for a moment is heard in a telephone:
	@# of those tests, what fails (exit 1) must pass at once when it is run once more. Exit 5: ARGS chose none of these.
	@status=0; \
	$(BIN)/pytest -m "not live and not long" -n auto --dist loadgroup $(ARGS) || [ $$? = 5 ] || status=1; \
	$(BIN)/pytest -m "live and not long" -o cache_dir=.pytest_cache/live $(ARGS); live=$$?; \
	if [ $$live = 1 ]; then \
		echo "THE SAME ONCE MORE: only what failed above"; \
		$(BIN)/pytest -m "live and not long" -o cache_dir=.pytest_cache/live --last-failed $(ARGS); live=$$?; \
	fi; \
	[ $$live = 0 ] || [ $$live = 5 ] || status=1; \
	exit $$status

test-long: $(VENV)/.installed-dev            ## the tests that take minutes
	@.ci/system-packages
	$(BIN)/pytest -m long $(ARGS)

lint: $(VENV)/.installed-dev            ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev            ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev            ## measure it
	$(BIN)/python -m bench $(ARGS)

clean:            ## remove .venv and what tools left behind
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is as new as the last installation, so nothing is done twice; a change of pyproject.toml installs again.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[codecs,sound]' || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@.ci/make-venv $(VENV)
