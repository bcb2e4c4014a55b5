"""A real Slurm of one node, started for each file of tests."""

from collections.abc import Iterator

import pytest
from cluster_machine import skip_unless
from slurm_cluster import Slurm, running_slurm


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    skip_unless("slurmctld", "slurmd", "sbatch", packages="slurmctld slurmd slurm-client")
    with running_slurm(tmp_path_factory.mktemp("slurm") / "cluster") as running:
        yield running
