"""List the source files whose edits make a result stale.

    python -m triptych.workflow.list_tracked results/grid/vit-cutmix/seed0/metrics.json --configfile mine.yaml

Run it in the project's folder, with the config files that the study is run with.
"""

import argparse
import os
from pathlib import Path

from triptych.workflow.tracked_code import TrackedCode


def tracked_files_of(target: str, configfiles: list[str]) -> list[Path]:
    """The tracked files of the job that writes `target`.

    Raises:
        ValueError: no rule makes it, or its rule tracks no code (a download).
    """
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[Path(file) for file in configfiles]),
            snakefile=Path("Snakefile"),
        )._workflow
        for rule in workflow.rules:
            for output in rule.output:
                wildcards = output.match(target)
                if wildcards:
                    code = dict(rule.params.items()).get("code")
                    if isinstance(code, TrackedCode):
                        return code.files(argparse.Namespace(**wildcards.groupdict()))
                    raise ValueError(f"{target}: no file of the project is tracked for it")
    raise ValueError(f"{target}: no rule makes it")


def main() -> None:
    """Print the files, one per line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target", help="a result file")
    parser.add_argument("--configfile", nargs="+", default=[], help="as for snakemake")
    options = parser.parse_args()
    try:
        for file in tracked_files_of(options.target, options.configfile):
            print(os.path.relpath(file))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
