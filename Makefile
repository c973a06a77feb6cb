# make mnist   trains softmax regression on MNIST and draws what it learned; ARGS="--epochs 3" passes options on
# make test    runs the tests
# make stress  kills, flips bits and mutates files, in full; the tests do a sample of it
# make bench   compares the speed with plain NumPy and other libraries; ARGS="--quick" for a look
# make lint    checks style, types and the floors of the house
# The virtual environment .venv makes itself, and is renewed when pyproject.toml changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: mnist test stress lint bench

mnist: $(VENV)/test
	$(BIN)/python examples/mnist_softmax.py $(ARGS)

test: $(VENV)/test
	$(BIN)/python -m pytest $(ARGS)

stress: $(VENV)/test
	$(BIN)/python tests/stress.py

# nn/ and datasets/ stand inside the package only where it is installed, so types and floors are checked on a copy.
lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build
	$(BIN)/pip install --quiet --no-deps --target build/lint .
	MYPYPATH=build/lint $(BIN)/mypy -p tinygrad_sm
	cd build/lint && ../../$(BIN)/lint-imports --config ../../pyproject.toml

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks $(ARGS)

$(VENV)/%: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[$*]'
	touch $@
