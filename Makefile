# Two commands do everything: `make demo` and `make test`. Both set up what they need, with or without uv installed.

SHELL := /bin/sh
PYTHON_CANDIDATES := python3.12 python3.13 python3 python
NEWER_PYTHONS := 3.13 3.14
ALONE := core,plugin-python,plugin-agent,plugin-http,plugin-console,plugin-curl,plugin-data,plugin-files,plugin-forms,plugin-postgres,plugin-trigger,plugin-ifelse,sdk
BIN := .venv/bin
TOOLS := .tools
SPECTRAL := $(TOOLS)/node/node_modules/.bin/spectral
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_PREFERENCE := system

.PHONY: console pictures browser help audit sbom demo test quick proof setup format format-check lint types contracts openapi-lint pytest tox bench openapi models clean

help:
	@echo "make demo     set up and run the main job (ARGS=--keep leaves it open in the console)"
	@echo "make test     set up and run every check"
	@echo "make quick    the checks without the slow tests"
	@echo "make proof    thousands of generated requests, and of kills and store calls (ROUNDS=2000)"
	@echo "make format   format the code"
	@echo "make bench    run the benchmarks and print their table"
	@echo "make audit    ask an index of known vulnerabilities about what is locked"
	@echo "make sbom     write sbom.json: what the locked environment holds, in CycloneDX"
	@echo "make console  build the pages of the console (needs Node.js 20 and npm)"
	@echo "make pictures write the pictures of the console in the documentation (needs Chromium)"
	@echo "make models   write the OpenAPI document, and the SDK's records from it"

setup: .venv/.ready

