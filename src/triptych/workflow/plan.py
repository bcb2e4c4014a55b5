"""What a run costs before it starts: jobs, core-hours, GPU-hours, wall time and disk, from measured rates.

    python -m triptych.workflow.plan --cores 2 --configfile presets/cpu.yaml

The options are Snakemake's. Run it in the project's folder. The jobs are those of Snakemake's own DAG,
without the finished ones. What is not known about a kind of job is named. `--save-rates FILE` also writes the
rates of this study's finished jobs to a file, and `--rates FILE` reads such a file: see `rates`.
"""

import argparse
import heapq
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import format_seconds
from triptych.workflow.rates import Rate, Work, measured_rates, read_rates, save_rates, work_of

GB, HOUR = 1e9, 3600.0


@dataclass
class PlannedJob:
    """A job that would run.

    Attributes:
        rule: its name.
        work: its kind and amount.
        rate: what one unit of work costs; None if that is not known.
        threads, gpus: what it reserves.
        needs: positions in the plan of the jobs that must finish before.
        wildcards: values of the rule's wildcards.
    """

    rule: str
    work: Work
    rate: Rate | None
    threads: int = 1
    gpus: int = 0
    needs: tuple[int, ...] = ()
    wildcards: Mapping[str, str] = field(default_factory=dict)

    @property
    def core_seconds(self) -> float:
        """Expected CPU time; 0 if it is not known."""
        return self.work.amount * self.rate.core_seconds if self.rate else 0.0

    @property
    def gpu_seconds(self) -> float:
        """Expected GPU time; 0 if it is not known."""
        return self.work.amount * self.rate.gpu_seconds if self.rate else 0.0

    @property
    def seconds(self) -> float:
        """Expected wall time, with the work spread evenly over its GPUs or cores; 0 if it is not known."""
        return self.gpu_seconds / self.gpus if self.gpus else self.core_seconds / self.threads


def read_dag(arguments: list[str], rates: dict[str, Rate]) -> tuple[list[PlannedJob], dict[str, Rate]]:
    """The jobs that `snakemake` would run with these arguments, and the rates of the finished ones.

    Rates of finished jobs replace the given ones.

    Raises:
        TriptychError: Snakemake found an error in the config or the DAG.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.cli import parse_args, parse_config
    from snakemake.exceptions import WorkflowError
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )

    _, options = parse_args(arguments)
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        try:
            workflow_api = api.workflow(
                resource_settings=ResourceSettings(cores=options.cores, resources=options.resources),
                config_settings=ConfigSettings(
                    config=parse_config(options.config),
                    configfiles=options.configfile,
                    config_args=options.config,
                ),
                snakefile=options.snakefile,
                workdir=options.directory,
            )
            dag_api = workflow_api.dag(
                DAGSettings(
                    targets=options.targets,
                    forceall=options.forceall,
                    forcerun=options.forcerun,
                    force_incomplete=options.rerun_incomplete,
                    rerun_triggers=options.rerun_triggers,
                    max_checksum_file_size=options.max_checksum_file_size,
                )
            )
            dag_api.execute_workflow(executor="dryrun")
        except WorkflowError as error:  # the API's own messages are silent: all others are not wanted here
            raise TriptychError(str(error)) from None
        return plan_jobs(workflow_api._workflow.dag, workflow_api._workflow.globals["config"], rates)


def plan_jobs(
    dag: Any, config: Mapping[str, Any], rates: Mapping[str, Rate]
) -> tuple[list[PlannedJob], dict[str, Rate]]:
    """The jobs of Snakemake's DAG that would run, and the rates of the finished ones."""
    scripts = [job for job in dag.jobs if job.rule.script]
    waiting = [job for job in scripts if dag.needrun(job)]
    measured = measured_rates(config, [job for job in scripts if not dag.needrun(job)])
    position = {job: number for number, job in enumerate(waiting)}
    planned = []
    for job in waiting:
        work = work_of(config, job)
        needs = tuple(position[other] for other in dag.dependencies[job] if other in position)
        rate = work.budget or measured.get(work.kind) or rates.get(work.kind)
        gpus = job.resources.get("gpu", 0)
        planned.append(PlannedJob(job.rule.name, work, rate, job.threads, gpus, needs, job.wildcards_dict))
    return planned, measured


def wall_seconds(jobs: list[PlannedJob], cores: float, gpus: float) -> float:
    """Wall time if each job starts as soon as its inputs, cores and GPUs are there, long ones first."""
    missing = [len(job.needs) for job in jobs]
    after = defaultdict(list)
    for number, job in enumerate(jobs):
        for other in job.needs:
            after[other].append(number)
    ready = [(-job.seconds, number) for number, job in enumerate(jobs) if not job.needs]
    running: list[tuple[float, int]] = []
    now = 0.0
    while ready or running:
        heapq.heapify(ready)
        held = []
        while ready and cores > 0:
            entry = heapq.heappop(ready)
            job = jobs[entry[1]]
            if (job.threads <= cores and job.gpus <= gpus) or not running:
                cores, gpus = cores - job.threads, gpus - job.gpus
                heapq.heappush(running, (now + job.seconds, entry[1]))
            else:
                held.append(entry)
        ready += held
        now, number = heapq.heappop(running)
        cores, gpus = cores + jobs[number].threads, gpus + jobs[number].gpus
        for other in after[number]:
            missing[other] -= 1
            if not missing[other]:
                ready.append((-jobs[other].seconds, other))
    return now


