"""Benchmarks: this server beside the published taskfarm 0.4.0, on one machine, in one run."""
