"""Benchmarks: a file for each question; most answers are ratios of times measured in one run."""

import os

# As in the workflow: idle OpenMP threads sleep. It must be said before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
