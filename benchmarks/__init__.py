"""Benchmarks: one file a question, each a ratio measured in one run."""
