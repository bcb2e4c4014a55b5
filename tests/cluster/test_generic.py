"""The profile for any scheduler; as it is, jobs run in the background of this machine."""

import re
from pathlib import Path

import pytest
from cluster_study import ClusterStudy, copy_project

PARAMETERS = "results/grid/parameters.json"
# Submits the first job to nowhere: it gets a number and never ends properly.
LOSES_THE_FIRST = """#!/bin/sh
echo "$1 $2 $3 $4" >> "{submissions}"
if [ "$(wc -l < "{submissions}")" = 1 ]; then
    true &
    echo $!
else
    exec "{submit}" "$@"
fi
"""


@pytest.mark.slow
def test_a_job_that_disappears_is_submitted_again_with_more_memory_and_time(tmp_path: Path) -> None:
    copy_project(tmp_path)
    study = ClusterStudy(tmp_path)
    script, submissions = tmp_path / "profiles/generic/submit.sh", tmp_path / "submissions"
    submit = script.rename(script.with_name("submit_in_background.sh"))
    script.write_text(LOSES_THE_FIRST.format(submissions=submissions, submit=submit))
    script.chmod(0o755)
    profile = ("--workflow-profile", "profiles/generic", "--latency-wait", "2")
    study.run(PARAMETERS, *profile, "--seconds-between-status-checks", "1")
    assert (study.folder / PARAMETERS).exists()
    # cores, megabytes, minutes, GPUs
    assert submissions.read_text().splitlines() == ["1 2000 10 0", "1 4000 20 0"]


def test_small_jobs_are_submitted_in_groups(tmp_path: Path) -> None:
    copy_project(tmp_path)
    said = ClusterStudy(tmp_path).run("--dry-run", "--workflow-profile", "profiles/slurm")
    alone = re.findall(r"^Job \d+: (.+)", said, re.MULTILINE)
    groups = re.findall(r"Group job (\w+) ", said)
    assert sorted(groups) == ["evaluation", "evaluation", "figures", "frames", "poses"]
    assert len(alone) == 20  # of more than 50 jobs; one, `all`, is submitted nowhere
