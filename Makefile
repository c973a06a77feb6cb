# make mnist     trains softmax regression on MNIST and draws what it learned; ARGS="--epochs 3" passes options on
# make examples  runs all examples that draw, and puts their pictures into runs/
# make test      runs the tests on all cores, 4 to 8 minutes on two
# make quick     runs those that most changes break: the table of operations, the engine, the losses, the house; 1 to 2 minutes
# make plain     runs the tests without the wing of what is only fast
# make record    writes what a program can find out: the stubs for editors, what steps cost, the README's line counts
# make proofs    proves the rules of all operations as formulas, and writes docs/proofs.md, in 2 minutes
# make stress    kills, interrupts, flips bits and mutates files, in full; the tests do a sample of it
# make gpu       runs the tests on the NVIDIA GPU, then the benchmark there; CUDA=cuda12 for a driver of CUDA 12
# make bench     compares the speed with plain NumPy and other libraries; ARGS="--quick" for a look
# make lint      checks style, types and the floors of the house
# The virtual environment .venv makes itself, and is renewed when pyproject.toml changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CUDA ?= cuda13

EXAMPLES := $(filter-out %/pictures.py %/drawings.py %/micro.py %/small.py %/textbook_walk.py %/choose_defaults.py,$(sort $(wildcard examples/*.py)))

# A worker for each core, and one BLAS thread for each worker: several would wait for each other.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal
SLOW := %/test_stress.py %/test_random_graphs.py
QUICK := tests/ops/test_ops.py tests/ops/test_kinks.py tests/tensor/test_errors.py tests/tensor/test_protocols.py \
	$(filter-out $(SLOW),$(wildcard tests/engine/test_*.py)) tests/nn/test_losses.py \
	tests/nn/test_elementwise_losses.py tests/house

.PHONY: mnist examples test quick plain record proofs stress lint bench gpu

mnist: $(VENV)/test
	$(BIN)/python examples/mnist_softmax.py $(ARGS)

# The status 3 says that data have to be downloaded, and could not be.
examples: $(VENV)/test
	for example in $(EXAMPLES); do echo "== $$example"; $(BIN)/python $$example || [ $$? -eq 3 ] || exit 1; done

test: $(VENV)/test
	$(PYTEST) $(ARGS)

quick: $(VENV)/test
	HYPOTHESIS_PROFILE=quick $(PYTEST) $(QUICK) $(ARGS)

# Answers to exercises run without the wing anyway.
plain: $(VENV)/test
	TINYGRAD_SM_PLAIN=1 $(PYTEST) --ignore=tests/exercises $(ARGS)

record: $(VENV)/test
	$(BIN)/python -m tests.record

proofs: $(VENV)/test
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.check.proof_table

stress: $(VENV)/test
	$(BIN)/python -m tests.nn.stress

# nn/ and datasets/ stand inside the package only where it is installed, so types and floors are checked on a copy; the
# source without the stubs, which would stand before it, and then what a user's programs are told, with them.
lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build
	$(BIN)/pip install --quiet --no-deps --target build/types .
	cp -R build/types build/lint
	find build/lint -name '*.pyi' -delete
	MYPYPATH=build/lint $(BIN)/mypy -p tinygrad_sm
	cd build/lint && ../../$(BIN)/lint-imports --config ../../pyproject.toml
	$(BIN)/python -m tests.typing.check build/types

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
