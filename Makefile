# A machine needs Python 3.11 or newer, make and the package index; everything else comes from there.
#
#   make up        the whole platform with demo jobs; Ctrl-C stops it. ONCE=1: stop when the jobs are done
#   make dev       the same without demo jobs, restarting on every change of the code
#   make test      all tests, each run on servers of its own. ARGS="tests/jobs -k retry" for some
#   make lint      every static check
#   make coverage  the tests again, measured
#   make chaos     everything killed, again and again, under load: does it lose a job? ARGS="--minutes 30"
#                  ARGS="--beside": what do Celery and BullMQ lose in the same storm?
#   make bench     how fast it is, beside other job systems. ARGS="--smoke": a minute, stock Celery only
#   make lock      resolve pyproject.toml into requirements/. UPGRADE=1: to the newest versions
#   make clean     remove everything that the above made

.PHONY: up dev test chaos lint format openapi coverage bench lock clean

NEWEST := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PYTHON ?= $(or $(NEWEST),$(error Python 3.11 or newer is needed, and none was found))
BIN := .venv/bin
INSTALLED := .venv/installed
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
export CHROMIUM
# Compiled code is kept, also where that is switched off: all of this starts many processes.
export PYTHONDONTWRITEBYTECODE :=

ifneq ($(words $(CURDIR)),1)
$(error The path of this checkout must not contain spaces)
endif

up: $(INSTALLED)
	@$(BIN)/python manage.py dev --demo $(if $(filter-out 0 no false,$(ONCE)),--once)

dev: $(INSTALLED)
	@$(BIN)/python manage.py dev

$(INSTALLED): requirements/dev.txt
	@echo "Installing into .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

# A file runs whole in one process, since its tests share the workers that it starts; the slow ones come first.
PYTEST = $(BIN)/pytest -n 5 --dist loadfile --no-loadscope-reorder $(if $(CHROMIUM),,-m "not browser") $(ARGS)

test: $(INSTALLED)
	$(if $(CHROMIUM),,@echo "No Chromium found: browser tests are left out. Install it or set CHROMIUM.")
	@$(PYTEST)

chaos: $(INSTALLED)
	@$(BIN)/python -m tests.chaos $(ARGS)

coverage: $(INSTALLED)
	@$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=html

# As in production; no server is asked.
DEPLOYED := SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') DEBUG=false \
	ALLOWED_HOSTS=jobs.example SECURE_PROXY_SSL_HEADER=X-Forwarded-Proto REDIS_URL=redis://:secret@localhost/0
OPENAPI := export_openapi_schema --api jobs.api.api --indent 2

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(DEPLOYED) $(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	$(DEPLOYED) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(DEPLOYED) $(BIN)/python manage.py $(OPENAPI) --output .venv/openapi.json && diff docs/openapi.json .venv/openapi.json \
		|| { echo "docs/openapi.json is behind the code: make openapi"; exit 1; }

format: $(INSTALLED)
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

openapi: $(INSTALLED)
	$(DEPLOYED) $(BIN)/python manage.py $(OPENAPI) --output docs/openapi.json

bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks $(ARGS)

LOCK = .venv/uv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
	$(if $(UPGRADE),--upgrade) pyproject.toml

lock: $(INSTALLED)
	@test -x .venv/uv/bin/uv || { $(PYTHON) -m venv .venv/uv && .venv/uv/bin/pip install --quiet uv; }
	$(LOCK) --extra ai --extra payments --extra reports -o requirements/base.txt
	$(LOCK) -c requirements/base.txt --group dev -o requirements/dev.txt

clean:
	rm -rf .venv .jobyard staticfiles media htmlcov .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
