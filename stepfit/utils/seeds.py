"""One call that fixes every source of randomness."""

import random as python_random

import numpy as np

from stepfit.core import errors, seeding
from stepfit.random import seed_generator


def set_random_seed(seed):
    """Seed Python, NumPy and stepfit, so that a program repeats its numbers.

    Args:
        seed: integer from 0 to 2**32 - 1.

    Raises:
        TypeError, ValueError: for anything else.

    Example:

    >>> import numpy as np
    >>> import stepfit as keras
    >>> keras.utils.set_random_seed(1)
    >>> first = np.random.rand()
    >>> keras.utils.set_random_seed(1)
    >>> bool(first == np.random.rand())
    True
    """
    expected = "an integer from 0 to 2**32 - 1"
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise errors.bad_type("set_random_seed(seed)", expected, errors.describe(seed))
    if not 0 <= seed < 2**32:
        raise errors.bad_value("set_random_seed(seed)", expected, repr(int(seed)))
    seed = int(seed)
    python_random.seed(seed)
    np.random.seed(seed)
    seed_generator.reset_global(seed)  # first: making it draws a seed
    seeding.set_seed(seed)
