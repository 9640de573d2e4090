"""The results as Markdown: times and ratios, the bars, start-up and memory."""

from benchmarks import bars, frameworks, workloads


def markdown(results):
    """Return all tables of the results, with what they were measured on."""
    parts = [_about(results), times(results) if results["rows"] else ""]
    if results["accelerator"]:
        parts.append(throughput(results))
    parts += [startup(results), memory(results), bar_table(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(results):
    machine, versions = results["machine"], results["versions"]
    where = ", ".join(str(value) for value in machine.values())
    what = ", ".join(f"{name} {version}" for name, version in versions.items())
    windows = results["settings"]["windows"]
    return f"{results['date']}; {where}; {what}; medians of up to {windows} windows in turns."


def duration(microseconds):
    """Return a time with three digits and a fitting unit."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{_three(microseconds / size)} {unit}"
    return f"{_three(microseconds)} us"


def _three(value):
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"


def _table(head, lines):
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))


def times(results):
    """Time of a step (or call) with stepfit, and how many times as long the others take."""
    rows = results["rows"]
    others = [
        name for name in frameworks.NAMES[1:]
        if any(name in row["contestants"] for row in rows.values())
    ]  # fmt: skip
    lines, notes = [], []
    for key, row in rows.items():
        ours = bars.microseconds(row, "stepfit")
        cells = [row["title"], duration(ours) if ours else "-"]
        for name in others:
            theirs = bars.microseconds(row, name)
            if not theirs:
                cells.append("-")
                continue
            text = f"{_three(theirs / ours)}x" if ours else duration(theirs)
            steps = row["contestants"][name]["options"].get("steps_per_execution")
            cells.append(f"{text} ({steps})" if name == "keras best spe" else text)
        lines.append(cells)
        for who, how in row["differ"].items():
            notes.append(f"**{key}: LOSSES DIFFER: {who} is {how}.**")
    head = ["workload", "stepfit", *others]
    text = (
        "Time per step, or per call, with stepfit; the others' times as multiples of it; in "
        "brackets the `steps_per_execution` that was best for Keras.\n\n"
    )
    return text + _table(head, lines) + "".join(f"\n\n{note}" for note in notes)


def throughput(results):
    """What share of the device's measured peak each reaches."""
    peak = results["accelerator"]["peak_flops"]
    names = [name for name in frameworks.NAMES
             if any(name in row["contestants"] for row in results["rows"].values())]  # fmt: skip
    lines = []
    for row in results["rows"].values():
        cells = [row["title"], f"{row['flops'] / 1e9:.3g}"]
        for name in names:
            found = bars.microseconds(row, name)
            rate = found and row["flops"] / (found * 1e-6)
            cells.append(f"{rate / 1e12:.3g} ({rate / peak:.0%})" if rate else "-")
        lines.append(cells)
    return (
        f"TFLOP/s, and the share of the {peak / 1e12:.4g} TFLOP/s that a large bfloat16 matrix "
        "product reached in the same run.\n\n" + _table(["workload", "GFLOP", *names], lines)
    )


def startup(results):
    found = results.get("startup")
    if not found:
        return ""
    imports = found["import"]
    text = "; ".join(f"{name} {seconds:.2f} s" for name, seconds in imports.items())
    names = list(next(v for k, v in found.items() if k != "import"))
    lines = [
        [workloads.FULL[row].title, *(f"{found[row][name]:.2f}" for name in names)]
        for row in found if row != "import"
    ]  # fmt: skip
    return (
        f"Import: {text}. Seconds from the start of a process to the end of its first training "
        "step, with an empty compilation cache (cold) and a filled one (warm).\n\n"
        + _table(["workload", *names], lines)
    )


def memory(results):
    found = results.get("memory")
    if not found:
        return ""
    names = list(next(iter(found.values())))
    lines = []
    for row, sizes in found.items():
        title = workloads.MEMORY_TITLES.get(row) or workloads.FULL[row].title
        lines.append([title, *(f"{sizes[name] / 1e6:.0f}" for name in names)])
    return (
        "Peak memory in MB, less what a process holds after a tiny fit.\n\n"
        + _table(["workload", *names], lines)
    )


def bar_table(results):
    """Every bar: what was wanted, what was found."""
    lines = [
        [
            bar.what,
            f"{'at least' if bar.at_least else 'at most'} {_ratio(bar.wanted)}",
            _ratio(bar.found),
            "met" if bar.met else "**not met**",
        ]
        for bar in bars.check(results)
    ]
    return "Bars\n\n" + _table(["ratio", "wanted", "found", ""], lines) if lines else ""


def _ratio(value):
    return f"{value:.3g}x" if value >= 0.995 or value < 0.01 else f"{value:.2f}x"
