"""The profile for any scheduler; as it is, jobs run in the background of this machine."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from cluster_study import PROJECT, SNAKEMAKE, ClusterStudy, copy_project

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
# Four jobs that can start at once, and four that wait for a checkpoint, in groups of two.
EARLY, LATE = "abcd", "wxyz"
WORKFLOW = """
from triptych.workflow.group_jobs import form_groups_anew
form_groups_anew()
rule all:
    input: expand("{name}.txt", name=[*"abcdwxyz"])
checkpoint data:
    output: "data.txt"
    shell: "sleep 4; touch {output}"
rule early:
    output: "{name,[a-d]}.txt"
    shell: "sleep 4; echo {wildcards.name} >> ran; touch {output}"
rule late:
    input: lambda wildcards: checkpoints.data.get().output
    output: "{name,[w-z]}.txt"
    shell: "echo {wildcards.name} >> ran; touch {output}"
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


@pytest.mark.slow
def test_a_checkpoint_that_ends_leaves_running_groups_alone(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    generic = PROJECT / "profiles/generic"
    command = f"""{SNAKEMAKE} --jobs 8 --latency-wait 5 --seconds-between-status-checks 1
        --groups early=small late=small --group-components small=2 --executor cluster-generic
        --cluster-generic-submit-cmd '{generic}/submit.sh 1 1 1 0' --jobscript {generic}/jobscript.sh
        --cluster-generic-status-cmd {generic}/status.sh --cluster-generic-cancel-cmd {generic}/cancel.sh"""
    done = subprocess.run(shlex.split(command), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-6000:]
    assert sorted((tmp_path / "ran").read_text().split()) == [*EARLY, *LATE]  # each of them once
