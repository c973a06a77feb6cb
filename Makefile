# make mnist     trains softmax regression on MNIST and draws what it learned; ARGS="--epochs 3" passes options on
# make parallel  trains the flagship by two processes; PROCESSES=4 for more, ARGS="--resume" passes options on
# make examples  runs all examples that draw, and puts their pictures into runs/
# make test      runs the tests on all cores, 8 to 14 minutes on two
# make quick     runs those that most changes break: the table of operations, the engine, the losses, the house; 1 to 2 minutes
# make plain     runs the tests without the wing of what is only fast
# make record    writes what a program can find out: the stubs for editors, what steps cost, the line counts of docs/reading_order.md
# make proofs    proves the rules of all operations as formulas, and writes docs/proofs.md, in 2 minutes
# make stress    kills, interrupts, flips bits and mutates files, in full; the tests do a sample of it
# make gpu       runs the tests on the NVIDIA GPU, then the benchmark there; CUDA=cuda12 for a driver of CUDA 12
# make bench     compares the speed with plain NumPy and other libraries; ARGS="--quick" for a look
# make site      builds the site, what is to be read and the page that runs in a browser, into build/site/
# make test-site builds the site and tests it as a person would: in a browser, on a desk and on a phone
# make try       puts the page that runs the package in a browser into build/site/try
# make test-try  tests that page alone
# make wasm      runs the quick tests under Pyodide in node: 32-bit addresses, no threads, no processes
# make lint      checks style, types and the floors of the house
# The virtual environment .venv makes itself, and is renewed when pyproject.toml changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CUDA ?= cuda13
PROCESSES ?= 2

EXAMPLES := $(filter-out %/pictures.py %/drawings.py %/micro.py %/small.py %/textbook_walk.py %/choose_defaults.py,$(sort $(wildcard examples/*.py)))

# A worker for each core, and one BLAS thread for each worker: several would wait for each other.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal
SLOW := %/test_stress.py %/test_random_graphs.py
QUICK := tests/ops/test_ops.py tests/ops/test_kinks.py tests/tensor/test_errors.py tests/tensor/test_protocols.py \
	$(filter-out $(SLOW),$(wildcard tests/engine/test_*.py)) tests/nn/test_losses.py \
	tests/nn/test_elementwise_losses.py tests/house

.NOTPARALLEL:  # each makes or changes .venv
.PHONY: mnist parallel examples test quick plain record proofs stress site test-site try test-try wasm wheel lint bench gpu

mnist: $(VENV)/test
	$(BIN)/python examples/mnist_softmax.py $(ARGS)

# In an environment of their own the extra `mpi` brings MPICH; a cluster's own mpiexec does as well.
parallel: $(VENV)/mpi
	$(BIN)/mpiexec -n $(PROCESSES) $(BIN)/python examples/mnist_parallel.py $(ARGS)

# The status 3 says that data have to be downloaded, and could not be.
examples: $(VENV)/test
	for example in $(EXAMPLES); do echo "== $$example"; $(BIN)/python $$example || [ $$? -eq 3 ] || exit 1; done

test: $(VENV)/test
	$(PYTEST) $(ARGS)

quick: $(VENV)/test
	$(PYTEST) $(QUICK) $(ARGS)

# Not those of what has one form; of the programs that use it, the flagship's.
ONE_FORM := benchmarks docs examples exercises site typing wasm
PLAIN := $(filter-out $(ONE_FORM:%=tests/%/),$(dir $(wildcard tests/*/__init__.py))) tests/examples/test_mnist_softmax.py

plain: $(VENV)/test
	TINYGRAD_SM_PLAIN=1 $(PYTEST) $(PLAIN) $(ARGS)

record: $(VENV)/test
	$(BIN)/python -m tests.record

proofs: $(VENV)/test
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.check.proof_table

stress: $(VENV)/test
	$(BIN)/python -m tests.nn.stress
	if [ -x $(BIN)/mpiexec ]; then $(BIN)/python -m tests.parallel.stress; else echo "no mpiexec: no process of a group was killed"; fi

