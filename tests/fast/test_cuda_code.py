"""The CUDA code of the kernels is right: run on the CPU, where a C++ compiler is, and compiled for a GPU by NVRTC.

What a kernel's threads compute, each for its own i, a loop over i computes as well. So the operation of each kernel,
unchanged, is put into a C++ function with such a loop, and compared with what `plain_kernels` says of it in NumPy.
"""

import ctypes
import re
import shutil
import subprocess
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.fast import plain_kernels
from tinygrad_sm.fast import kernels
from tinygrad_sm.fast.kernels import KERNELS
from tinygrad_sm.ops.softmax import IGNORED

C_TYPES = {"f4": "float", "f8": "double", "u1": "unsigned char", "i4": "int", "i8": "long long", "?": "bool"}
DECLARED = {"bool": "?", "int64": "i8"}  # what kernels declare by name; letters stand for any type
GUARD = 64  # elements around each array that no kernel may write

PROLOGUE = """
#include <cmath>
using std::exp;
using std::log;
using std::nan;
using std::sqrt;
// Those of CUDA give the other operand where one is NaN.
template <typename T> T max(T a, T b) { return std::fmax(a, b); }
template <typename T> T min(T a, T b) { return std::fmin(a, b); }
"""


class Parameter(NamedTuple):
    """A parameter of a kernel, and the dtype that it has where letters stand for given ones."""

    name: str
    dtype: str
    is_raw: bool
    is_output: bool


def parameters(kernel, types):
    """Return the parameters of a kernel in order."""
    found = []
    for text, is_output in ((kernel.inputs, False), (kernel.outputs, True)):
        for raw, kind, name in re.findall(r"(raw )?(\w+) (\w+)", text):
            found.append(Parameter(name, types[kind] if kind in types else DECLARED[kind], bool(raw), is_output))
    return found


def cpp(kernel, types, name, operation):
    """Return a C++ function of the name that runs the operation for each i < n."""
    lines = [f'extern "C" void {name}(long long n, void **arrays) {{']
    lines += [f"typedef {C_TYPES[dtype]} {letter};" for letter, dtype in types.items()]
    elements = []
    for k, p in enumerate(parameters(kernel, types)):
        kind = C_TYPES[p.dtype] if p.is_output else f"const {C_TYPES[p.dtype]}"
        lines.append(f"{kind} *{p.name if p.is_raw else f'all_{p.name}'} = ({kind} *)arrays[{k}];")
        elements += [] if p.is_raw else [f"{kind} &{p.name} = all_{p.name}[i];"]
    return "\n".join([*lines, "for (long long i = 0; i < n; ++i) {", *elements, operation, "}", "}"])


def cross_entropy_cases(types):
    """Yield logits and labels, of usual and unusual kinds, with the number of classes and the label to ignore."""
    T, L = types["T"], types["L"]
    random = np.random.default_rng(0)
    large = [1e4, 3e37] if T == "f4" else [1e4, 1e300]
    for N, C in ((1, 1), (1, 7), (9, 1), (8, 5), (40, kernels.MOST_CLASSES)):
        logits, labels = random.normal(size=(N, C)), random.integers(0, C, N)
        unusual = labels.copy()
        unusual[1::5], unusual[2::5] = C, IGNORED if L != "u1" else 255
        if L != "u1":
            unusual[3::5] = -1
        masked, infinite, missing = logits.copy(), logits.copy(), logits.copy()
        masked[random.random((N, C)) < 0.4] = -np.inf
        masked[::3] = -np.inf  # all of a row
        infinite[::2, 0] = np.inf
        missing[::2, -1] = np.nan
        rows = [
            logits,
            *(logits * size for size in large),
            masked,
            infinite,
            missing,
            np.where(masked < 0, masked, np.nan),
        ]
        for z in (*rows, *(np.sign(logits) * size for size in large)):
            for y in (labels, unusual, np.full(N, C)):
                loss, kept, residual = (np.full(shape, np.nan, T) for shape in (N, N, (N, C)))
                yield z.astype(T), y.astype(L), C, IGNORED, loss, kept, residual


