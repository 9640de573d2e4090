"""Every workload for every framework, side by side in one run: see benchmarks/README.md."""
