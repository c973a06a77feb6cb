"""The backward walk of the textbook, over the nodes and rules of the real engine: it gives the very same gradients.

Imports from later files: `Traced` of `tape`, a Value whose record is its `node`; `sum_to_shape` of `precision`, as
`sum_to`; and, for the training, `nn` and `datasets`.

    python examples/textbook_walk.py        # an epoch of softmax regression on MNIST, by this walk and by the engine's

Reverse-mode differentiation is the chain rule, applied from the result back to the leaves. Each operation has left a
node that knows its operands, and has a rule for each of them. The rule turns g, the gradient of the loss with respect
to the output, into the gradient with respect to the operand. A value that was used twice gets two gradients, which are
added: so the walk visits a value only when all have arrived. `tinygrad_sm/engine/tape.py` does just this, and says what
it does beyond.
"""

import functools
import sys
from collections import Counter

import numpy as np

from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader, mnist
from tinygrad_sm.engine.tape import Traced
from tinygrad_sm.precision import sum_to_shape


def backward(root, seed=None):
    """Add to the `.grad` of each leaf the gradient of the root with respect to it."""
    uses = count_uses(root)
    arrived = {root: np.ones_like(root.data) if seed is None else np.asarray(seed, root.data.dtype)}
    ready = [root]
    while ready:
        value = ready.pop()
        g, node = arrived.pop(value), value.node
        if node is None:  # a leaf
            value.grad = np.array(g) if value.grad is None else value.grad + g
            continue
        saved = {} if node.op.saves is None else {"saved": node.saved}  # what the forward has left for its rules
        for i, operand in differentiated(node):
            part = rule(node.op, i)(g, value.data, *node.arrays, **node.static, **saved)
            part = sum_to_shape(part, operand.data.shape).astype(operand.data.dtype)  # if broadcast or promoted
            arrived[operand] = arrived[operand] + part if operand in arrived else part
            uses[operand] -= 1
            if uses[operand] == 0:
                ready.append(operand)


def count_uses(root):
    """Return how often each value that made the root is an operand: the number of gradients that it will get."""
    counts, to_visit = Counter(), [root]
    while to_visit:
        node = to_visit.pop().node
        for _, operand in differentiated(node) if node else ():
            counts[operand] += 1
            if counts[operand] == 1:
                to_visit.append(operand)
    return counts


def differentiated(node):
    """Return the operands that require a gradient, each with its place."""
    return [(i, x) for i, x in enumerate(node.operands) if isinstance(x, Traced) and x.requires_grad]


def rule(op, i):
    """Return the gradient rule of an operation for its i-th operand."""
    return op.rules[i] if op.rules else functools.partial(op.rule_for_each, i)


def train(walk):
    """Return the parameters and the test accuracy after an epoch of softmax regression with this backward walk."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    model.load_state_dict({"1.weight": np.zeros((10, 784), np.float32), "1.bias": np.zeros(10, np.float32)})
    optimizer, loss_function = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), nn.CrossEntropyLoss()
    for images, labels in DataLoader(mnist("train"), batch_size=128, shuffle=True):
        optimizer.zero_grad()
        walk(loss_function(model(images), labels))
        optimizer.step()
    test = mnist("test")
    return model.state_dict(), nn.functional.accuracy(model(test.images), test.labels)


def main():
    """Train twice and compare; return the exit status."""
    (ours, accuracy), (engines, _) = train(backward), train(lambda loss: loss.backward())
    print(f"after one epoch by the textbook's walk: {accuracy:.1%} of the test images right")
    if not all(np.array_equal(ours[name], engines[name]) for name in engines):
        return "expected the engine's walk to give the same bits"
    print("the engine's walk gives the same parameters, to the last bit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
