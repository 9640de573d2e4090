"""Pictures of 8x8 digits, for the examples that generate some."""

import pathlib

import matplotlib

matplotlib.use("Agg")  # no window is needed
import matplotlib.pyplot as plt


def save_grid(images, path, columns=8, title=None):
    """Write images, an array of shape (n, 8, 8) or (n, 8, 8, 1), as a grid into one PNG file."""
    images = images.reshape(-1, *images.shape[1:3])
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(0.7 * columns, 0.7 * rows + 0.4), squeeze=False, layout="tight"
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, image in zip(axes.flat, images):
        axis.imshow(image, cmap="gray_r", interpolation="nearest")
    figure.suptitle(title, fontsize=10)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"wrote {path}")
    return path
