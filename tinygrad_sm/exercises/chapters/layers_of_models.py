"""What a model of images is made of: labels as rows, the map of a layer, flattening, dropout."""

from tinygrad_sm.exercises.chapters import rows
from tinygrad_sm.exercises.exercise import Body, Exercise


def _one_hot(columns: str, comparison: str = "==") -> tuple[str, ...]:
    """Return answers to the exercise `one_hot`, in the dtype that is asked for, and in others."""
    return tuple(
        f"return (labels[:, None] {comparison} array_module(labels).{columns}){dtype}"
        for dtype in (".astype(dtype)", ".astype('float32')", ".astype(float)", "")
    )


def _eye(label: str, classes: str = "classes") -> tuple[str, ...]:
    """Return answers to the exercise `one_hot` that take rows out of the identity matrix."""
    options = (", dtype=dtype", "", ", dtype='float32'")
    return tuple(f"return array_module(labels).eye({classes}{option})[{label}]" for option in options)


def _mask(scale: str) -> tuple[str, str]:
    """Return answers to the exercise `dropout`, in the dtype to compute in, and in float64."""
    return f"mask = kept * wide(data).dtype.type({scale})", f"mask = kept * ({scale})"


EXERCISES = (
    Exercise(
        name="one_hot",
        title="One-hot rows",
        path="ops/softmax.py",
        piece=Body("one_hot", "return (labels[:, None] == array_module(labels).arange(classes)).astype(dtype)"),
        reading=("docs/layouts.md, Labels count from 0",),
        rows=(28, 29, 30, 31),
        minutes=10,
        task=(
            "labels is an array of N integers from 0 to classes − 1. Return the matrix of shape (N, classes) that has "
            "in each row a 1 in the column of the label and 0 elsewhere, of the dtype `dtype`. array_module(labels) "
            "is NumPy, or CuPy on a GPU: its functions are NumPy's."
        ),
        hints=(
            "Element (i, j) is 1 where labels[i] == j.",
            "labels[:, None] is a column of the labels, and arange(classes) a row of the columns' numbers: "
            "comparing "
            "them broadcasts to a matrix.",
            "A comparison gives True and False: astype makes numbers of them.",
        ),
        probes=rows.one_hots,
        mistakes={
            "you count classes from 1: labels count from 0, so label 0 must stand in the first column": (
                *_one_hot("arange(1, classes + 1)"),
                *_eye("labels - 1"),
            ),
            "your matrix is transposed: it must have a row for each example, a column for each class": (
                "return (labels == array_module(labels).arange(classes)[:, None]).astype(dtype)",
                (
                    "xp = array_module(labels)\ny = xp.zeros((classes, len(labels)), dtype)\n"
                    "y[labels, xp.arange(len(labels))] = 1\nreturn y"
                ),
                (
                    "xp = array_module(labels)\ny = xp.zeros((classes, len(labels)))\n"
                    "y[labels, xp.arange(len(labels))] = 1\nreturn y"
                ),
                "return array_module(labels).eye(classes, dtype=dtype)[:, labels]",
            ),
            "your matrix holds True and False: it must have the dtype that was asked for": (
                "return labels[:, None] == array_module(labels).arange(classes)"
            ),
            "you ignore the dtype that was asked for": (
                *_one_hot("arange(classes)")[1:3],
                *_eye("labels")[1:],
                "return (labels[:, None] == array_module(labels).arange(classes)).astype(int)",
                "return array_module(labels).eye(classes, dtype=int)[labels]",
            ),
            "your rows are 1 where they should be 0, and 0 at the label": _one_hot("arange(classes)", "!="),
            "all columns up to the label are 1: each row must hold a single 1": _one_hot("arange(classes)", ">="),
            "you compare label i with class i alone: each label must be compared with all classes": (
                "return (labels == array_module(labels).arange(classes)).astype(dtype)"
            ),
            "your ones are the labels themselves: each row must hold a 1": (
                "is_label = labels[:, None] == array_module(labels).arange(classes)\n"
                "return (is_label * labels[:, None]).astype(dtype)"
            ),
            "the highest class has no column: there must be `classes` columns": _one_hot("arange(classes - 1)"),
            "your matrix has only as many columns as the labels in it need: there must be `classes`": (
                *_one_hot("arange(labels.max() + 1)"),
                *_eye("labels", "labels.max() + 1"),
                (
                    "xp = array_module(labels)\ny = xp.zeros((len(labels), labels.max() + 1), dtype)\n"
                    "y[xp.arange(len(labels)), labels] = 1\nreturn y"
                ),
                (
                    "xp = array_module(labels)\ny = xp.zeros((len(labels), labels.max() + 1))\n"
                    "y[xp.arange(len(labels)), labels] = 1\nreturn y"
                ),
            ),
            "your ones fill whole columns: each must belong to one row and one column": (
                ("xp = array_module(labels)\ny = xp.zeros((len(labels), classes), dtype)\ny[:, labels] = 1\nreturn y"),
                "xp = array_module(labels)\ny = xp.zeros((len(labels), classes))\ny[:, labels] = 1\nreturn y",
            ),
            "your ones fill whole rows: each must belong to one row and one column": (
                "xp = array_module(labels)\ny = xp.zeros((len(labels), classes), dtype)\ny[labels] = 1\nreturn y",
                "xp = array_module(labels)\ny = xp.zeros((len(labels), classes))\ny[labels] = 1\nreturn y",
            ),
            "your ones stand on the diagonal: they must stand where the labels say": (
                "return array_module(labels).eye(len(labels), classes, dtype=dtype)",
                "return array_module(labels).eye(len(labels), classes)",
            ),
            "your matrix has a column too many: there must be `classes`": (
                *_one_hot("arange(classes + 1)"),
                *_eye("labels", "classes + 1"),
            ),
            "all columns from the label on are 1: each row must hold a single 1": _one_hot("arange(classes)", "<="),
            "all columns before the label are 1, and the label's own is 0: only that must be 1": _one_hot(
                "arange(classes)", ">"
            ),
            "all columns after the label are 1, and the label's own is 0: only that must be 1": _one_hot(
                "arange(classes)", "<"
            ),
        },
    ),
    Exercise(
        name="linear",
        title="The map of a layer",
        path="ops/linalg.py",
        piece=Body("linear"),
        reading=("docs/layouts.md, Weights: Wx, XW and xᵀw", "docs/theory.md, A model is a function ŷ = f(x; θ)"),
        rows=(33, 39, 80, 84),
        minutes=10,
        task=(
            "x has the shape (N, D), an example in each row; weight (H, D), a row for each output; bias (H,), or it is "
            "None. Return the outputs of all examples, of shape (N, H): for one example, W x + b. There may be more "
            "axes before D, or none. These are arrays: @ is their matrix product."
        ),
        hints=(
            "Element (i, j) is the product of row i of x with row j of W, plus b_j.",
            "Rows with rows: one of the two has to be transposed.",
            "weight.T",
        ),
        probes=rows.maps,
        mistakes={
            "you multiply rows of x by columns of W: W has a row for each output": (
                "out = x @ weight\nreturn out if bias is None else out + bias",
                "return x @ weight + bias",
                "return x @ weight",
                "return x @ weight + bias if bias is not None else x @ weight",
            ),
            "your formula is that of a single example, W x + b: here each row of x is one": (
                "out = weight @ x\nreturn out if bias is None else out + bias",
                "return weight @ x + bias",
            ),
            "your bias is missing: it must be added to the outputs": "return x @ weight.T",
            "you add the bias where it is None: it may be missing": "return x @ weight.T + bias",
            "your result is transposed, and bias may be None, which cannot be added": "return weight @ x.T + bias",
            "your result is transposed: it must have a row for each example": (
                "out = weight @ x.T\nreturn out if bias is None else (out.T + bias).T",
                "out = weight @ x.T\nreturn out if bias is None else out + bias",
                "out = weight @ x.T\nreturn out if bias is None else out + bias[:, None]",
            ),
            "you add the bias as a column: the outputs of an example are a row": (
                "out = x @ weight.T\nreturn out if bias is None else out + bias[:, None]"
            ),
            "you subtract the bias: it must be added": "out = x @ weight.T\nreturn out if bias is None else out - bias",
            "you multiply by the bias: it must be added": (
                "out = x @ weight.T\nreturn out if bias is None else out * bias"
            ),
            "you add the bias first, and multiply it by W too: it must be added to the outputs": (
                "if bias is not None and bias.shape == x.shape[-1:]:\n    x = x + bias\nreturn x @ weight.T"
            ),
            "x.T reverses all axes: with more than two of them it is no transposed matrix": (
                "out = (weight @ x.T).T\nreturn out if bias is None else out + bias"
            ),
            "without a bias your result is not the product any more: only the bias must be left out": (
                "return x @ weight.T + bias if bias is not None else 0",
                "return x @ weight.T + bias if bias is not None else x",
                "return x @ weight.T + bias if bias is not None else None",
                "if bias is not None:\n    return x @ weight.T + bias",
                "if bias is None:\n    return x\nreturn x @ weight.T + bias",
                "return (x @ weight.T + bias) if bias is not None else weight.T",
            ),
            "your product is element by element: it must be that of matrices": (
                "out = x * weight\nreturn out if bias is None else out + bias",
                "return x * weight + bias",
                "out = (x * weight).sum(axis=-1)\nreturn out if bias is None else out + bias",
            ),
            "your reshape of W is no transposed matrix: it keeps the order of the numbers": (
                "out = x @ weight.reshape(weight.shape[::-1])\nreturn out if bias is None else out + bias"
            ),
            "you transpose x too: its rows are examples already": (
                "out = x.T @ weight.T\nreturn out if bias is None else out + bias"
            ),
            "you transpose x alone: its rows are examples already": (
                "out = x.T @ weight\nreturn out if bias is None else out + bias"
            ),
        },
        hides={
            "nn/layers.py": ("The affine map y = x Wᵀ + b.", "Return x Wᵀ + b for x of shape (..., in_features)."),
            "programs/text.py": ("logits = images @ weight.T + bias",),
        },
        docstring="The affine map of a layer: weights W of shape (H, D), a row per output, and a bias b, or None.",
    ),
    Exercise(
        name="flatten",
        title="A row of each image",
        path="nn/layers.py",
        piece=Body("Flatten.forward"),
        reading=("docs/layouts.md, Images: N×C×H×W",),
        rows=(3, 4, 15),
        minutes=5,
        task=(
            "x has the shape (N, C, H, W), or another one that begins with N, the number of examples. Return it with "
            "a row for each example, channel after channel, and in each channel row after row of the image: (N, "
            "C·H·W). There may be no example at all. math.prod multiplies what a tuple holds."
        ),
        hints=(
            "The elements are in this order already: they only need another shape.",
            "x.shape[0] examples, and math.prod(x.shape[1:]) numbers in each.",
            "x.reshape takes the new shape.",
        ),
        probes=rows.rows,
        mistakes={
            "your result is one row for all images: each example must have its own": "return x.reshape(-1)",
            "your result is a matrix of one row for all images: each example must have its own": (
                "return x.reshape((1, math.prod(x.shape)))"
            ),
            "your −1 cannot be found where there is no example: 0 / 0": "return x.reshape((x.shape[0], -1))",
            "you keep the channels apart: all of an image must stand in one row": (
                "return x.reshape((*x.shape[:2], math.prod(x.shape[2:])))",
                "return x.reshape((x.shape[0], x.shape[1], -1))",
            ),
            "rows and columns of your shape are exchanged: there must be a row for each example": (
                "return x.reshape((math.prod(x.shape[1:]), x.shape[0]))"
            ),
            "you go through the columns of the image: it must be row after row": (
                "return x.swapaxes(-1, -2).reshape((x.shape[0], math.prod(x.shape[1:])))"
            ),
            "you count on four axes: there may be more or fewer": (
                "n, c, h, w = x.shape\nreturn x.reshape((n, c * h * w))",
                "return x.reshape((x.shape[0], x.shape[1] * x.shape[2] * x.shape[3]))",
            ),
            "you count the pixels of one channel only: all channels must be in the row": (
                "return x.reshape((x.shape[0], math.prod(x.shape[2:])))"
            ),
            "you return x as it is: each example must be one row": "return x",
            "your rows are the lines of the images: each must be a whole example": (
                "return x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))"
            ),
            "you reshape to columns and transpose them: that mixes the numbers of the examples": (
                "return x.reshape((math.prod(x.shape[1:]), x.shape[0])).transpose()",
                "return x.reshape((math.prod(x.shape[1:]), x.shape[0])).T",
            ),
            "you reverse all axes before you reshape: that mixes the numbers of the examples": (
                "return x.T.reshape((x.shape[0], math.prod(x.shape[1:])))",
                "return x.transpose().reshape((x.shape[0], math.prod(x.shape[1:])))",
            ),
            "you go pixel by pixel, all channels of each: it must be channel after channel": (
                "return x.transpose((0, 2, 3, 1)).reshape((x.shape[0], math.prod(x.shape[1:])))",
                "return x.transpose(0, 2, 3, 1).reshape((x.shape[0], math.prod(x.shape[1:])))",
                (
                    "if len(x.shape) == 4:\n    x = x.swapaxes(1, 2).swapaxes(2, 3)\n"
                    "return x.reshape((x.shape[0], math.prod(x.shape[1:])))"
                ),
            ),
            "you take away axes of length 1, and join none: all but the first must become one": "return x.squeeze()",
            "you add up the lengths of the axes: they must be multiplied": (
                "return x.reshape((x.shape[0], sum(x.shape[1:])))"
            ),
            "you multiply by the number of examples too: a row must have the numbers of one": (
                "return x.reshape((x.shape[0], math.prod(x.shape)))"
            ),
            "each of your rows has one number: it must have all of an example": (
                "return x.reshape((math.prod(x.shape), 1))",
                "return x.reshape((-1, 1))",
            ),
        },
        hides={"nn/layers.py": ("(N, C, H, W) becomes (N, C·H·W), row after row of the image.",)},
    ),
    Exercise(
        name="dropout",
        title="The scale of dropout",
        path="nn/activations.py",
        piece=Body("dropout", "mask = kept * wide(data).dtype.type(1 / (1 - p) if p < 1 else 0)"),
        reading=("nn/activations.py", "nn/layers.py, Dropout"),
        rows=(57,),
        minutes=10,
        task=(
            "`kept` is True where an element stays, with probability 1 − p, and False where it is dropped. Set `mask` "
            "to the array by which the elements are multiplied in training, such that the mean of an output over many "
            "draws is that of the input. p may be 1. Its dtype is that of "
            "wide(data), which is the dtype to compute in."
        ),
        hints=(
            "Of a hundred elements 100·(1 − p) are left; how large must each be, so that their sum stays?",
            "With p = 0.75 a quarter is left, so each counts four times.",
            "A number in the right dtype: wide(data).dtype.type(4.0).",
        ),
        probes=rows.dropouts,
        mistakes={
            "your mask does not make larger what is left: that must make up for what was dropped": (
                *_mask("1"),
                "mask = kept.astype(wide(data).dtype)",
            ),
            "you multiply by 1 − p: with fewer elements left, each must become larger": _mask("1 - p"),
            "you divide by p, the probability to be dropped: it is those that are kept that must become larger": (
                _mask("1 / p")
            ),
            "with p = 1 you divide by 0": (
                *_mask("1 / (1 - p)"),
                "mask = kept / (1 - p)",
                "mask = kept.astype(wide(data).dtype) / (1 - p)",
                "mask = kept * wide(data).dtype.type(1) / (1 - p)",
                "mask = kept.astype(wide(data).dtype) / wide(data).dtype.type(1 - p)",
                "mask = kept * (wide(data).dtype.type(1) / wide(data).dtype.type(1 - p))",
            ),
            "your mask keeps what must be dropped": (
                "mask = ~kept * wide(data).dtype.type(1 / (1 - p) if p < 1 else 0)",
                "mask = (~kept).astype(wide(data).dtype) / (1 - p)",
                "mask = (1 - kept) * wide(data).dtype.type(1 / (1 - p) if p < 1 else 0)",
            ),
            "your mask drops nothing, and makes all elements larger": (
                "mask = (kept | True) * wide(data).dtype.type(1 / (1 - p) if p < 1 else 0)"
            ),
            "your mask is float64 whatever the data are, and so is the result": (
                'mask = kept.astype("float64") / (1 - p) if p < 1 else kept.astype("float64") * 0'
            ),
            "you divide by the root of 1 − p: that keeps the mean square, and it must be the mean": _mask(
                "(1 - p) ** -0.5 if p < 1 else 0"
            ),
            "your mask is float32 whatever the data are: in float64 its scale has too few digits": (
                "mask = kept.astype('float32') * (1 / (1 - p) if p < 1 else 0)",
                "mask = kept.astype('float32') / (1 - p) if p < 1 else kept.astype('float32')",
                "mask = kept.astype('float32') / (1 - p)",
            ),
            "your mask has the dtype of the data: in half precision its scale has too few digits": (
                "mask = kept * data.dtype.type(1 / (1 - p) if p < 1 else 0)",
                "mask = kept.astype(data.dtype) / data.dtype.type(1 - p) if p < 1 else kept.astype(data.dtype)",
            ),
            "you multiply by p: with fewer elements left, each must become larger": _mask("p"),
            "you multiply by 1 + p: with p = 0.5 a half of the elements is left, and 1.5 is too small for that": _mask(
                "1 + p"
            ),
            "you divide by 1 + p: with fewer elements left, each must become larger": _mask("1 / (1 + p)"),
            "you divide by the part that this draw kept: then its scale depends on the draw": (
                *_mask("1 / kept.mean() if kept.any() else 0"),
                "mask = kept / kept.mean()",
                "mask = kept * wide(data).dtype.type(1 / kept.mean())",
            ),
            "you divide by (1 − p)²: with p = 0.5 what is left would count four times": _mask(
                "1 / (1 - p) ** 2 if p < 1 else 0"
            ),
            "your mask has no zeros where elements must be dropped": (
                "mask = wide(data).dtype.type(1 / (1 - p) if p < 1 else 0) * (kept + 1)"
            ),
        },
        hides={
            "nn/activations.py": (" and divide the others by 1 − p; return x itself without `training`.",),
            "nn/layers.py": (" and divide the others by 1 − p; in evaluation, return x.",),
        },
    ),
)
