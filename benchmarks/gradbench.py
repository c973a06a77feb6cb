"""Seven tasks of GradBench: a value and its gradient, or Newton's direction; see `gradbench_tasks`.

A run is so many evaluations on the same numbers, given as arrays of NumPy, and returns one number of the value and the
gradient. What is compiled is so before that, on other numbers of the same shapes, so what is compared and timed is the
program that came of it. How long that takes is told apart.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.random import default_rng

from benchmarks.gradbench_tasks import TASKS, Arrays, Library, python_loop
from benchmarks.harness import Worker, installed, median_ratio, report, say, time_rounds, verdict

REPEATS = 5
COMPILED = "tinygrad_sm, compiled"
EAGER_LIMIT = 1.0  # × PyTorch
COMPILED_LIMITS = {"lstm": 0.3, "ode": 0.3, "det": 0.3}  # × PyTorch, which is eager

Step = Callable[[Arrays, Arrays], tuple[Any, Any]]
"""From the arrays to differentiate by and the constant ones to the value and the gradients, in the library's form."""


def objective_of(task: str, size: dict[str, int], lib: Library) -> Callable[..., Any]:
    """Return the objective as a function of the numbers alone."""
    return partial(TASKS[task].objective, lib, **{name: size[name] for name in TASKS[task].options})


def tinygrad_sm_step(task: str, size: dict[str, int]) -> Step:
    """Take the framework's Tensors and its gradients as values."""
    import tinygrad_sm as tg

    tg.keep_freed_memory()
    lib = Library(
        tg.exp, tg.log, tg.tanh, tg.sigmoid, tg.max, tg.min, tg.sum, tg.logsumexp, tg.concatenate, tg.swapaxes,
        python_loop,
    )  # fmt: skip
    objective, is_newton = objective_of(task, size, lib), TASKS[task].is_newton

    def step(parameters: Arrays, constants: Arrays) -> tuple[Any, Any]:
        inputs = [tg.Tensor(x, requires_grad=True) for x in parameters]
        value = objective(*inputs, *constants)
        if not is_newton:
            return value.detach(), tg.grad(value, inputs)
        gradients = tg.grad(value, inputs, create_graph=True)
        diagonals = tg.grad(gradients, inputs, [tg.ones_like(g) for g in gradients])
        return value.detach(), [g.detach() / h for g, h in zip(gradients, diagonals, strict=True)]

    return step


def compiled_step(task: str, size: dict[str, int]) -> Any:
    """Record the same step, and run the recorded calls of NumPy from the third call on."""
    import tinygrad_sm as tg

    return tg.compiled(tinygrad_sm_step(task, size))


def pytorch_step(task: str, size: dict[str, int]) -> Step:
    """Take PyTorch, eager: its tensors share the memory of the arrays."""
    import torch

    lib = Library(
        torch.exp, torch.log, torch.tanh, torch.sigmoid, torch.max, torch.amin, torch.sum, torch.logsumexp,
        torch.concatenate, torch.swapaxes, python_loop,
    )  # fmt: skip
    objective, is_newton = objective_of(task, size, lib), TASKS[task].is_newton

    def step(parameters: Arrays, constants: Arrays) -> tuple[Any, Any]:
        inputs = [torch.from_numpy(x).requires_grad_() for x in parameters]
        value = objective(*inputs, *map(torch.from_numpy, constants))
        if not is_newton:
            return value.detach(), torch.autograd.grad(value, inputs)
        gradients = torch.autograd.grad(value, inputs, create_graph=True)
        diagonals = torch.autograd.grad(gradients, inputs, [torch.ones_like(g) for g in gradients])
        return value.detach(), [g.detach() / h for g, h in zip(gradients, diagonals, strict=True)]

    return step


