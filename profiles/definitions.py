"""The first thing that every profile runs: defines `project`, its folder, and `clusters`, from clusters.yaml.

It also checks the config files before Snakemake reads them; its own errors name neither file nor line.
"""

import runpy
from pathlib import Path

import yaml

project = Path(__file__).resolve().parents[1]
runpy.run_path(f"{project}/src/triptych/config/config_files.py", run_name="__main__")
clusters = yaml.safe_load((project / "profiles/clusters.yaml").read_text(encoding="utf-8"))
