"""A study: the flagship's step replayed from a CUDA graph, in which the host launches everything at once.

A graph is a list of launches with their arguments, recorded once (captured) and from then on launched as one. CuPy 14
has no cuBLAS in a capture and keeps no memory for the graph. So the step is three kernels of its own, on buffers that
are made beforehand and live as long as the graph; and as arguments cannot change, a counter on the device says which
step of the epoch it is:

    residuals           one warp an example: logits, loss, and p − y divided by N
    partial_gradients   one thread a pixel: its ten gradients, over a slice of the batch
    momentum_step       one thread a parameter: adds the slices up, in order, and steps; the counter goes on

Weight and bias are one matrix theta, (C, D + 1): the bias is the weight of a pixel that is always 1. The kernels are
written to be right by reading and have not been tuned.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.gpu_steps import LR, MOMENTUM, WEIGHT_DECAY, PyTorch, Task, data, first_parameters, order

SOURCE = r"""
extern "C" __global__ void residuals(
    const unsigned char* images, const long long* labels, const long long* rows, const long long* step,
    const float* theta, float* residual, float* losses)
{
    const int b = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (b >= N) return;  // all lanes of a warp have the same b, so a whole warp leaves or stays
    const long long row = rows[*step * N + b];
    float z[C] = {};
    for (int k = lane; k < D; k += 32) {
        const float x = images[row * D + k] / 255.0f;
        for (int c = 0; c < C; ++c) z[c] += theta[c * (D + 1) + k] * x;
    }
    float largest = -3.4028235e38f;
    for (int c = 0; c < C; ++c) {
        for (int distance = 16; distance > 0; distance /= 2) z[c] += __shfl_xor_sync(0xffffffff, z[c], distance);
        z[c] += theta[c * (D + 1) + D];
        largest = fmaxf(largest, z[c]);
    }
    if (lane != 0) return;  // every lane knows the ten logits now; one of them writes
    float sum = 0, z_of_label = 0;
    for (int c = 0; c < C; ++c) {
        sum += expf(z[c] - largest);
        if (c == labels[row]) z_of_label = z[c];
    }
    for (int c = 0; c < C; ++c)
        residual[b * C + c] = (expf(z[c] - largest) / sum - (c == labels[row] ? 1.0f : 0.0f)) / N;
    losses[*step * N + b] = logf(sum) - (z_of_label - largest);
}

extern "C" __global__ void partial_gradients(
    const unsigned char* images, const long long* rows, const long long* step, const float* residual, float* partial)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k > D) return;
    float g[C] = {};
    for (int b = blockIdx.y; b < N; b += SLICES) {
        const float x = k < D ? images[rows[*step * N + b] * D + k] / 255.0f : 1.0f;
        for (int c = 0; c < C; ++c) g[c] += residual[b * C + c] * x;
    }
    for (int c = 0; c < C; ++c) partial[(blockIdx.y * C + c) * (D + 1) + k] = g[c];
}

