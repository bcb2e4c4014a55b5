"""`python -m triptych.study collect FROM` copies finished results of a run into `study/`.

`python -m triptych.study document` writes docs/study.md and the study's tables in RESULTS.md and both READMEs
from `study/`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from triptych.study.collect import collect
from triptych.study.documents import write_documents
from triptych.study.readme import write_readmes
from triptych.study.recipes import ROOT, study_config
from triptych.workflow.command import run_command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m triptych.study", description="Results of the project's own study."
    )
    commands = parser.add_subparsers(required=True)
    collecting = commands.add_parser(
        "collect", help="copy finished results of a run into study/, after checking them"
    )
    collecting.add_argument("run", metavar="FROM", type=Path, help="folder of the run, which has results/")
    collecting.add_argument(
        "--only", nargs="+", default=[], metavar="RESULT", help="such as grid/vit-cutmix (default: all)"
    )
    collecting.add_argument("--study", type=Path, default=Path("study"), help="(default: %(default)s)")
    collecting.add_argument(
        "--configfile",
        nargs="+",
        default=["presets/cpu.yaml", "presets/overfitting.yaml"],
        help="the presets that the results must be of (default: %(default)s)",
    )
    collecting.add_argument("--replace", action="store_true", help="overwrite results that differ")
    collecting.set_defaults(run_it=_collect)
    documenting = commands.add_parser(
        "document", help="write docs/study.md and the study's tables in RESULTS.md and both READMEs"
    )
    documenting.set_defaults(run_it=_document)
    return parser


def _collect(options: argparse.Namespace) -> None:
    lines = collect(
        options.run,
        options.study,
        study_config(options.configfile),
        options.configfile,
        chosen=options.only,
        replace=options.replace,
    )
    print("\n".join(lines))


def _document(_: argparse.Namespace) -> None:
    study, page, results = (ROOT / name for name in ("study", "docs/study.md", "benchmarks/RESULTS.md"))
    for path in [*write_documents(study, page, results), *write_readmes(study, ROOT)]:
        print(f"{path.relative_to(ROOT)}: written")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    return run_command(_parser(), lambda options: options.run_it(options), arguments)


if __name__ == "__main__":
    sys.exit(main())
