"""The profile for Grid Engine on a real one of one node: nothing in the workflow knows Slurm."""

from collections.abc import Iterator

import pytest
from cluster_machine import skip_unless
from cluster_study import ClusterStudy
from disturbances import check_resumed, prepare_study, run_disturbed
from gridengine_cluster import PROGRAMS, GridEngine, running_gridengine

pytestmark = pytest.mark.cluster
# Its files are local: look often.
PROFILE = (
    "--workflow-profile",
    "profiles/sge",
    "--latency-wait",
    "5",
    "--seconds-between-status-checks",
    "2",
)
NAMES = ("cancelled", "killed", "out_of_time")
TWO_MINUTES = "train_cell:runtime=2 if wildcards.augmentation == 'out_of_time' and attempt == 1 else 60"


@pytest.fixture(scope="module")
def gridengine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GridEngine]:
    daemons = [str(PROGRAMS / name) for name in ("sge_qmaster", "sge_execd")]
    skip_unless(*daemons, packages="gridengine-master gridengine-exec gridengine-client")
    with running_gridengine(tmp_path_factory.mktemp("gridengine") / "cluster") as running:
        yield running


@pytest.fixture(scope="module")
def disturbed(gridengine: GridEngine) -> ClusterStudy:
    study = prepare_study(gridengine.folder.parent / "disturbed", NAMES)
    study.environment = gridengine.environment
    disturb = {"cancelled": gridengine.cancel, "killed": gridengine.kill}
    run_disturbed(study, NAMES, gridengine, disturb, *PROFILE, "--set-resources", TWO_MINUTES)
    return study


@pytest.mark.parametrize("name", NAMES)
def test_a_disturbed_training_ends_with_the_same_bits(name: str, disturbed: ClusterStudy) -> None:
    check_resumed(disturbed, name)