def mean_cases(types):
    for total, kept in ((3.5, 4), (0, 0), (np.nan, 3), (np.inf, 1), (1e30, 7)):
        yield np.array(total, types["T"]), np.array(kept, types["T"])


def momentum_cases(types):
    random = np.random.default_rng(1)
    for size in (1, 17):
        for options in ((0.1, 0.9, 0.0, False), (0.1, 0.9, 0.01, True), (0.5, 0.0, 0.1, False), (0.1, 0.9, 0.1, False)):
            for scale in (1.0, 1e-30, 1e30):
                g, theta, v = (random.normal(size=(3, size)) * scale).astype(types["T"])
                yield g, *options, theta, v


def adam_cases(types):
    random = np.random.default_rng(2)
    for size in (1, 17):
        for shrink, weight_decay in ((1.0, 0.0), (1.0, 0.1), (0.9, 0.0)):
            for scale in (1.0, 1e-6, 0.0, 1e3):
                g, theta = (random.normal(size=(2, size)) * [[scale], [1]]).astype(types["T"])
                m, v = (random.random((2, size)) * [[scale], [scale**2]]).astype(types["S"])
                yield g, shrink, weight_decay, 0.9, 1 - 0.9, 0.999, 1 - 0.999, 0.3, 1e-8, 0.01, theta, m, v


class Compared(NamedTuple):
    """A kernel, its cases, and the types to run it with."""

    kernel: Any
    cases: Any
    types: tuple[dict[str, str], ...]


COMPARED = (
    Compared(
        kernels.cross_entropy_rows,
        cross_entropy_cases,
        tuple({"T": T, "L": L} for T in ("f4", "f8") for L in ("i4", "i8", "u1")),
    ),
    Compared(kernels.mean_of_kept, mean_cases, ({"T": "f4"}, {"T": "f8"})),
    Compared(kernels.momentum_step, momentum_cases, ({"T": "f4"}, {"T": "f8"})),
    Compared(kernels.adam_step, adam_cases, ({"T": "f4", "S": "f4"}, {"T": "f8", "S": "f8"}, {"T": "f4", "S": "f8"})),
)

BREAKS = {
    "no shift": ("cross_entropy_rows", "shift = min(max(largest, -finite), finite);", "shift = 0;"),
    "a shift by the first logit": (
        "cross_entropy_rows",
        "largest = max(largest, logits[row + j])",
        "largest = largest",
    ),
    "a shift by infinity": ("cross_entropy_rows", "shift = min(max(largest, -finite), finite);", "shift = largest;"),
    "no guard for masked rows": ("cross_entropy_rows", "if (sum == 0) sum = 1;", ""),
    "too many classes": ("cross_entropy_rows", "(long long)label < C;", "(long long)label <= C;"),
    "no NaN": ("cross_entropy_rows", '(T)nan("")', "(T)0"),
    "ignored are counted": ("cross_entropy_rows", "kept = is_ignored ? 0 : 1;", "kept = 1;"),
    "masked rows have a gradient": ("cross_entropy_rows", "largest >= -finite || largest != largest ? 1 : 0", "1"),
    "unknown labels have a gradient": (
        "cross_entropy_rows",
        "residual[row + j] = is_known ?",
        "residual[row + j] = 1 ?",
    ),
    "no division": ("cross_entropy_rows", "- shift) / sum -", "- shift) -"),
    "p + y": ("cross_entropy_rows", "/ sum - (j", "/ sum + (j"),
    "rows of C + 1": ("cross_entropy_rows", "const long long row = i * C;", "const long long row = i * C + (i > 0);"),
    "0/0": ("mean_of_kept", "(kept > 0 ? kept : (T)1)", "kept"),
    "no division of the mean": ("mean_of_kept", "total * share", "total"),
    "no decay": ("momentum_step", "g + weight_decay * theta", "g"),
    "lr in the velocity": ("momentum_step", "v = momentum * v + decayed", "v = momentum * v + lr * decayed"),
    "Nesterov without momentum": ("momentum_step", "(T)(decayed + momentum * v) : v", "(T)(decayed + v) : v"),
    "Nesterov always": ("momentum_step", "nesterov ? (T)(decayed + momentum * v) : v", "decayed + momentum * v"),
    "no shrinking": ("adam_step", "S moved = shrink * (S)theta", "S moved = (S)theta"),
    "decay of the wrong sign": ("adam_step", "(S)g + weight_decay", "(S)g - weight_decay"),
    "the mean forgets nothing": ("adam_step", "m = beta1 * m", "m = m"),
    "the square of g missing": ("adam_step", "rest2 * decayed * decayed", "rest2 * decayed"),
    "no root for the bias": ("adam_step", "sqrt(v) / root + eps", "sqrt(v) + eps"),
    "eps in the root": ("adam_step", "(sqrt(v) / root + eps)", "sqrt(v + eps) / root"),
    "float in place of S": ("adam_step", "S moved = shrink * (S)theta;", "float moved = (float)shrink * (float)theta;"),
}


