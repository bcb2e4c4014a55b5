"""The first thing that every profile runs: defines `project`, its folder, and `clusters`, from clusters.yaml.

It also checks the config files before Snakemake reads them; its own errors name neither file nor line. Ctrl-C
while Snakemake plans the study is no error.
"""

import runpy
import sys
from pathlib import Path

import yaml

project = Path(__file__).resolve().parents[1]
runpy.run_path(f"{project}/src/triptych/config/config_files.py", run_name="__main__")


def say_stopped(kind, error, traceback):
    """Print a line for Ctrl-C, and a traceback for errors that nobody expected."""
    if issubclass(kind, KeyboardInterrupt):
        print("triptych: stopped; to continue, run the same command again", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = say_stopped
clusters = yaml.safe_load((project / "profiles/clusters.yaml").read_text(encoding="utf-8"))
