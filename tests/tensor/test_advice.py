"""The rows of `names.py` are true: what they say to write exists, and gives what the other name gives."""

import copy
import importlib
import inspect
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import ROOT
from tests.tensor import examples_of_advice as examples
from tests.tensor.examples_of_advice import MODEL, A, Made, P, U
from tinygrad_sm import Tensor, advice, names, nn
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.ops import composed

PLACES = {
    "Tensor": (Tensor, names.TENSOR, examples.OF_TENSOR),
    "Module": (nn.Module, names.MODULE, examples.OF_MODULE),
    **{
        module: (importlib.import_module(module), rows, examples.OF_MODULES.get(module, {}))
        for module, rows in names.MODULES.items()
        if importlib.util.find_spec(module)
    },
}
ROWS = [(place, name) for place, (_, rows, _) in PLACES.items() for name in rows]
IDS = [" ".join(row) for row in ROWS]


def parts(row):
    """Return the codes of a row and its remark."""
    code, _, remark = row.partition("#")
    return [part.strip() for part in code.split(" or ") if part.strip()], remark.strip()


WITH_CODE = [(place, name) for place, name in ROWS if parts(PLACES[place][1][name])[0]]


def namespace(variables, array):
    """Return the variables of an example, the arrays among them made by a function."""
    found = {"t": A, "u": U, "w": A, "x": A, "y": U, "a": A, "b": U, **variables}
    return {name: array(name, value) if isinstance(value, np.ndarray) else value for name, value in found.items()}


def evaluated(code, variables):
    """Return the value of code in which some variables are made of others."""
    made = {name: eval(value, dict(variables)) for name, value in variables.items() if isinstance(value, Made)}
    return eval(code, {**variables, **made})


def plain(value):
    """Return a result with arrays in the place of Tensors, ours and PyTorch's."""
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    value = value.detach().cpu() if type(value).__module__ == "torch" else data_of(value)
    return value.numpy() if hasattr(value, "numpy") else value


def check_same(got, expected):
    if isinstance(expected, list):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            check_same(one, other)
    elif isinstance(expected, np.ndarray):
        assert got.shape == expected.shape
        assert got.dtype.kind == expected.dtype.kind
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6)
    else:
        assert got == pytest.approx(expected) if isinstance(expected, float) else got == expected


def as_ours(name, array):
    """Return a Tensor of floats; whole numbers, masks and what shall become a Tensor stay arrays."""
    if array.dtype.kind != "f" or name == "array":
        return array
    return Tensor(array.copy(), requires_grad=name == "w")


@pytest.mark.parametrize("place", PLACES)
def test_every_row_that_has_code_has_an_example(place):
    _, rows, given = PLACES[place]
    assert set(given) == {name for name, row in rows.items() if parts(row)[0]}


@pytest.mark.parametrize(("place", "name"), ROWS, ids=IDS)
def test_a_name_in_the_table_does_not_exist(place, name):
    owner, rows, _ = PLACES[place]
    assert not hasattr(owner, name), f"{place} has {name}: remove its row"
    with pytest.raises(AttributeError) as raised:
        getattr(owner, name)
    codes, remark = parts(rows[name])
    said = "; ".join([f"write {' or '.join(codes)}"] * bool(codes) + [remark] * bool(remark))
    assert str(raised.value).endswith(f" has no attribute {name!r}: {said}")


@pytest.mark.parametrize(("place", "name"), WITH_CODE, ids=[" ".join(row) for row in WITH_CODE])
def test_what_a_row_says_to_write_gives_what_the_name_gives(place, name, request):
    _, rows, given = PLACES[place]
    _, expected, variables = given[name]
    if "'cuda'" in rows[name] and place != "tinygrad_sm":
        request.getfixturevalue("strict")
    for code in parts(rows[name])[0]:
        got = evaluated(code, {"tg": tg, "np": np, **namespace(variables, as_ours)})
        if callable(expected):
            assert expected(got)
        else:
            arrays = {**vars(examples), **namespace(variables, lambda name, array: array)}
            want = evaluated(expected, arrays)
            check_same(
                plain(got), plain(np.asarray(want) if isinstance(want, np.generic) and plain_array(got) else want)
            )