def compared(name):
    return next(one for one in COMPARED if one.kernel.name == name)


def title(kernel, types, variant=""):
    return "_".join([kernel.name, *types.values(), *re.findall(r"\w+", variant)])


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Compile all kernels for all types, and every broken version of one, into one library."""
    compiler = next(filter(None, map(shutil.which, ("g++", "clang++", "c++"))), None)
    if compiler is None:
        pytest.skip("no C++ compiler was found: g++, clang++ or c++")
    sources = [PROLOGUE]
    for kernel, _, all_types in COMPARED:
        sources += [cpp(kernel, types, title(kernel, types), kernel.operation) for types in all_types]
    for variant, (name, old, new) in BREAKS.items():
        kernel, _, all_types = compared(name)
        assert kernel.operation.count(old) == 1, f"{variant}: {old} is not in {name} once"
        broken = kernel.operation.replace(old, new)
        sources += [cpp(kernel, types, title(kernel, types, variant), broken) for types in all_types]
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "kernels.cpp").write_text("\n".join(sources), encoding="utf-8")
    command = [compiler, "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-o", "kernels.so", "kernels.cpp"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return ctypes.CDLL(str(folder / "kernels.so"))


def guarded(array):
    """Return a copy of an array in the middle of a longer one of ones, and that."""
    whole = np.ones(array.size + 2 * GUARD, array.dtype)
    copied = whole[GUARD : GUARD + array.size].reshape(array.shape)
    copied[...] = array
    return copied, whole


def run(function, kernel, types, case):
    """Run a compiled kernel on a case; return its outputs, or None if it wrote beyond an array."""
    described = parameters(kernel, types)
    case = [*case, *(np.full_like(case[0], np.nan) for _ in described[len(case) :])]
    n = max(np.size(x) for x, p in zip(case, described, strict=True) if not p.is_raw)
    copies = []
    for x, p in zip(case, described, strict=True):
        x = np.asarray(x, p.dtype)
        copies.append(guarded(x if p.is_raw or x.size == n else np.broadcast_to(x, n)))
    function.argtypes, function.restype = [ctypes.c_longlong, ctypes.c_void_p * len(copies)], None
    function(n, (ctypes.c_void_p * len(copies))(*(x.ctypes.data for x, _ in copies)))
    if any((np.delete(whole, slice(GUARD, GUARD + x.size)) != 1).any() for x, whole in copies):
        return None
    return [x for (x, _), p in zip(copies, described, strict=True) if p.is_output]


def expected(kernel, types, case):
    """Return what the plain function makes of a case, its numbers of the dtypes that the kernel has for them."""
    described = parameters(kernel, types)
    case = [
        x.copy() if isinstance(x, np.ndarray) else np.dtype(p.dtype).type(x)
        for x, p in zip(case, described, strict=False)
    ]
    made = plain_kernels.BY_NAME[kernel.name](*case)
    return case[-sum(p.is_output for p in described) :] if made is None else made


@np.errstate(all="ignore")
def differences(function, kernel, types, cases):
    """Return the cases in which a compiled kernel does not give what the plain function does."""
    rtol = 2e-6 if "f4" in types.values() else 1e-12
    found = []
    for case in cases(types):
        results, right = run(function, kernel, types, case), expected(kernel, types, case)
        if results is None or not all(close(x, y, rtol) for x, y in zip(results, right, strict=True)):
            found.append((case, results, right))
    return found


def close(result, right, rtol):
    largest = np.abs(right[np.isfinite(right)]).max(initial=0)
    return np.allclose(result, right, rtol, atol=rtol * min(largest, 1), equal_nan=True)


@pytest.mark.parametrize(
    ("kernel", "cases", "types"),
    [(kernel, cases, types) for kernel, cases, all_types in COMPARED for types in all_types],
    ids=lambda x: "-".join(x.values()) if isinstance(x, dict) else getattr(x, "name", ""),
)
def test_the_code_computes_what_the_plain_function_does(kernel, cases, types, library):
    assert not differences(library[title(kernel, types)], kernel, types, cases)


@pytest.mark.parametrize("variant", BREAKS)
def test_a_broken_kernel_is_seen(variant, library):
    kernel, cases, all_types = compared(BREAKS[variant][0])
    assert any(differences(library[title(kernel, types, variant)], kernel, types, cases) for types in all_types)


def test_all_kernels_are_compared():
    assert [one.kernel for one in COMPARED] == list(KERNELS)
    assert {name for name, _, _ in BREAKS.values()} == {kernel.name for kernel in KERNELS}


def cupy_source(cupy, kernel, types):
    """Return the CUDA program that CuPy makes of a kernel, and its compiler's options, without a GPU."""
    internals, arrays, scalars = cupy._core._kernel, cupy._core._carray, cupy._core._scalar
    if not hasattr(internals, "_get_elementwise_kernel_code"):
        pytest.skip(f"CuPy {cupy.__version__} makes its programs in another way")
    made = cupy.ElementwiseKernel(kernel.inputs, kernel.outputs, kernel.operation, kernel.name)
    case = next(compared(kernel.name).cases(types))
    arguments = []
    for k, p in enumerate(parameters(kernel, types)):
        is_number = k < len(case) and not isinstance(case[k], np.ndarray)
        kind, of = (3, scalars.CScalar) if is_number else (1, cupy.ndarray)  # CuPy's numbers for kinds of arguments
        arguments.append(internals._ArgInfo(kind, of, np.dtype(p.dtype), 0 if is_number else 1 + p.is_raw, True, True))
    arguments.append(internals._ArgInfo(2, arrays.Indexer, None, 1, True, True))
    letters = internals._TypeMap(tuple((letter, np.dtype(dtype)) for letter, dtype in types.items()))
    code = internals._get_elementwise_kernel_code(
        tuple(arguments), letters, made.params, made.operation, made.name, made.preamble, **made.kwargs
    )
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cupy.cuda.compiler, "_compile_module_with_cache", lambda *args, **_: asked.append(args))
        cupy._core.core.compile_with_cache(code, ())  # adds CuPy's headers
    return asked[0]


HALVES = {"momentum_step": [{"T": "f2"}], "adam_step": [{"T": "f2", "S": "f4"}]}


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_nvrtc_compiles_the_code(kernel):
    cupy = pytest.importorskip("cupy")
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # noqa: BLE001  it depends on the wheel and the system what is missing
        pytest.skip(f"NVRTC is missing (pip install nvidia-cuda-nvrtc): {error}")
    for types in (*compared(kernel.name).types, *HALVES.get(kernel.name, ())):
        source, options = cupy_source(cupy, kernel, types)
        program = cupy.cuda.compiler._NVRTCProgram(source, f"{kernel.name}.cu", method="cubin")
        cubin, _ = program.compile((*options, "-ftz=true", "-arch=sm_90"))
        assert cubin.startswith(b"\x7fELF")
