# Two commands: `make run` and `make test`. Each target is a thin line over a real command.
#   make run PORT=8000 HOST=127.0.0.1 TORCH_INDEX=URL      start the studio
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv/bin
BOOTSTRAP := $(PYTHON) studio/embedded/bootstrap.py
export PORT HOST TORCH_INDEX
export PATH := $(CURDIR)/$(VENV):$(PATH)
NAME ?= i2v

.PHONY: run install test test-full test-page lint format types types-check sign-in api-key bench bench-gpu clean

run:
	@exec $(BOOTSTRAP) run

install:
	@$(BOOTSTRAP) install --dev

test: install
	$(VENV)/python -m pytest -m "not full" -n 3 --durations 25
	$(MAKE) test-page

test-full: install
	$(VENV)/python -m pytest -n 3
	$(MAKE) test-page

test-page:
	cd frontend && npm test

lint: install
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy engine datapipe trainer studio
	$(VENV)/lint-imports
	cd frontend && npm run lint
	$(MAKE) types-check

format: install
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

types: install
	$(VENV)/python manage.py spectacular --file frontend/openapi.yaml
	cd frontend && npm run types

types-check:
	@mkdir -p build
	$(VENV)/python manage.py spectacular --validate --fail-on-warn --file build/openapi.yaml
	diff -u frontend/openapi.yaml build/openapi.yaml
	cd frontend && npm run types:check

sign-in:
	@$(VENV)/python manage.py sign_in_link

api-key:
	@$(VENV)/python manage.py create_api_key $(or $(WORKSPACE),demo) "$(or $(KEY_NAME),command line)"

bench: install
	$(VENV)/python tests/benchmarks/$(NAME).py

bench-gpu: install
	$(VENV)/python tests/benchmarks/gpu.py

clean:
	rm -rf build frontend/dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
