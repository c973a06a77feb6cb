"""Linear algebra under the names of numpy.linalg, with gradients: tg.linalg.solve(a, b), or np.linalg.solve(a, b).

Every matrix may be a batch, shape (..., N, N). Integers are computed in float64, and half precision in float32, which
numpy.linalg refuses.

- On the host, a matrix that has no result (a singular one for `inv` and `solve`, one that is not positive definite for
  `cholesky`) raises numpy.linalg.LinAlgError, as in NumPy.
- On a GPU nobody waits to look, as in CuPy: the result of such a matrix is no LinAlgError but NaN, an infinity or a
  meaningless number. To see it, run the step in a block of `with cupyx.errstate(linalg="raise")`, which waits.

>>> import numpy as np
>>> from tinygrad_sm import Tensor
>>> a = Tensor(np.array([[2.0, 1.0], [1.0, 3.0]]), requires_grad=True)
>>> det(a).backward()
>>> a.grad.round(12).tolist()  # the cofactors
[[3.0, -1.0], [-1.0, 2.0]]
"""

from typing import TYPE_CHECKING

from tinygrad_sm.advice import module_hooks
from tinygrad_sm.ops.decompositions import cholesky, det, inv, slogdet, solve
from tinygrad_sm.ops.linalg import matmul
from tinygrad_sm.ops.norms import norm

__all__ = ["cholesky", "det", "inv", "matmul", "norm", "slogdet", "solve"]

if not TYPE_CHECKING:  # for a type checker, a name that is missing is an error by itself
    __getattr__, __dir__ = module_hooks(__name__)
