"""One measurement in a process of its own: `python -m benchmarks.child KIND CONTESTANT ROW`.

Prints one JSON object. KIND is ``first-step`` (the clock time at which the first training step was
done) or ``memory`` (bytes: peak of resident memory, less what was resident after the imports and a
tiny `fit`, so that lazily imported modules and the compiler's own code do not count).
"""

import gc
import json
import sys
import time

from benchmarks import frameworks, workloads
from stepfit.core.memory import give_back


def first_step(contestant, workload):
    train(contestant, workload, epochs=1)
    return {"done": time.time()}


def memory(contestant, workload):
    train(contestant, workloads.TINY["a"].workload, epochs=1)
    gc.collect()
    give_back()  # else who keeps what compiling took would seem to need less afterwards
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak so far is no longer the peak
    before = resident("VmRSS")
    slow = workload.name == "d"
    train(contestant, workload, epochs=1 if slow else 2)
    return {"bytes": resident("VmHWM") - before}


def train(contestant, workload, epochs):
    frameworks.find(contestant, workload, "train")(workload).train(epochs)


def resident(field):
    """Return a field of this process's memory, in bytes (Linux says it in kB)."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def main(kind, contestant, row):
    measure, rows = {
        "first-step": (first_step, workloads.STARTUP),
        "memory": (memory, workloads.MEMORY),
    }[kind]
    print(json.dumps(measure(contestant, rows[row])))


if __name__ == "__main__":
    main(*sys.argv[1:])
