"""Axes split, permuted and merged by names."""

import math
import re

import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core.op import op
from stepfit.ops import table


def _groups(side, pattern):
    """Return one side of a pattern as a list of lists of names, one list per axis."""
    if not re.fullmatch(r"\s*((\w+|\([\w\s]*\))\s*)*", side):
        raise errors.bad_value(
            "rearrange(pattern)", "names of axes and groups (a b) on both sides of ->",
            repr(pattern),
        )  # fmt: skip
    found = [part.strip("()").split() for part in re.findall(r"\([^)]*\)|\w+", side)]
    return [[name for name in group if name != "1"] for group in found]


@op
def rearrange(tensor, pattern, **axes_lengths):
    """Split, permute and merge axes by a pattern such as ``"b (h w) c -> b c h w"``.

    Args:
        tensor: array.
        pattern: names of the axes before and after ``->``; names in parentheses share one axis.
        **axes_lengths: ints, lengths of axes that share one; one of each group may be left out.

    Raises:
        ValueError: a pattern that does not fit the shape.

    >>> import numpy as np, stepfit as keras
    >>> keras.ops.rearrange(np.ones((2, 6, 3)), "b (h w) c -> b c h w", h=2).shape
    (2, 3, 2, 3)
    """
    x = jnp.asarray(table.tensor(tensor))
    sides = pattern.split("->")
    if len(sides) != 2:
        raise errors.bad_value("rearrange(pattern)", "two sides with -> between", repr(pattern))
    before, after = (_groups(side, pattern) for side in sides)
    names = [name for group in before for name in group]
    wanted = [name for group in after for name in group]
    if sorted(names) != sorted(wanted) or len(set(names)) != len(names):
        raise errors.bad_value("rearrange(pattern)", "each name once on each side", repr(pattern))
    if len(before) != x.ndim:
        found = f"{errors.describe(x)} for {pattern!r}"
        raise errors.bad_value("rearrange(tensor)", f"{len(before)} axes", found)
    lengths = dict(axes_lengths)
    for size, group in zip(x.shape, before, strict=True):
        unknown = [name for name in group if name not in lengths]
        known = math.prod(lengths[name] for name in group if name in lengths)
        if len(unknown) > 1:
            raise errors.bad_value(
                "rearrange(**axes_lengths)", f"the length of {unknown[0]!r} or {unknown[1]!r}",
                "neither", f"pass {unknown[0]}=...",
            )  # fmt: skip
        if size % known if unknown else size != known:
            raise errors.bad_value(
                "rearrange(tensor)", f"an axis ({' '.join(group)}) that {known} "
                f"{'divides' if unknown else 'fills'}", f"one of size {size}",
            )  # fmt: skip
        lengths |= dict.fromkeys(unknown, size // known)
    x = x.reshape([lengths[name] for name in names])
    x = x.transpose([names.index(name) for name in wanted])
    return x.reshape([math.prod(lengths[name] for name in group) for group in after])
