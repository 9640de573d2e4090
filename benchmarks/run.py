import os

os.environ["KERAS_BACKEND"] = "jax"
import argparse, json
from benchmarks import harness, workloads, frameworks

p = argparse.ArgumentParser()
p.add_argument("--only", default="")
p.add_argument("--frameworks", default="")
p.add_argument("--windows", type=int, default=10)
a = p.parse_args()
names = a.frameworks.split(",") if a.frameworks else frameworks.NAMES
for key, (w, op) in workloads.FULL.items():
    if a.only and not any(key == o or key.split("-")[0] == o for o in a.only.split(",")):
        continue
    r = harness.run_row(w, op, names, harness.Settings(windows=a.windows))
    print("##", key, r["differ"])
    base = r["contestants"].get("stepfit", {}).get("median_us", 1)
    for n, c in r["contestants"].items():
        print(f"{n:16} {c['median_us']:10.2f} us  x{c['median_us']/base:6.2f} min {c['min_us']:.2f} w{c['windows']} r{c['repeats']} {c['options']} {c['results'][:3]}")