# uv from the machine when there is one, else one of our own in a virtual environment: nothing is installed globally.
# pip comes along, and what was installed with it stays: that is how plugins are tried out.
.venv/.ready: uv.lock pyproject.toml core/pyproject.toml sdk/pyproject.toml language/pyproject.toml $(wildcard plugins/*/pyproject.toml)
	@set -e; \
	if command -v uv >/dev/null 2>&1; then uv=uv; else \
	  uv=$(TOOLS)/bin/uv; \
	  if [ ! -x "$$uv" ]; then \
	    found=; \
	    for candidate in $(PYTHON_CANDIDATES); do \
	      if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; \
	      then found=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	      echo "AIC Flow needs Python 3.12 or newer with venv and pip (on Debian: python3-venv), or uv. Neither was found." >&2; \
	      exit 1; \
	    fi; \
	    "$$found" -m venv $(TOOLS); \
	    $(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'; \
	  fi; \
	fi; \
	"$$uv" sync --locked --inexact --quiet; \
	"$$uv" pip install --quiet --python $(BIN)/python pip || echo "There is no pip in .venv; use uv pip instead." >&2
	@touch .venv/.ready

demo: setup
	@$(BIN)/aicflow demo $(ARGS)

test: setup format-check lint types contracts openapi-lint audit pytest tox
	@cat .tox/not-run .tools/not-linted .tools/not-audited .tools/not-browsed; echo "All checks passed."

quick: setup format-check lint types contracts
	$(BIN)/pytest -n 2 -m "not slow and not proof"

format: setup
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

format-check: setup
	$(BIN)/ruff format --check --quiet .

lint: setup
	$(BIN)/ruff check --quiet .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports --no-cache >.cache-contracts.txt 2>&1 || { cat .cache-contracts.txt; rm -f .cache-contracts.txt; exit 1; }
	@rm -f .cache-contracts.txt

# Warnings are errors. Without Node, or when its registry does not answer, this is said and not done; the tests validate
# the document against the specification all the same.
openapi-lint: setup
	@mkdir -p $(TOOLS)/node; : > $(TOOLS)/not-linted; \
	if [ ! -x $(SPECTRAL) ] && command -v npm >/dev/null 2>&1; then \
	  npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(TOOLS)/node @stoplight/spectral-cli@6.16.3 >/dev/null 2>&1 || true; \
	fi; \
	if [ -x $(SPECTRAL) ]; then $(SPECTRAL) lint --quiet --fail-severity=warn --ruleset .spectral.yaml docs/openapi/openapi.json; \
	else echo "NOT LINTED with Spectral: it needs npm and its registry." | tee $(TOOLS)/not-linted; fi

# An index that does not answer is no failure: that nothing was audited stands in the summary.
audit: setup
	@mkdir -p $(TOOLS); $(BIN)/python .ci/audit.py $(TOOLS)/not-audited

# Playwright is only for the tests of the console, and large: `make demo` does not pay for it.
browser: setup
	@uv=$$(command -v uv || echo $(TOOLS)/bin/uv); : > $(TOOLS)/not-browsed; \
	if command -v chromium >/dev/null 2>&1; then $$uv sync --locked --inexact --quiet --group browser; \
	else echo "NOT TESTED in a browser: Chromium is not installed (Debian: apt install chromium)." | tee $(TOOLS)/not-browsed; fi

# The pages of the console are committed as they are built: `make test` needs no Node.js, and where npm is there it checks
# that a rebuild is byte-identical (plugins/aicflow-console/tests/test_build.py).
console:
	cd plugins/aicflow-console/web && npm ci --no-audit --no-fund --ignore-scripts && npm run build

pictures: setup browser
	AICFLOW_PICTURES=1 $(BIN)/pytest -q plugins/aicflow-console/tests/test_pictures.py

pytest: setup browser
	$(BIN)/pytest -n 2

sbom: setup
	uv=$$(command -v uv || echo $(TOOLS)/bin/uv); $$uv export -q --frozen --no-dev --all-packages --all-extras \
	  --format cyclonedx1.5 --output-file sbom.json >/dev/null

# Generated cases against real servers, other ones each time, then kills and the comparison of stores, many more than in
# `make test`: hours. A failed kill suite prints the AICFLOW_FAULT_SEED that repeats it.
proof: setup
	$(BIN)/pytest -m proof
	AICFLOW_FAULT_ROUNDS=$(or $(ROUNDS),2000) AICFLOW_SAME_EXAMPLES=$(or $(ROUNDS),2000) $(BIN)/pytest -rA --durations=20 \
	  tests/faults core/tests/store/test_same_behaviour.py tests/acceptance/test_events_survive_kills.py \
	  tests/acceptance/test_forms.py tests/acceptance/test_maps.py tests/acceptance/test_real_workflows.py

# On each newer Python of this machine, wherever it is: pyenv's stand under its root, and its shims on the PATH work only
# for selected versions. What could not run is kept for the summary, so that nobody takes it for tested. The environments
# are made again when the lock has changed: tox does not see that a package of this folder wants another library.
tox: setup
	@set -e; mkdir -p .tox; : > .tox/not-run; environments=$(ALONE); \
	for bin in $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.*/bin; do if [ -d "$$bin" ]; then PATH="$$PATH:$$bin"; fi; done; \
	export PATH; \
	for version in $(NEWER_PYTHONS); do \
	  if $(BIN)/uv python find --no-project "$$version" >/dev/null 2>&1; then \
	    environments="$$environments,py$$(echo "$$version" | tr -d .)"; \
	  else \
	    echo "NOT TESTED on Python $$version: none found on the PATH, in pyenv or in uv." >> .tox/not-run; \
	  fi; \
	done; \
	if ! command -v initdb >/dev/null 2>&1 && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
	  echo "NOT TESTED on PostgreSQL: none is installed (Debian: apt install postgresql)." >> .tox/not-run; \
	fi; \
	if [ ! .tox/.ready -nt uv.lock ]; then again=-r; fi; \
	echo "tox: $$environments"; $(BIN)/tox run-parallel -q $$again -p 2 --parallel-no-spinner --skip-missing-interpreters false -e "$$environments"
	@touch .tox/.ready

bench: setup
	$(BIN)/python -m tests.benchmarks

openapi: setup
	$(BIN)/aicflow openapi > docs/openapi/openapi.json
	@if command -v npm >/dev/null 2>&1; then cd plugins/aicflow-console/web && { [ -d node_modules ] || npm ci --silent --no-audit --no-fund --ignore-scripts; } && npm run --silent api; \
	else echo "NOT WRITTEN: the API's types for the console, which need npm."; fi

# The fields of the SDK's records, from the OpenAPI document.
models: openapi
	$(BIN)/python sdk/generate_models.py

clean:
	rm -rf .venv $(TOOLS) .tox .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
