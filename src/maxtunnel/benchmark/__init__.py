"""Fair timings: what a PyTorch user writes by hand, the same tuned, and ours, turn and turn about."""

from maxtunnel.benchmark.run import Benchmark as Benchmark
from maxtunnel.benchmark.run import run_benchmark as run_benchmark