def plain_array(value):
    return isinstance(data_of(value), np.ndarray)


@pytest.mark.parametrize(("place", "name"), WITH_CODE, ids=[" ".join(row) for row in WITH_CODE])
def test_the_expected_value_is_that_of_pytorch(place, name):
    theirs, expected, variables = PLACES[place][2][name]
    if theirs is None:
        return
    torch = pytest.importorskip("torch")

    def as_theirs(name, array):
        return (
            array.copy() if name == "array" else torch.tensor(array, requires_grad=name == "w" and "eye_" not in theirs)
        )

    functional = {"torch": torch, "F": torch.nn.functional}
    got = evaluated(theirs, {**functional, **namespace(variables, as_theirs)})
    if callable(expected):
        return
    want = evaluated(expected, {**vars(examples), **namespace(variables, lambda name, array: array)})
    check_same(plain(got), plain(np.asarray(want) if isinstance(want, np.generic) and hasattr(got, "detach") else want))


EXTRA = {"b": U, "axis": 0, "axis1": 0, "axis2": 1, "shape": (3, 2), "pad_width": 1, "shift": 1}
EXTRA |= {"reps": (2, 1), "source": 0, "destination": 1, "indices_or_sections": 2, "indices": np.array([[1, 0, 1]])}
FUNCTIONS = advice.rows_of_functions("tinygrad_sm")


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if not hasattr(Tensor, name) and name not in names.TENSOR])
def test_a_method_that_is_missing_is_a_function_of_tg(name):
    with pytest.raises(AttributeError, match=re.escape(f"Tensor has no attribute {name!r}: write tg.{name}(t")):
        getattr(Tensor(A), name)
    shapes = {"broadcast_to": (2, *A.shape), "windows": 2}
    extra = EXTRA | ({"shape": shapes[name]} if name in shapes else {})
    got = eval(FUNCTIONS[name], {"tg": tg, "t": Tensor(P), **extra})
    want = eval(FUNCTIONS[name], {"tg": np if hasattr(np, name) else tg, "t": P, **extra})
    check_same(plain(got), plain(want))


