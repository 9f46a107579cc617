# tagmesh: `make help` says what there is. Everything happens in .venv/, .venv-lint/, .aws-sam/ and .local/ of this folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first interpreter that is new enough; `make PYTHON=/path/to/python3.12 setup` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
            $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN    := .venv/bin
STAMP  := .venv/.ready
LINT   := .venv-lint/bin
ARGS   ?=
TESTS  ?= tests/e2e tests/integration tests/unit tests/convergence

export PATH := $(CURDIR)/$(BIN):$(PATH)
export SAM_CLI_TELEMETRY := 0
# Byte code is written whatever the machine says: without it every process compiles hundreds of modules anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test test-slow conformance allowed privileges mutants bench bench-rules lint sam-local clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv/ with the tagmesh command and all it needs (pinned)

# uv installs in seconds what takes pip most of a minute; where uv cannot be had, pip does it.
$(STAMP): requirements.txt requirements-dev.txt constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "tagmesh needs Python 3.11 or later: install it, or say where it is: make PYTHON=/path/to/python3 setup" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || { \
	  echo "could not make .venv/: on Debian and Ubuntu, install the package python3-venv" >&2; exit 1; }
	@echo "installing into .venv/ ..."
	@$(BIN)/python -m pip install -q -c constraints.txt uv && \
	  index="$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)}" && \
	  UV_HTTP_RETRIES=1 UV_HTTP_TIMEOUT=20 $(BIN)/uv pip install -q --python $(BIN)/python $${index:+--default-index "$$index"} \
	    -c constraints.txt -r requirements-dev.txt && \
	  $(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e . || { \
	  echo "uv could not install them; with pip it takes a minute" >&2; \
	  $(BIN)/python -m pip install -q -c constraints.txt -r requirements-dev.txt setuptools && \
	  $(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .; }
	@touch $(STAMP)

demo: $(STAMP) ## the whole mesh on this machine: deploy, upload sample_data/, query (ARGS="--keep" leaves it running)
	@tagmesh demo $(ARGS)

test: $(STAMP) ## the test suite, the demo included (TESTS=tests/unit for a part)
	@python -m pytest -rs -m "not slow" -n 3 --dist loadfile --no-loadscope-reorder $(TESTS) $(ARGS)

test-slow: $(STAMP) ## the slow tests: the demo on other data, and what starts servers of its own
	@python -m pytest -rs -m slow -n 2 --dist loadfile --no-loadscope-reorder $(TESTS) $(ARGS)

conformance: $(STAMP) ## what is documented of AWS, shown on the local AWS (ARGS="--profiles central=A,consumer=B": and on real accounts)
	@python -m pytest -rs -n 2 --dist loadfile tests/conformance $(ARGS)

allowed: $(STAMP) ## is there an entry of the allow-list that no test used? (after tests with LOCAL_AWS_SEEN=.local/seen)
	@python scripts/check_allowed.py .local/seen

privileges: $(STAMP) ## is there a permission of our roles that no test used, or one that lacked? (after tests with LOCAL_AWS_SEEN=.local/seen)
	@python scripts/check_privileges.py .local/seen

mutants: $(STAMP) ## loosen rules of local_aws/ one by one: does the conformance suite notice? (ARGS="--only athena")
	@python scripts/mutants.py $(ARGS)

bench: $(STAMP) ## what we measure (benchmarks/README.md)
	@sam build --config-env local --parameter-overrides \
	  PythonRuntime=$$(python -c 'import sys; print("python%d.%d" % sys.version_info[:2])') \
	  Architecture=$$(uname -m | sed 's/aarch64/arm64/') >/dev/null
	@python benchmarks/cold_starts.py
	@python benchmarks/local_aws_speed.py
	@PYTHONPATH=functions:tests python benchmarks/results.py

bench-rules: $(STAMP) ## how well the rules tell what is sensitive, by source, and how fast (needs the shared data)
	@python benchmarks/rules_quality.py $(ARGS)

# The same two ways as above; these tools' pins exclude the others'.
.venv-lint/.ready: requirements-lint.txt | $(STAMP)
	@echo "installing into .venv-lint/ ..."
	@$(LINT)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv-lint
	@index="$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)}" && \
	  UV_HTTP_RETRIES=1 UV_HTTP_TIMEOUT=20 $(BIN)/uv pip install -q --python $(LINT)/python $${index:+--default-index "$$index"} \
	    -r requirements-lint.txt || $(LINT)/python -m pip install -q -r requirements-lint.txt
	@touch $@

lint: $(STAMP) .venv-lint/.ready ## ruff, cfn-lint with serverless rules, policies, checkov, sam validate --lint, docs/conformance.md, docs/roles.md
	@ruff check .
	@ruff format --check -q . || { echo "run: .venv/bin/ruff format ." >&2; exit 1; }
	@$(LINT)/cfn-lint --append-rules cfn_lint_serverless.rules -- template.yaml accounts/*.yaml
	@$(LINT)/python scripts/lint_policies.py template.yaml accounts/*.yaml
	@$(LINT)/checkov --config-file .checkov.yaml -f template.yaml accounts/*.yaml
	@sam validate --lint --region eu-west-1 --template template.yaml
	@python scripts/conformance_table.py --check
	@python scripts/roles_table.py --check

sam-local: $(STAMP) ## run every function with `sam local invoke` in a container (needs Docker, or root to install it)
	@scripts/sam-local.sh

clean: ## stop what --keep left running, and remove what was built here (.venv/ stays)
	@for server in .local/*/server.json; do \
	  if [ -e "$$server" ]; then tagmesh local down --port "$$(basename "$$(dirname "$$server")")" || true; fi; done
	@rm -rf .aws-sam .local .pytest_cache .ruff_cache *.egg-info
