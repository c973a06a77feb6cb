"""CUDA C run by the host's threads, and the little of CuPy that launches and captures it, for the strict double.

Each thread of a block is a thread of the host, and those of a warp wait for each other where they exchange values.
"""

import ctypes
import shutil
import subprocess

from tests.backend import strict_cupy
from tests.backend.strict_cupy_array import memory
from tests.backend.strict_cupy_device import current_stream, launched

COMPILER = shutil.which("c++")

SHIM = r"""
#include <barrier>
#include <cmath>
#include <memory>
#include <thread>
#include <utility>
#include <vector>
#define __global__
struct Index { int x, y; };
struct Warp { std::barrier<> together{32}; float values[32]; };
static thread_local Index threadIdx, blockIdx, blockDim;
static thread_local Warp* warp;

static float __shfl_xor_sync(unsigned, float value, int distance) {
    warp->values[threadIdx.x % 32] = value;
    warp->together.arrive_and_wait();
    const float other = warp->values[threadIdx.x % 32 ^ distance];
    warp->together.arrive_and_wait();
    return other;
}

template <class... A, std::size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(static_cast<A>(arguments[I])...);
}

template <class... A>
void launch(void (*kernel)(A...), int columns, int rows, int threads, void** arguments) {
    for (int block = 0; block < columns * rows; ++block) {
        std::unique_ptr<Warp[]> warps(new Warp[threads / 32]);
        std::vector<std::jthread> running;
        for (int i = 0; i < threads; ++i)
            running.emplace_back([=, &warps] {
                threadIdx = {i, 0}, blockIdx = {block % columns, block / columns}, blockDim = {threads, 1};
                warp = &warps[i / 32];
                call(kernel, arguments, std::index_sequence_for<A...>());
            });
    }
}
"""

ENTRY = 'extern "C" void launch_{0}(int x, int y, int threads, void** a) {{ launch({0}, x, y, threads, a); }}\n'


def replace_raw_modules(monkeypatch, folder, names):
    """Give the double RawModule for sources with kernels of these names, and streams that capture."""

    class RawModule:
        def __init__(self, code):
            text, library = folder / "kernels.cpp", folder / "kernels.so"
            text.write_text(SHIM + code + "".join(ENTRY.format(name) for name in names))
            options = ["-std=c++20", "-O1", "-shared", "-fPIC", "-pthread"]
            subprocess.run([COMPILER, *options, "-o", library, text], check=True)
            self.library = ctypes.CDLL(str(library))

        def get_function(self, name):
            entry = self.library[f"launch_{name}"]

            def kernel(grid, block, arguments):
                captured = getattr(current_stream(), "captured", None)
                if captured is not None:
                    captured.append((kernel, grid, block, arguments))
                    return
                pointers = (ctypes.c_void_p * len(arguments))(*[memory(x).ctypes.data for x in arguments])
                entry(grid[0], grid[1] if len(grid) > 1 else 1, block[0], pointers)
                launched()

            return kernel

    class Graph:
        def __init__(self, launches):
            self.launches = launches

        def launch(self, stream):
            for kernel, *arguments in self.launches:
                kernel(*arguments)

    def begin_capture(stream):
        assert stream.is_non_blocking
        stream.captured = []

    def end_capture(stream):
        graph, stream.captured = Graph(stream.captured), None
        return graph

    stream = strict_cupy.namespace().cuda.Stream
    monkeypatch.setitem(vars(strict_cupy.namespace()), "RawModule", RawModule)
    monkeypatch.setattr(stream, "begin_capture", begin_capture, raising=False)
    monkeypatch.setattr(stream, "end_capture", end_capture, raising=False)
