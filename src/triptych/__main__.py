"""The command `triptych`: the version, and a list of what there is to run."""

import argparse
import sys
from collections.abc import Sequence

from triptych.workflow.provenance import project_version

COMMANDS = """commands, in the project's folder:
  snakemake --cores all --configfile FILE   run a study; see README.md
  make                                      list what else there is
  python -m triptych.predict                classify a folder of images with a trained network
  python -m triptych.export_onnx            write a trained network as ONNX
  python -m triptych.view                   walk through a trained scene in the browser
  python -m triptych.workflow.plan          what a run would cost

Each python command explains itself with --help.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the version, or what there is to run."""
    parser = argparse.ArgumentParser(
        prog="triptych",
        description="Self-supervision, architecture x augmentation, and reconstruction as one workflow.",
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"triptych {project_version()}")
    parser.parse_args(arguments)
    parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
