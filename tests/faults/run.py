"""`make faults`: everything that may happen to a training is done to it; prints a table.

Options: --quick for a handful of each, --seed N for other moments.
"""

import argparse
import signal
import sys
import tempfile
import time

from tests.faults import scenarios

FULL = {"kills": 50, "terminations": 30, "interrupts": 60, "full_disk": 6, "bit_flips": 100,
        "truncations": 40, "second_fits": 10}  # fmt: skip
QUICK = {"kills": 6, "terminations": 3, "interrupts": 8, "full_disk": 1, "bit_flips": 26,
         "truncations": 26, "second_fits": 5}  # fmt: skip


def run(counts, seed=0, say=lambda text: None):
    """Do all of it.

    Args:
        counts: dict from the name of a scenario to how often.
        seed: of the random moments.
        say: function called with the name of each scenario.

    Returns:
        List of `Row`s.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bench = scenarios.Bench(folder, seed)
        for name, count in counts.items():
            begin = time.perf_counter()
            rows += getattr(scenarios, name)(bench, count)
            say(f"{name}: {time.perf_counter() - begin:.0f} s")
    return rows


def table(rows):
    """Return the rows as text."""
    width = max(len(row.what) for row in rows)
    lines = [f"{'what':{width}}  well / done"]
    lines += [f"{r.what:{width}}  {r.well:4} / {r.done:<4}  {r.note}" for r in rows]
    lines += [f"  {row.what}: {wrong}" for row in rows for wrong in row.wrong[:5]]
    return "\n".join(lines).replace(" \n", "\n")


def main():
    """Run from the command line; exits 1 where anything is not well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a job in the background
    begin = time.perf_counter()
    say = lambda text: print(text, file=sys.stderr, flush=True)
    rows = run(QUICK if arguments.quick else FULL, arguments.seed, say)
    print(table(rows))
    print("a worker of a loader killed: see tests/training/data/test_workers.py")
    print(f"{time.perf_counter() - begin:.0f} s")
    sys.exit(any(row.well != row.done for row in rows))


if __name__ == "__main__":
    main()
