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
COLUMNS = 118
PLAIN, BOLD, DARK = "#c8d0dc", "#ffffff", "#1d232e"
COLOURS = {2: "#58c46f", 7: "#6a7382"}  # by the terminal's number: green, white


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
    first, last = lines[epochs[0] : epochs[2]], lines[epochs[-1] : after]
    rest = [Text(line.plain.replace(folder, "demo")) for line in lines[after:]]
    while not rest[-1].plain:
        rest.pop()
    return [Text("$ make demo"), *first, Text("..."), *last, *rest]


def draw_terminal(axis, lines):
    axis.set(xlim=(-1.5, COLUMNS + 1), ylim=(len(lines) + 0.5, -1), facecolor=DARK)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    for row, line in enumerate(lines):
        for column, (character, colour) in enumerate(zip(line.plain, colours(line))):
            axis.text(column, row, character, color=colour, family="monospace", fontsize=7.8,
                      va="center")  # fmt: skip


def colours(line):
    """Return the colour of each character."""
    found = [PLAIN] * len(line.plain)
    for span in line.spans:
        colour = span.style.color
        name = COLOURS.get(colour.number, PLAIN) if colour else BOLD if span.style.bold else PLAIN
        found[span.start : span.end] = [name] * (span.end - span.start)
    return found


def main():
    with tempfile.TemporaryDirectory() as folder:
        lines = excerpt(screen_lines(run_demo(folder)), folder)
        names = ("curves", "predictions", "gan_samples")
        images = [plt.imread(pathlib.Path(folder) / f"{name}.png") for name in names]
    ratios = [image.shape[0] / image.shape[1] for image in images]
    width = 8.6
    heights = [0.16 * len(lines), width * ratios[0], width / 2 * max(ratios[1:])]
    figure = plt.figure(figsize=(width, sum(heights)), layout="constrained")
    axes = figure.subplot_mosaic("TT\nCC\nPG", height_ratios=heights)
    draw_terminal(axes["T"], lines)
    for name, image in zip("CPG", images):
        axes[name].imshow(image, interpolation="antialiased")
        axes[name].axis("off")
    figure.savefig(pathlib.Path(__file__).parent / "run.png", dpi=150)


if __name__ == "__main__":
    main()