def printed(code):
    """Return the last line of the traceback that a program ends with."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    return run.stderr.strip().splitlines()[-1]


def test_python_adds_no_name_that_only_looks_alike():
    start = "import tinygrad_sm as tg; from tinygrad_sm import nn; "
    assert printed(start + "tg.Tensor(1.0).unsqueeze").endswith("write tg.expand_dims(t, axis) or t[..., None]")
    assert printed(start + "nn.Linear(2, 2).cuda").endswith("Linear has no attribute 'cuda': write model.to('cuda')")
    assert printed(start + "tg.cat").endswith("write tg.concatenate(xs, axis)")
    assert printed(start + "tg.Tensor(1.0).roll").endswith("write tg.roll(t, shift, axis=axis)")
    assert printed(start + "nn.clip_grad_norm_").endswith("write tg.nn.clip_grad_norm(model.parameters(), max_norm)")


def test_names_without_a_row_have_pythons_message_and_its_suggestion():
    start = "import tinygrad_sm as tg; "
    message = "AttributeError: module 'tinygrad_sm' has no attribute 'sotfmax'. Did you mean: 'softmax'?"
    assert printed(start + "tg.sotfmax") == message
    assert printed(start + "tg.Tensor(1.0).sotfmax").endswith("no attribute 'sotfmax'. Did you mean: 'softmax'?")
    assert printed(start + "tg.Tensor(1.0).vieww").endswith("has no attribute 'vieww'")  # not: 'view'
    assert printed(start + "tg.backward_").endswith("has no attribute 'backward_'")


@pytest.mark.parametrize(
    ("module", "name"), [("tinygrad_sm", "cat"), ("tinygrad_sm.nn", "Conv3d"), ("tinygrad_sm.nn.functional", "conv3d")]
)
def test_an_import_of_a_missing_name_has_the_same_sentence(module, name):
    with pytest.raises(ImportError, match=f"^module '{module}' has no attribute '{name}': .+") as raised:
        exec(f"from {module} import {name}", {})
    assert raised.value.name == module
    with pytest.raises(ImportError, match="^cannot import name 'sotfmax'"):
        exec(f"from {module} import sotfmax", {})
    assert getattr(importlib.import_module(module), name, "default") == "default"


@pytest.mark.parametrize("module", [name for name in names.MODULES if name in sys.modules])
def test_dir_lists_the_public_names_of_a_module_and_dunders_alone(module):
    module = sys.modules[module]
    listed = dir(module)
    assert len(listed) == len(set(listed))
    assert {name for name in listed if not name.startswith("__")} == set(module.__all__)
    assert {"__doc__", "__name__", "__all__"} <= set(listed)


def test_a_name_that_is_missing_is_missing():
    t = Tensor(A, requires_grad=True)
    assert not {"view", "numel", "sin"} & set(dir(t))
    assert {"reshape", "shape", "grad", "__array__"} <= set(dir(t))
    assert getattr(t, "view", None) is getattr(nn.Parameter(A), "view", None) is None
    assert not hasattr(Tensor, "view")
    assert copy.deepcopy(t).tolist() == copy.copy(t).tolist() == pickle.loads(pickle.dumps(t)).tolist() == A.tolist()
    assert "cuda" not in dir(MODEL)
    assert not any(
        "__getattr__" in vars(cls) for cls in (*Tensor.__mro__, *nn.Linear.__mro__)
    )  # it slows every attribute


class Viewed(nn.Module):
    """A user's class may have an attribute of any name."""

    def __init__(self):
        self.cuda = True
        self.device = "mine"

    def half(self):
        return "half"


def test_a_users_class_may_have_any_attribute():
    model = Viewed()
    assert (model.cuda, model.device, model.half()) == (True, "mine", "half")
    assert {"cuda", "device", "half"} <= set(dir(model))
    assert vars(copy.deepcopy(model)) == vars(model)


def public_functions():
    """Return the public functions that are no operations, and the methods and constructors, by name."""
    found = {}
    for module in names.MODULES.keys() & sys.modules.keys():
        for name in sys.modules[module].__all__:
            member = getattr(sys.modules[module], name)
            if inspect.isfunction(member):
                found[f"{module}.{name}"] = member
    found |= {f"Tensor.{name}": member for name, member in vars(Tensor).items() if inspect.isfunction(member)}
    return found


def test_functions_with_an_axis_explain_keywords_and_those_of_each_step_have_no_frame():
    for path, function in public_functions().items():
        parameters = inspect.signature(function).parameters
        if {"axis", "dim"} & set(parameters):
            assert hasattr(function, "is_advised"), path
    for function in (nn.functional.cross_entropy, nn.losses.cross_entropy, nn.functional.mse_loss, tg.square, tg.stack):
        assert hasattr(function, "is_advised") == (function is tg.stack)
    for method in (nn.optim.SGD.step, nn.Module.__call__, nn.Linear.forward, Tensor.backward, Tensor.reshape):
        assert not hasattr(method, "is_advised")


def test_a_frame_hides_nothing():
    assert str(inspect.signature(tg.std)) == "(x, axis=None, keepdims=False, ddof=0)"
    assert list(inspect.signature(nn.Softmax).parameters) == ["dim"]
    assert Tensor.std is tg.std is composed.std
    assert tg.std.__doc__.startswith("Return the standard deviation")
    for function in (tg.std, tg.zeros, nn.functional.softmax):
        assert pickle.loads(pickle.dumps(function)) is function
