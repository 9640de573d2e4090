"""Makes run.png: `make demo` in a real terminal, with the pictures it wrote.

Runs examples/demo.py in a pseudo-terminal, so that the progress bar is drawn as a user sees it,
keeps what stands on the screen at the end, and sets it above the demo's own pictures.
"""

import os
import pathlib
import pty
import re
import sys
import tempfile

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from rich.text import Text

ROOT = pathlib.Path(__file__).parents[2]
COLUMNS = 112
COLOURS = {"green": "#7ec699", "white": "#6a7382", "bold": "#ffffff", "": "#c8d0dc"}
DARK = "#1d232e"


def run_demo(folder):
    """Return what the demo wrote to a terminal of COLUMNS columns, with its escape codes."""
    os.environ.update(COLUMNS=str(COLUMNS), LINES="60", TERM="xterm-256color")
    chunks = []

    def read(fd):
        chunks.append(os.read(fd, 65536))
        return chunks[-1]

    demo = [sys.executable, str(ROOT / "examples/demo.py"), "--out", folder]
    if pty.spawn(demo, read) != 0:
        raise SystemExit("the demo failed")
    return b"".join(chunks).decode()


def screen_lines(output):
    """Return the lines as they stand at the end: what was redrawn counts once."""
    lines = output.replace("\r\n", "\n").split("\n")
    return [Text.from_ansi(line.rsplit("\r", 1)[-1].rstrip()) for line in lines]


def excerpt(lines, folder):
    """Choose the lines to show: the first and last epochs, the accuracy, the GAN, the files."""
    plain = [line.plain for line in lines]
    epochs = [i for i, text in enumerate(plain) if re.fullmatch(r"Epoch \d+/\d+", text)]
    after = next(i for i, text in enumerate(plain) if text.startswith("Test accuracy"))
    first, last = lines[epochs[0] : epochs[3]], lines[epochs[-2] : after]
    rest = [Text(line.plain.replace(folder, "demo")) for line in lines[after:]]
    return [Text("$ make demo"), *first, Text("..."), *last, *rest]


def draw_terminal(axis, lines):
    axis.set(xlim=(-1.5, COLUMNS + 1), ylim=(len(lines) + 0.5, -1), facecolor=DARK)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    for row, line in enumerate(lines):
        for start, end, style in pieces(line):
            for column in range(start, end):
                axis.text(column, row, line.plain[column], color=style, family="monospace",
                          fontsize=8.2, va="center")  # fmt: skip


def pieces(line):
    """Yield (start, end, colour) for the parts of a line."""
    colours = [COLOURS[""]] * len(line.plain)
    for span in line.spans:
        style = span.style
        name = "bold" if style.bold else style.color.name if style.color else ""
        colours[span.start : span.end] = [COLOURS.get(name, COLOURS[""])] * (span.end - span.start)
    for column, colour in enumerate(colours):
        yield column, column + 1, colour


def main():
    with tempfile.TemporaryDirectory() as folder:
        lines = excerpt(screen_lines(run_demo(folder)), folder)
        names = ("curves", "predictions", "gan_samples")
        images = [plt.imread(pathlib.Path(folder) / f"{name}.png") for name in names]
    width = 8.6
    heights = [0.165 * len(lines), *(width * i.shape[0] / i.shape[1] for i in images)]
    figure, axes = plt.subplots(
        4, 1, figsize=(width, sum(heights) + 0.3), height_ratios=heights, layout="constrained"
    )
    draw_terminal(axes[0], lines)
    for axis, image in zip(axes[1:], images):
        axis.imshow(image, interpolation="antialiased")
        axis.axis("off")
    figure.savefig(pathlib.Path(__file__).parent / "run.png", dpi=130)


if __name__ == "__main__":
    main()