def describe(jobs: list[PlannedJob], cores: int, gpus: int) -> str:
    """The plan as text: a table of the kinds of jobs, the total, and what is not known."""
    if not jobs:
        return "Nothing to be done."
    kinds = defaultdict(list)
    for job in jobs:
        kinds[job.rule, job.work.kind].append(job)
    lines: list[tuple[str, ...]] = [("jobs", "core-hours", "GPU-hours", "disk, GB", "kind", "measured")]
    small = [job for group in kinds.values() if _is_small(group) for job in group]
    for (rule, kind), group in sorted(kinds.items(), key=_most_work):
        if _is_small(group):
            continue
        details = kind.partition(": ")[2].partition("recipe ")[0].rstrip(", ")
        source = group[0].rate.source if group[0].rate else "unknown"
        lines.append((*_costs(group), f"{rule}: {details}" if details else rule, source))
    if small:
        lines.append((*_costs(small), "others, each kind below 0.001 hours", ""))
    lines.append((*_costs(jobs), "all", ""))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    text = [
        "  ".join([*(f"{cell:>{width}}" for cell, width in zip(line[:4], widths, strict=False)), *line[4:]])
        for line in lines
    ]
    unknown = sum(job.rate is None for job in jobs)
    least = "at least" if unknown else "about"
    wall, chain = wall_seconds(jobs, cores, gpus), wall_seconds(jobs, float("inf"), float("inf"))
    machine = f"{cores} core{'' if cores == 1 else 's'}"
    if any(job.gpus for job in jobs):
        machine += f" and {gpus} GPU{'' if gpus == 1 else 's'}"
    text.append(f"Wall time on {machine}: {least} {format_seconds(wall)} (h:mm:ss).")
    text.append(f"The longest chain of jobs, which more machines do not shorten: {format_seconds(chain)}.")
    if unknown:
        jobs_of = "1 job" if unknown == 1 else f"{unknown} jobs"
        text.append(f"Not counted: {jobs_of} of a kind that has not been measured (the first rows).")
    return "\n".join(text)


def _seconds(group: list[PlannedJob]) -> float:
    return sum(job.core_seconds + job.gpu_seconds for job in group)


def _is_small(group: list[PlannedJob]) -> bool:
    return all(job.rate for job in group) and _seconds(group) < HOUR / 1000


def _most_work(item: tuple[tuple[str, str], list[PlannedJob]]) -> tuple[bool, float]:
    """Jobs that may take any time come first, then those that take the longest."""
    return all(job.rate for job in item[1]), -_seconds(item[1])


def _costs(jobs: list[PlannedJob]) -> tuple[str, ...]:
    """Number, core-hours, GPU-hours and gigabytes; `+` marks sums without unknown parts, `?` none."""
    sizes = [job.rate.bytes_per_job if job.rate else None for job in jobs]
    core_hours = _sum([job.core_seconds if job.rate else None for job in jobs], HOUR)
    gpu_hours = _sum([job.gpu_seconds if job.rate else None for job in jobs], HOUR)
    return str(len(jobs)), core_hours, gpu_hours, _sum(sizes, GB)


def _sum(values: list[float | None], unit: float) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / unit:.3f}{'+' if len(known) < len(values) else ''}" if known else "?"


def main(arguments: list[str]) -> int:
    """Print the plan; exit code 1 if the config, the DAG or a file of rates has an error."""
    parser = argparse.ArgumentParser(
        prog="python -m triptych.workflow.plan",
        usage="%(prog)s [options] [options and targets of snakemake]",
        description=__doc__.split("\n")[0],
    )
    parser.add_argument("--rates", type=Path, metavar="FILE", help="measured rates to use")
    parser.add_argument("--save-rates", type=Path, metavar="FILE", help="write the rates of finished jobs")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs of the machine (default: %(default)s)")
    parser.add_argument("--cores", type=int, default=1, help="cores of the machine (default: %(default)s)")
    options, others = parser.parse_known_args(arguments)
    resources = ["--cores", str(options.cores), "--resources", f"gpu={options.gpus}"]
    try:
        known = read_rates(options.rates)
        jobs, measured = read_dag([*others, *resources], known)
        if options.save_rates:
            save_rates(options.save_rates, known | measured)
    except TriptychError as error:
        print(f"triptych: error: {error}", file=sys.stderr)
        return 1
    print(describe(jobs, options.cores, options.gpus))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
