"""The table of ratios as a picture: one line per workload, a dot per framework, written as SVG."""

import math
from xml.sax.saxutils import escape

from benchmarks import bars
from benchmarks.report import duration

COLOURS = {
    "keras": "#d1495b", "keras best spe": "#edae49", "jax loop": "#2e86ab", "jax scan": "#6a4c93",
    "flax nnx": "#4f9d69", "equinox": "#a1c181", "torch": "#8d6a4f",
}  # fmt: skip
STEPFIT = "#1d2430"
LABELS = {"keras": "Keras, default", "keras best spe": "Keras, best setting",
          "jax loop": "JAX by hand, loop", "jax scan": "JAX by hand, scan"}  # fmt: skip
WIDTH, LEFT, RIGHT, LINE, TOP, BOTTOM = 960, 300, 96, 34, 122, 34
FONT = "font-family='system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif'"


def svg(results):
    """Return the picture: how many times as long as stepfit each takes, on a logarithmic axis."""
    rows = {key: row for key, row in results["rows"].items() if bars.microseconds(row, "stepfit")}
    ratios = {key: _ratios(row) for key, row in rows.items()}
    names = [name for name in COLOURS if any(name in found for found in ratios.values())]
    every = [ratio for found in ratios.values() for ratio in found.values()] + [0.8, 4]
    low, high = math.log10(min(every)) - 0.06, math.log10(max(every)) + 0.06
    height = TOP + LINE * len(rows) + BOTTOM

    def place(ratio):
        share = (math.log10(ratio) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    drawn = [
        _text(24, 34, "Time per step, as a multiple of stepfit's", 19, weight=600),
        _text(24, 56, "further right is slower; all of one line take turns in one run", 13,
              fill="#5b6470"),
        *_legend(["stepfit", *names]),
        _text(WIDTH - 20, TOP - 8, "stepfit", 12, fill="#5b6470", anchor="end", weight=600),
        *_axis(place, low, high, height),
    ]  # fmt: skip
    for line, (key, found) in enumerate(ratios.items()):
        y = TOP + LINE * line + LINE / 2
        ours = bars.microseconds(rows[key], "stepfit")
        drawn += _line(y, rows[key]["title"], ours, found, place, line % 2)
    body = "\n".join(drawn)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' "
        f"width='{WIDTH}' height='{height}' role='img' aria-label='Benchmark: time per step "
        f"relative to stepfit'>\n<rect width='{WIDTH}' height='{height}' rx='8' fill='#ffffff'/>\n"
        f"{body}\n</svg>\n"
    )


def _ratios(row):
    ours = bars.microseconds(row, "stepfit")
    return {
        name: bars.microseconds(row, name) / ours for name in COLOURS if name in row["contestants"]
    }


def _text(x, y, text, size, fill="#1d2430", anchor="start", weight=400):
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' {FONT} font-size='{size}' fill='{fill}' "
        f"text-anchor='{anchor}' font-weight='{weight}'>{escape(text)}</text>"
    )


def _dot(x, y, colour, radius=6):
    return (
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius}' fill='{colour}' stroke='#ffffff' "
        "stroke-width='1.5'/>"
    )


def _legend(names):
    x = 24.0
    for name in names:
        label = LABELS.get(name, name)
        yield _dot(x + 5, 82, COLOURS.get(name, STEPFIT))
        yield _text(x + 15, 86, label, 12)
        x += 34 + 6.1 * len(label)


def _axis(place, low, high, height):
    bottom = height - BOTTOM
    for power in range(math.floor(low), math.ceil(high) + 1):
        for digit in (1, 2, 5):
            value = digit * 10.0**power
            if not low <= math.log10(value) <= high:
                continue
            x, major = place(value), digit == 1
            colour = "#1d2430" if value == 1 else "#c9d0d8" if major else "#e8ebef"
            width = 1.6 if value == 1 else 1
            yield (
                f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{TOP}' y2='{bottom}' stroke='{colour}' "
                f"stroke-width='{width}'/>"
            )
            if major or high - low < 2.2:
                label = f"{value:g}x"
                yield _text(x, bottom + 16, label, 11, fill="#5b6470", anchor="middle")


def _line(y, title, ours, found, place, shaded):
    if shaded:
        yield (
            f"<rect x='12' y='{y - LINE / 2:.1f}' width='{WIDTH - 24}' height='{LINE}' "
            "fill='#1d2430' fill-opacity='0.035'/>"
        )
    yield _text(LEFT - 16, y + 4.5, title, 13, anchor="end")
    yield _text(WIDTH - 20, y + 4.5, duration(ours), 12, fill="#5b6470", anchor="end")
    xs = [place(ratio) for ratio in found.values()] + [place(1)]
    yield (
        f"<line x1='{min(xs):.1f}' x2='{max(xs):.1f}' y1='{y:.1f}' y2='{y:.1f}' stroke='#aeb7c2' "
        "stroke-width='2'/>"
    )
    for name, ratio in reversed(found.items()):  # the first are drawn last, on top
        yield _dot(place(ratio), y, COLOURS[name])
    yield _dot(place(1), y, STEPFIT, 6.5)
