# `make` lists what can be made. The set-up of each is in deploy/setup; it says what it does, and does nothing twice.
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

# The system's Python where it is new enough: one from elsewhere may lack headers or parts of its library.
PYTHON ?= $(shell for each in /usr/bin/python3 python3.11 python3.12 python3.13 python3; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$each"; break; }; done)
SETUP = $(or $(PYTHON),$(error rtcagent needs Python 3.11 or newer: on Debian 12, apt-get install python3)) deploy/setup
BIN := .venv/bin

# Settings of `make run`, seen by rtcagentd.demo.
export LAN CAMERA HOST PORT SERVER_PORT SERVER_TCP_PORT SERVER_UDP_PORT RTCAGENT_RUN_DIR SKIP_PACKAGES

.PHONY: help run build deb test soak check bench clean setup-test

help:
	@echo 'make run                 set up what is missing, start the agent with a room server of its own, show the camera'
	@echo '                         (or a test picture) in the room "demo"; Ctrl-C stops everything'
	@echo 'make run LAN=1           the same for other machines, with TLS and a token; a test picture unless CAMERA=1'
	@echo '                         HOST=ADDRESS: how they reach this machine, where the guess is wrong'
	@echo '                         PORT=7440 SERVER_PORT=7880 SERVER_TCP_PORT=7881 SERVER_UDP_PORT=7882: other ports'
	@echo 'make build               set up what is missing, start nothing'
	@echo 'make test                lint, types and every test (installs what they need)'
	@echo 'make soak                the tests that take minutes to hours'
	@echo 'make check               lint and types alone'
	@echo 'make bench               the measurements of tests/bench'
	@echo 'make deb                 the Debian package, in build/deb; REVISION=1 tells builds of one version apart,'
	@echo '                         ARCH=arm64 builds it for that processor, on amd64 too'
	@echo 'make clean               remove what was built, and .venv; .run (the demo'"'"'s state) stays'
	@echo 'SKIP_PACKAGES=1          leaves the system packages of deploy/packages.txt to you'

build:
	@$(SETUP)

run: build
	@exec $(BIN)/python -m rtcagentd.demo

setup-test:
	@$(SETUP) --dev

test: check
	@mkdir -p build/test
	$(BIN)/python -m pytest --junitxml=build/test/results.xml
	$(BIN)/python tests/check_skips.py build/test/results.xml tests/skips.txt

deb:
	@$(SETUP) $(if $(ARCH),--arch $(ARCH))
	$(BIN)/python deploy/deb $(if $(ARCH),--arch $(ARCH)) $(if $(REVISION),--revision $(REVISION))

soak: setup-test
	$(BIN)/python -m pytest -m soak

check: setup-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python proto/generate.py rtcagent/engine/v1 build/gen
	$(BIN)/mypy --strict agent/rtcagentd clients/python proto requirements tests
	cd deploy/setup && ../../$(BIN)/mypy --strict --config-file ../../pyproject.toml .
	cd deploy/deb && ../../$(BIN)/mypy --strict --config-file ../../pyproject.toml .
	git ls-files 'bindings/*.cpp' 'bindings/*.hpp' 'bindings/*.h' | xargs $(BIN)/clang-format --dry-run -Werror

bench: setup-test
	$(BIN)/python -m tests.bench

clean:
	rm -rf build .venv tests/node_modules clients/python/src/rtcagent .pytest_cache .mypy_cache .ruff_cache
	find agent clients tests deploy proto -name __pycache__ -prune -exec rm -rf {} +
