# Tasks of Deckwatch: `make demo` shows it, `make test` tests it, `make help` lists all targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHROMIUM ?= $(shell command -v chromium 2>/dev/null)
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml

HTMX := htmx.org@4.0.1
TABLER := @tabler/core@1.6.1
ICONS := @tabler/icons@3.51.0
UPLOT := uplot@1.6.32

.PHONY: help demo test torture install install-dev check bench format fields vendor lock clean
.DEFAULT_GOAL := help

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install ## run Deckwatch on http://127.0.0.1:8000 with a day of sample events
	@exec $(BIN)/deckwatch demo

install: $(VENV)/.installed ## install .venv/bin/deckwatch and the locked packages

install-dev: $(VENV)/.installed-dev ## also install the packages that tests and checks need

test: install-dev check ## run everything that CI runs
	$(BIN)/pytest -n 2 --dist worksteal

torture: install-dev ## run the long versions of tests that are short in make test
	RULE_MUTATIONS=10000 $(BIN)/pytest -n 2 tests/detection/test_rule_mutations.py
	TORTURE=1 $(BIN)/pytest tests/promises
	FUZZ_CASES=1000000 $(BIN)/pytest tests/fuzz
	OPENAPI_EXAMPLES=500 $(BIN)/pytest -n 2 tests/api/test_openapi.py

check: install-dev ## check format, lint, types and the direction of imports
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-cache

bench: install-dev ## measure the speed, compared with peers and limits (FIGURES="decide-1 start" for these only)
	@$(BIN)/python -m tests.bench $(FIGURES)

fields: install-dev ## derive app/detection/fields.txt from a CSV with the columns field and type (FIELDS_CSV=path)
	@test -n "$(FIELDS_CSV)" || { echo "make: set FIELDS_CSV to a CSV with the columns field and type" >&2; exit 1; }
	$(BIN)/python -m tests.tools.generate_fields "$(FIELDS_CSV)"

format: install-dev ## format the code and fix lint problems with ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Each check prints which requirement is missing, before another command fails without a clear message.
$(BIN)/uv: requirements-build.lock
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing; on Debian and Ubuntu: apt install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' \
		|| { echo "make: Deckwatch needs Python 3.11 to 3.14; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another with: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "make: Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
	@touch $@

$(VENV)/.installed: $(BIN)/uv requirements.lock pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

lock: $(BIN)/uv ## resolve the dependencies in pyproject.toml into the lock files again
	$(LOCK) --output-file requirements.lock
	$(LOCK) --group dev --output-file requirements-dev.lock
	$(subst pyproject.toml,,$(LOCK)) --group build --output-file requirements-build.lock

clean: ## remove what make has created
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

# The files in static/vendor, which pages load, are committed. `make vendor` downloads them again. No other
# target downloads them. @tabler/core contains no licence file, so its LICENSE is composed of the copyright
# line in its stylesheet and the text of the MIT licence.
ICON_NAMES := alert-triangle arrow-back-up check chevron-down chevron-left chevron-right \
	circle-check circle-x clipboard-list copy device-desktop eye-off key keyboard \
	layout-dashboard link list-check logout menu-2 moon pencil plug plus search server-2 \
	shield-check sun terminal-2 user-circle users x

vendor: ## download the pinned front-end files into static/vendor again (needs npm)
	@command -v npm >/dev/null || { echo "make: npm is missing; on Debian and Ubuntu: apt install npm" >&2; exit 1; }
	@set -eu; there=$$PWD/static/vendor; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; cd "$$work"; \
	unpack() { mkdir -p "$$1" "$$there/$$1"; tar -xzf "$$(npm pack --silent "$$2")" -C "$$1" --strip-components=1; \
		echo "$$2" >"$$there/$$1/VERSION"; }; \
	rm -rf "$$there"; \
	unpack htmx $(HTMX); unpack tabler $(TABLER); unpack tabler-icons $(ICONS); unpack uplot $(UPLOT); \
	cp htmx/LICENSE htmx/dist/htmx.min.js htmx/dist/ext/hx-sse.min.js "$$there/htmx"; \
	sed '/^\/\*# sourceMappingURL=/d' tabler/dist/css/tabler.min.css >"$$there/tabler/tabler.min.css"; \
	cp tabler-icons/LICENSE "$$there/tabler-icons"; \
	cp uplot/LICENSE uplot/dist/uPlot.iife.min.js uplot/dist/uPlot.min.css "$$there/uplot"; \
	{ printf 'MIT License\n\n'; sed -n 's/^ \* \(Copyright .*\)/\1/p; /\*\//q' "$$there/tabler/tabler.min.css"; \
		sed '1,/^Copyright/d' tabler-icons/LICENSE; } >"$$there/tabler/LICENSE"; \
	for name in $(ICON_NAMES); do \
		tr '\n' ' ' <"tabler-icons/icons/outline/$$name.svg" | sed -E -e 's/ +/ /g; s/ class="[^"]*"/ class="icon"/' \
			-e 's/<path stroke="none" d="M0 0h24v24H0z" fill="none" \/>//; s/ ?(\/?>) ?/\1/g' >"$$there/tabler-icons/$$name.svg"; \
		echo >>"$$there/tabler-icons/$$name.svg"; \
	done