def jax_step(task: str, size: dict[str, int]) -> Any:
    """Compile the value with its gradient, the loop as one of JAX's own; for Newton, differentiate that forward."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)  # else JAX makes float32 of float64
    jnp.zeros(1).block_until_ready()  # starts what JAX starts when first used, which is no compilation
    lib = Library(
        jnp.exp, jnp.log, jnp.tanh, jax.nn.sigmoid, jnp.max, jnp.min, jnp.sum, jax.nn.logsumexp, jnp.concatenate,
        jnp.swapaxes, partial(jax.lax.fori_loop, 0),
    )  # fmt: skip
    objective, is_newton = objective_of(task, size, lib), TASKS[task].is_newton

    @jax.jit
    def step(parameters: Any, constants: Any) -> Any:
        with_gradients = jax.value_and_grad(lambda inputs: objective(*inputs, *constants))
        if not is_newton:
            return with_gradients(parameters)
        ones = jax.tree.map(jnp.ones_like, parameters)
        (value, gradients), (_, diagonals) = jax.jvp(with_gradients, (parameters,), (ones,))
        return value, [g / h for g, h in zip(gradients, diagonals, strict=True)]

    return step


STEPS = {"tinygrad_sm": tinygrad_sm_step, COMPILED: compiled_step, "PyTorch": pytorch_step, "JAX jit": jax_step}
CALLS = {"tinygrad_sm": 0, COMPILED: 2, "PyTorch": 0, "JAX jit": 1}
"""So many calls compile."""


def prepared(name: str, task: str, size: dict[str, int]) -> Any:
    """Return a step that has been compiled, with numbers that are not those of the runs."""
    step = STEPS[name](task, size)
    compile_step(step, numbers_to_compile_with(name, task, size))
    return step


def numbers_to_compile_with(name: str, task: str, size: dict[str, int]) -> list[tuple[Arrays, Arrays]]:
    """Return the arguments of the calls that compile."""
    return [TASKS[task].numbers(size, seed) for seed in range(1, CALLS[name] + 1)]


def compile_step(step: Step, numbers: list[tuple[Arrays, Arrays]]) -> None:
    """Call the step with each, and wait for JAX."""
    for parameters, constants in numbers:
        float(step(parameters, constants)[0])


def alternative(name: str, task: str, size: dict[str, int], repeats: int) -> Callable[[], float]:
    """Return a run: the value times the derivative along a direction that is the same for all."""
    step, (parameters, constants) = prepared(name, task, size), TASKS[task].numbers(size, 0)
    random = default_rng(1)
    directions = [random.standard_normal(x.shape) for x in parameters]

    def run() -> float:
        for _ in range(repeats):
            value, gradients = step(parameters, constants)
            value, gradients = float(value), [np.asarray(g) for g in gradients]
        slope = sum(np.vdot(v, g) for v, g in zip(directions, gradients, strict=True))
        return math.copysign(abs(value) ** 0.5 * abs(slope) ** 0.5, value * slope)  # the product may underflow

    return run


ALTERNATIVES = {name: partial(alternative, name) for name in STEPS}


def compile_time(name: str, task: str, size: dict[str, int]) -> Callable[[], float]:
    """Return a run whose value is the seconds of the calls that compile; NaN if the step cannot be compiled."""
    step, numbers = STEPS[name](task, size), numbers_to_compile_with(name, task, size)

    def run() -> float:
        start = time.perf_counter()
        compile_step(step, numbers)
        seconds = time.perf_counter() - start
        return math.nan if getattr(step, "why_eager", None) else seconds

    return run


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the time of each task, for each number of BLAS threads, after telling how long compilation takes."""
    alternatives = installed(ALTERNATIVES)
    for task, (_, _, size, *_) in TASKS.items():
        compiling = {}
        for name in filter(CALLS.get, alternatives):
            with Worker(compile_time, threads[0], name=name, task=task, size=size) as worker:
                compiling[name] = worker.run().value
        say(f"\n{task}: " + "; ".join(map(told, compiling, compiling.values())))
        able = {name: a for name, a in alternatives.items() if not math.isnan(compiling.get(name, 0))}
        for n in threads:
            times = time_rounds(able, n, rounds, tolerance=1e-6, task=task, size=size, repeats=REPEATS)
            sizes = ", ".join(f"{name} = {number:,}" for name, number in size.items())
            report(f"{task} of GradBench {REPEATS} times, {sizes}, BLAS threads: {n}", "ms", times, "PyTorch")
            ratio = median_ratio(times, "tinygrad_sm", "PyTorch")
            verdict(f"tinygrad_sm at most {EAGER_LIMIT} × PyTorch", EAGER_LIMIT, ratio)
            if task in COMPILED_LIMITS:
                limit = COMPILED_LIMITS[task]
                verdict(f"{COMPILED}, at most {limit} × PyTorch", limit, median_ratio(times, COMPILED, "PyTorch"))


def told(name: str, seconds: float) -> str:
    """Return how long compilation took, in words."""
    return f"{name} cannot compile it" if math.isnan(seconds) else f"{name} compiles for {seconds:.2f} s"
