"""Images and volumes cut into patches."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors
from stepfit.core.config import standardize_data_format
from stepfit.core.op import op
from stepfit.ops.table import tensor
from stepfit.ops.warping import one_of


def _patches(images, size, strides, dilation, padding, data_format, where):
    rank = len(size)
    if images.ndim not in (rank + 1, rank + 2):
        raise errors.bad_value(
            where, f"{rank + 1} axes, or {rank + 2} for a batch", errors.describe(images)
        )
    one_of(padding, ("valid", "same"), "extract_patches(padding)", "padding")
    strides = size if not strides else strides
    strides, dilation = (
        (v,) * rank if isinstance(v, int) else tuple(v) for v in (strides, dilation)
    )
    single, first = images.ndim == rank + 1, standardize_data_format(data_format) != "channels_last"
    x = images[None] if single else images
    x = jnp.moveaxis(x, 1, -1) if first else x
    reach = [(s - 1) * d + 1 for s, d in zip(size, dilation, strict=True)]
    pads = jax.lax.padtype_to_pads(x.shape[1:-1], reach, strides, padding.upper())
    x = jnp.pad(x, [(0, 0), *pads, (0, 0)])
    for i in range(rank):  # axis 1 + i becomes two at 1 + 2i: where a patch starts, and in it
        count = (x.shape[1 + 2 * i] - reach[i]) // strides[i] + 1
        starts, inside = np.arange(count) * strides[i], np.arange(size[i]) * dilation[i]
        x = jnp.take(x, starts[:, None] + inside, axis=1 + 2 * i)
    order = (0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
    x = jnp.transpose(x, order)
    x = x.reshape(*x.shape[: rank + 1], -1)
    x = jnp.moveaxis(x, -1, 1) if first else x
    return x[0] if single else x


@op
def extract_patches(images, size, strides=None, dilation_rate=1, padding="valid", data_format=None):
    """Cut images into patches, each laid out along the channels.

    Args:
        images: (height, width, channels) or a batch of them, or channels first. With a `size` of
            three ints, volumes (depth, height, width, channels).
        size: int, or the patches' (height, width).
        strides: int or ints from patch to patch; default `size`.
        dilation_rate: int or ints from pixel to pixel of a patch.
        padding: "valid", or "same" (zeros around the image).
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        (rows, columns, height * width * channels) for each image.

    >>> import numpy as np, stepfit as keras
    >>> keras.ops.image.extract_patches(np.arange(8.0).reshape(2, 4, 1), 2)[0, 1].tolist()
    [2.0, 3.0, 6.0, 7.0]
    """
    images = jnp.asarray(tensor(images))
    if not isinstance(size, int) and len(tuple(size)) not in (2, 3):
        raise errors.bad_value("extract_patches(size)", "an int, or 2 or 3 ints", repr(size))
    size = (size, size) if isinstance(size, int) else tuple(size)
    return _patches(images, size, strides, dilation_rate, padding, data_format,
                    "extract_patches(images)")  # fmt: skip


@op
def extract_patches_3d(
    volumes, size, strides=None, dilation_rate=1, padding="valid", data_format=None
):
    """Cut volumes into blocks, each laid out along the channels.

    Args:
        volumes: (depth, height, width, channels) or a batch of them, or channels first.
        size: int, or the blocks' (depth, height, width).
        strides, dilation_rate, padding, data_format: as in `extract_patches`.

    Returns:
        (depths, rows, columns, depth * height * width * channels) for each volume.

    >>> import numpy as np, stepfit as keras
    >>> keras.ops.image.extract_patches_3d(np.zeros((4, 4, 4, 2)), 2).shape
    (2, 2, 2, 16)
    """
    size = (size,) * 3 if isinstance(size, int) else tuple(size)
    if len(size) != 3:
        raise errors.bad_value("extract_patches_3d(size)", "an int, or 3 ints", repr(size))
    return _patches(jnp.asarray(tensor(volumes)), size, strides, dilation_rate, padding,
                    data_format, "extract_patches_3d(volumes)")  # fmt: skip
