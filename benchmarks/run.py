"""Run the benchmark: ``python -m benchmarks.run``, or ``make bench``. See benchmarks/README.md."""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import sys

os.environ["KERAS_BACKEND"] = "jax"  # before anything imports Keras
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import bars, chart, frameworks, harness, processes, report, workloads

RESULTS = pathlib.Path(__file__).parent / "results"
PROCESSES = ("startup", "memory")
PACKAGES = ("jax", "optax", "keras", "flax", "equinox", "torch", "numpy")
ON_GPU = ("stepfit", "stepfit spe=1", "keras", "keras best spe", "jax loop", "jax scan")


def arguments(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", help="rows to run, by name or first letter: a,b-32,startup")
    parser.add_argument("--frameworks", help=f"of: {', '.join(frameworks.NAMES)}")
    parser.add_argument("--windows", type=int, default=10, help="per contestant and row")
    parser.add_argument("--quick", action="store_true", help="a short look: few, short windows")
    parser.add_argument("--gpu", action="store_true", help="the rows for an accelerator")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try the benchmark")
    parser.add_argument("--out", type=pathlib.Path, help="folder for the results")
    return parser.parse_args(argv)


def main(argv=None):
    """Run what was asked for; return 1 if somebody computed something else than the others."""
    args = arguments(argv)
    names = choose_frameworks(args)
    rows = workloads.TINY if args.tiny else workloads.FULL
    if args.gpu:
        rows = workloads.GPU_TINY if args.tiny else workloads.GPU
    wanted = choose_rows(args, [*rows, *(() if args.gpu or args.tiny else PROCESSES)])
    settings = harness.Settings(windows=args.windows)
    if args.quick:
        settings = harness.Settings(windows=min(args.windows, 2), window=0.03, patience=2, fewest=1)
    out = args.out or default_folder(args)
    say = lambda text: print(text, file=sys.stderr, flush=True)

    results = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "settings": dataclasses.asdict(settings),
        "accelerator": accelerator(args.tiny) if args.gpu else None,
        "rows": {},
    }
    for name in wanted:
        if name in PROCESSES:
            measure = getattr(processes, name)
            results[name] = measure(1 if args.quick else 3, lambda text: say(f"  {text}"))
        else:
            say(rows[name].title)
            row = harness.run_row(rows[name], names, settings, lambda text: say(f"  {text}"))
            if args.gpu:
                row["flops"] = flops(rows[name].workload)
            results["rows"][name] = row
            say("\n" + report.times({**results, "rows": {name: row}}).split("\n\n", 1)[1] + "\n")
        if out is not None:
            keep(results, out)
    print(report.markdown(results))
    if out is not None:
        say(f"kept in {out}")
    return int(any(row["differ"] for row in results["rows"].values()))


def choose_frameworks(args):
    known = ON_GPU if args.gpu else frameworks.NAMES
    wanted = args.frameworks.split(",") if args.frameworks else known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"--frameworks: {unknown} is not known; choose from {', '.join(known)}")
    return [name for name in known if name in wanted]


def choose_rows(args, known):
    """Return the rows asked for: ``b`` means all whose names begin with ``b-``, too."""
    if not args.only:
        return [name for name in known if not (args.quick and name in ("d", *PROCESSES))]
    wanted = args.only.split(",")
    unknown = [w for w in wanted if not any(w in (name, name.split("-")[0]) for name in known)]
    if unknown:
        sys.exit(f"--only: {unknown} is not known; choose from {', '.join(known)}")
    return [name for name in known if name in wanted or name.split("-")[0] in wanted]


def default_folder(args):
    """Only a whole run at full size replaces what is kept."""
    if args.only or args.frameworks or args.quick or args.tiny:
        return None
    return RESULTS / f"{datetime.date.today().isoformat()}-{'gpu' if args.gpu else 'cpu'}"


def keep(results, folder):
    folder.mkdir(parents=True, exist_ok=True)
    found = [dataclasses.asdict(bar) | {"met": bar.met} for bar in bars.check(results)]
    text = json.dumps({**results, "bars": found}, indent=1)
    (folder / "results.json").write_text(text + "\n")
    (folder / "table.md").write_text(report.markdown(results))
    if results["rows"]:
        (folder / "chart.svg").write_text(chart.svg(results))


def machine():
    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"cpu": f"{cores} CPU cores ({platform.machine()}, {platform.system()})"}
    if jax.default_backend() != "cpu":
        found["device"] = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    return found


def versions():
    import stepfit

    found = {"Python": platform.python_version(), "stepfit": stepfit.__version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES if installed(name)}


def installed(name):
    return importlib.util.find_spec(name) is not None


def accelerator(tiny):
    from benchmarks.accelerator import measured_peak

    return {"peak_flops": measured_peak(**({"size": 256, "times": 2} if tiny else {}))}


def flops(workload):
    from benchmarks.accelerator import step_flops

    return step_flops(workload)


if __name__ == "__main__":
    sys.exit(main())