# Warnings are errors: of links, of prose that its source has left, of code that fails. Then every link is followed.
site: $(VENV)/site
	rm -rf build/site  # a page that was removed would stay, and links to it would hold
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --fresh-env --quiet \
		--doctree-dir build/doctrees docs build/site
	find build/site/_static/mathjax -maxdepth 1 -name '*.js' ! -name tex-chtml.js -delete  # other selections of its parts
	$(MAKE) --silent try
	touch build/site/.nojekyll  # else GitHub Pages leaves out what begins with _
	$(BIN)/python docs/extensions/links.py build/site

OF_TRY ?= tests/site

test-site: site $(VENV)/test
	TINYGRAD_SM_SITE=1 $(PYTEST) $(OF_TRY) tests/docs/test_api_pages.py \
		tests/docs/test_site.py tests/docs/test_site_in_browser.py $(ARGS)

# nn/ and datasets/ stand inside the package only where it is installed, so types and floors are checked on a copy; the
# source without the stubs, which would stand before it, and then what a user's programs are told, with them.
lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build/types build/lint build/lib build/bdist.*  # setuptools copies what it finds in build/lib
	$(BIN)/pip install --quiet --no-deps --target build/types .
	cp -R build/types build/lint
	find build/lint -name '*.pyi' -delete
	MYPYPATH=build/lint $(BIN)/mypy -p tinygrad_sm
	cd build/lint && ../../$(BIN)/lint-imports --config ../../pyproject.toml
	$(BIN)/python -m tests.typing.check build/types

# What npm brings: Pyodide, and axe-core for the tests. Its hashes stand in site/package-lock.json.
NODE := build/npm/node_modules

build/npm/done: site/package.json site/package-lock.json | $(VENV)/site
	mkdir -p build/npm
	cp site/package.json site/package-lock.json build/npm
	cd build/npm && ../../$(BIN)/npm ci --no-audit --no-fund --loglevel=error
	touch $@  # a folder would be there after half of it too

wheel: $(VENV)/test
	rm -rf build/lib build/bdist.* build/wheel
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir build/wheel .

try: wheel build/npm/done
	$(BIN)/python site/build.py build/wheel/*.whl $(NODE) build/site/try

test-try: try
	TINYGRAD_SM_SITE=1 $(PYTEST) tests/site $(ARGS)

# Of the quick tests, those of signals need what no browser has, and most of the house is the same everywhere.
IN_WASM := $(filter-out tests/house %/test_interruptions.py,$(QUICK)) tests/house/test_portability.py tests/datasets/test_toys.py

wasm: wheel build/npm/done build/wasm/done
	$(BIN)/node tests/wasm/run.mjs $(NODE)/pyodide site/wasm/*.whl build/wheel/*.whl build/wasm \
		$(IN_WASM) $(ARGS)

build/wasm/done: pyproject.toml | $(VENV)/test
	$(BIN)/pip install --quiet --target build/wasm --upgrade --python-version 3.12 --implementation py --abi none \
		--platform any --only-binary=:all: 'pytest>=8.2' 'hypothesis>=6.100'
	touch $@

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks $(ARGS)

gpu: $(VENV)/test $(VENV)/$(CUDA)
	$(BIN)/python -m tinygrad_sm
	$(BIN)/python -c 'import tinygrad_sm as tg; raise SystemExit(not tg.is_available("cuda"))'
	$(BIN)/python -m pytest
	$(BIN)/python -m benchmarks.gpu $(ARGS)

# The extra brings CUDA's libraries too: a driver is all that must be there. Two wheels of CuPy break each other.
$(VENV)/cuda%: pyproject.toml
	$(if $(filter-out $@,$(wildcard $(VENV)/cuda*)),$(error $(VENV) has the CuPy of another CUDA: remove $(VENV) first))
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[cuda$*]'
	touch $@

$(VENV)/%: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[$*]'
	touch $@
