"""Where the parts of a model's variables lie: a picture of its layout over a mesh."""

import math
from typing import Any

from stepfit.core import errors, placement
from stepfit.distribution.base import Distribution
from stepfit.utils import optional

_MOST = 40  # variables in one picture
_LABELLED = 64  # parts; in smaller ones no number can be read


def plot_sharding(
    model: Any,
    distribution: Any = None,
    path: Any = None,
    show: bool | None = None,
    optimizer: bool = False,
    dpi: int = 100,
) -> Any:
    """Draw which devices hold which parts of a model's variables.

    Each variable is a rectangle: its last axis runs to the right, the others, put together, down. A
    part has the numbers of the devices that hold it, and a colour that none of the others has.

    Args:
        model: a built model or layer.
        distribution: what spreads it; default that of `compile`, or the one in force.
        path: file to write; None: show it.
        show: whether to show it; default if there is no `path`.
        optimizer: whether the optimizer's variables are drawn, too.
        dpi: dots per inch of the file.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: no distribution, or a model that is not built.
        TypeError: a distribution that is none.
        ImportError: Matplotlib is missing.
    """
    distribution = distribution or getattr(model, "_distribution", None) or placement.in_force()
    if distribution is None:
        fix = "pass one, or call set_distribution"
        raise errors.bad_value("plot_sharding(distribution)", "a distribution", "None", fix)
    if not isinstance(distribution, Distribution):
        found = errors.describe(distribution)
        fix = "the file's name is `path`"
        raise errors.bad_type("plot_sharding(distribution)", "a distribution", found, fix)
    variables = list(model.weights)
    if optimizer and getattr(model, "optimizer", None) is not None:
        variables += model.optimizer.variables
    if not variables:
        fix = "call it on data, or build it"
        raise errors.bad_value("plot_sharding(model)", "a model with variables", "none", fix)
    pyplot = optional.load("matplotlib.pyplot", "plot_sharding", "plot")
    drawn = variables[:_MOST]
    columns = min(4, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(3 * columns, 2.4 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, variable in zip(axes.flat, drawn, strict=False):
        _draw(axis, variable, distribution, pyplot)
    mesh = distribution.device_mesh
    names = " x ".join(f"{n} {a}" for n, a in zip(mesh.shape, mesh.axis_names, strict=True))
    left_out = len(variables) - len(drawn)
    more = f", {left_out} more variables" if left_out else ""
    figure.suptitle(f"{type(distribution).__name__}, {names}{more}", fontsize=10)
    if path is not None:
        figure.savefig(path, dpi=dpi)
    if show if show is not None else path is None:
        pyplot.show()
    return figure


def parts_of(variable, distribution):
    """Return ``{((top, bottom), (left, right)): devices}`` of a variable drawn as a rectangle.

    Sides are shares of the whole, devices numbers in the mesh.
    """
    sharding = distribution.sharding_of(variable)
    order = {d: i for i, d in enumerate(distribution.device_mesh.backend_mesh.devices.flat)}
    shape = variable.shape or (1,)
    found: dict[tuple, list[int]] = {}
    for device, index in sharding.devices_indices_map(variable.shape).items():
        ranges = [s.indices(n)[:2] for s, n in zip(index, shape, strict=False)] or [(0, 1)]
        top, height = 0.0, 1.0
        for (begin, end), size in zip(ranges[:-1], shape[:-1], strict=True):
            top, height = top + height * begin / size, height * (end - begin) / size
        sides = (begin_end / shape[-1] for begin_end in ranges[-1])
        found.setdefault(((top, top + height), tuple(sides)), []).append(order[device])
    return found


def _draw(axis, variable, distribution, pyplot):
    parts = parts_of(variable, distribution)
    colours = pyplot.get_cmap("viridis")
    for number, (((top, bottom), (left, right)), devices) in enumerate(parts.items()):
        colour = colours(number / max(len(parts) - 1, 1))
        look = {"facecolor": colour, "edgecolor": "white", "linewidth": 0.8}
        axis.add_patch(pyplot.Rectangle((left, top), right - left, bottom - top, **look))
        if len(parts) <= _LABELLED:
            dark = sum(colour[:3]) < 1.5
            axis.text((left + right) / 2, (top + bottom) / 2, _numbers(devices), ha="center",
                      va="center", fontsize=6, color="white" if dark else "black")  # fmt: skip
    axis.set_xlim(0, 1)
    axis.set_ylim(1, 0)
    axis.set_title(f"{variable.path}\n{variable.shape}", fontsize=7)


def _numbers(devices):
    """Return numbers as text, runs of them in short: "0-3, 6"."""
    runs: list[list[int]] = []
    for number in sorted(devices):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    return ", ".join(texts) if len(texts) <= 4 else f"{', '.join(texts[:3])}, ..."
