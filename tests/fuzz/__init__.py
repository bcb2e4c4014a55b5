"""Mutated files for every reader of files that people bring."""