extern "C" __global__ void momentum_step(const float* partial, float* theta, float* velocity, long long* step)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i == 0) ++*step;  // nobody else in this kernel reads it
    if (i >= C * (D + 1)) return;
    float g = WEIGHT_DECAY * theta[i];
    for (int s = 0; s < SLICES; ++s) g += partial[s * C * (D + 1) + i];
    velocity[i] = MOMENTUM * velocity[i] + g;
    theta[i] -= LR * velocity[i];
}
"""

C, D = 10, 784


class Launch(NamedTuple):
    """One kernel of the step: its name, how many blocks of how many threads, and the names of its buffers."""

    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: str


def slices(task: Task) -> int:
    """Return in how many parts the batch is summed: enough to occupy a GPU, few enough to be added up at the end."""
    return max(1, min(128, task.batch_size // 8))


def launches(task: Task) -> list[Launch]:
    """Return the step."""
    pixels, parameters = -(-(D + 1) // 128), -(-C * (D + 1) // 256)
    return [
        Launch("residuals", (-(-task.batch_size // 4),), (128,), "images labels rows step theta residual losses"),
        Launch("partial_gradients", (pixels, slices(task)), (128,), "images rows step residual partial"),
        Launch("momentum_step", (parameters,), (256,), "partial theta velocity step"),
    ]


def source(task: Task) -> str:
    """Return the kernels, with the constants that they leave open before them."""
    sizes = {"N": task.batch_size, "C": C, "D": D, "SLICES": slices(task)}
    rates = {"LR": LR, "MOMENTUM": MOMENTUM, "WEIGHT_DECAY": WEIGHT_DECAY}
    constants = [f"constexpr int {name} = {value};\n" for name, value in sizes.items()]
    constants += [f"constexpr float {name} = {value:.9e}f;\n" for name, value in rates.items()]
    return "".join(constants) + SOURCE


def buffers(task: Task) -> dict[str, np.ndarray]:
    """Return what the kernels read and write, by name, as it is before the first step."""
    images, labels = data(task)
    weight, bias = first_parameters(task).values()
    theta = np.concatenate([weight, bias[:, np.newaxis]], axis=1)
    return {
        "images": images,
        "labels": labels,
        "rows": order(task, epoch=0),
        "step": np.zeros(1, np.int64),
        "theta": theta,
        "velocity": np.zeros_like(theta),
        "residual": np.zeros((task.batch_size, C), np.float32),
        "partial": np.zeros((slices(task), C, D + 1), np.float32),
        "losses": np.zeros((task.steps, task.batch_size), np.float32),
    }


class CuPyGraph:
    """The step as a graph of the three kernels, captured and launched by CuPy on a stream of its own."""

    def __init__(self, task: Task) -> None:
        import cupy

        self.cuda, self.task, self.epochs = cupy.cuda, task, 0
        self.stream = cupy.cuda.Stream(non_blocking=True)
        module = cupy.RawModule(code=source(task))
        first = buffers(task)
        with self.stream:
            self.buffers = {name: cupy.asarray(array) for name, array in first.items()}
            step = [
                (module.get_function(kernel), grid, block, tuple(self.buffers[name] for name in arguments.split()))
                for kernel, grid, block, arguments in launches(task)
            ]
            for kernel, *arguments in step:
                kernel(*arguments)  # loads it, which a capture cannot
            for name in ("theta", "velocity"):
                self.buffers[name].set(first[name])
            self.stream.synchronize()
            self.stream.begin_capture()
            for kernel, *arguments in step:
                kernel(*arguments)
            self.graph = self.stream.end_capture()

    def epoch(self) -> Iterable[Any]:
        """Set the rows of the batches and the counter of the steps."""
        with self.stream:
            self.buffers["rows"].set(order(self.task, self.epochs))
            self.buffers["step"].fill(0)
        self.epochs += 1
        return range(self.task.steps)

    def step(self, batch: Any) -> None:
        """Launch the graph."""
        self.graph.launch(self.stream)

    def parameters(self) -> list[np.ndarray]:
        """Return copies on the host."""
        self.stream.synchronize()
        theta = self.buffers["theta"].get()
        return [theta[:, :D], theta[:, D]]

    def now(self) -> Any:
        """Return an event of the graph's stream."""
        event = self.cuda.Event()
        event.record(self.stream)
        return event

    def milliseconds(self, start: Any, end: Any) -> float:
        """Ask CUDA."""
        return self.cuda.get_elapsed_time(start, end)


class PyTorchGraph(PyTorch):
    """The eager step of PyTorch, captured; PyTorch keeps the memory, and has cuBLAS in the graph."""

    def __init__(self, task: Task, device: str = "cuda") -> None:
        super().__init__(task, device)
        torch = self.torch
        self.rows = torch.from_numpy(order(task, epoch=0)).to(device)
        self.counter = torch.zeros(1, dtype=torch.int64, device=device)
        parameters = list(self.model.parameters())
        first = [p.detach().clone() for p in parameters]

        side = torch.cuda.Stream()  # as PyTorch's documentation asks, a few steps elsewhere make what is lazily made
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.counted_step()
                self.counter.zero_()
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.counted_step()
        with torch.no_grad():
            for p, data_before in zip(parameters, first, strict=True):
                p.copy_(data_before)
                self.optimizer.state[p]["momentum_buffer"].zero_()

    def counted_step(self) -> None:
        """Train on the rows of the batch that the counter says."""
        super().step(self.rows.index_select(0, self.counter)[0])
        self.counter += 1

    def epoch(self) -> Iterable[Any]:
        """Set the rows of the batches and the counter of the steps."""
        self.rows.copy_(super().epoch())
        self.counter.zero_()
        return range(self.task.steps)

    def step(self, batch: Any) -> None:
        """Launch the graph."""
        self.graph.replay()
