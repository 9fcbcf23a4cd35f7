# Two commands for a newcomer: `make demo` (the main job) and `make test` (all checks).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FURTHER := $(VENV)/.further
UV := 0.13.9

.PHONY: demo test test-portable lint types imports unit format docs package lock clean

demo: $(INSTALLED)
	$(BIN)/beamfold compare examples/channels.mat --snr-db 12 --weight 0.3 -o demo --force

test: lint types imports unit

# The numerical tests as other processors would compute: other BLAS kernels, Numba targets and thread counts.
test-portable: $(INSTALLED)
	$(BIN)/python tools/portable.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

imports: $(INSTALLED)
	$(BIN)/lint-imports --no-cache

unit: $(INSTALLED)
	$(BIN)/python tools/compile_kernels.py
	$(BIN)/pytest -n 2 --dist worksteal

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documentation as a site that needs no network, in build/docs/html: every page and example is executed,
# every warning is an error, every link is followed.
docs: $(FURTHER)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs 2 -d build/docs/doctrees docs build/docs/html
	$(BIN)/python tools/links.py build/docs/html
	@echo "open build/docs/html/index.html"

# The wheel and the source archive, in dist/. With URL=https://… the links of README.md lead to that repository.
package: $(FURTHER)
	$(BIN)/python tools/package.py $(URL)

# Only wheels whose hashes are in the lock. torch without CUDA is taken where pip finds it; only where there is
# no such build, and for no other reason, the public index's with its gigabytes of CUDA packages.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps
LOCKED := $(PIP) --require-hashes --only-binary :all:

$(INSTALLED): constraints.txt constraints-cpu.txt constraints-cuda.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(LOCKED) --requirement constraints.txt
	$(LOCKED) --requirement constraints-cpu.txt 2> $(VENV)/why || \
	  { grep -q 'No matching distribution' $(VENV)/why || { cat $(VENV)/why >&2; exit 1; }; \
	    $(LOCKED) --requirement constraints-cuda.txt; }
	$(PIP) --no-build-isolation --editable .
	$(BIN)/pip check
	touch $@

# What only the documentation and the package need.
$(FURTHER): $(INSTALLED) constraints-docs.txt
	$(LOCKED) --requirement constraints-docs.txt
	$(BIN)/pip check
	touch $@

# Renew the lock: `make lock` keeps the versions, `make lock UPGRADE=--upgrade` takes newer ones.
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check --only-binary :all: uv==$(UV)
	build/lock/bin/python tools/lock.py $(UPGRADE)

clean:
	rm -rf $(VENV) demo build/docs docs/gallery docs/reference/commands docs/reference/names
