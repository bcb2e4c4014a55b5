"""One's own network as the encoder of part 1, in the real DAG; its mistakes, and a job that is killed."""

import json
import re

import pytest
from conftest import ROOT, Study, copy_project

pytestmark = pytest.mark.slow

NETWORK = re.search(r"`src/mynet.py`:\n\n```python\n(.*?)```", (ROOT / "docs/grid.md").read_text(), re.DOTALL)
TARGETS = [
    "results/probe/simclr/seed0/metrics.json",
    "results/fine_tune/percent50/seed0/metrics.json",
    "results/supervised/seed0/metrics.json",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("encoder")
    copy_project(folder)
    assert NETWORK is not None
    (folder / "src/mynet.py").write_text(NETWORK[1])
    study = Study(folder)
    study.configure(
        parts=["self_supervision"],
        architectures={"mynet": {"title": "My net", "module": "mynet", "options": {"width": 8}}},
        self_supervision={"architecture": "mynet"},
    )
    return study


def test_simclr_the_probe_fine_tuning_and_the_supervised_rival_train_ones_own_network(study: Study) -> None:
    study.run(*TARGETS)
    found = [json.loads((study.folder / target).read_text()) for target in TARGETS]
    assert found[2]["provenance"]["recipe"]["architecture"] == {"module": "mynet", "options": {"width": 8}}
    features = json.loads((study.folder / "results/features/simclr/seed0/metrics.json").read_text())
    assert features["dimensions"] == 32  # 4 * width
    assert study.plan(*TARGETS) == set()
    (study.folder / "src/mynet.py").write_text(NETWORK[1].replace("nn.ReLU()", "nn.GELU()"))  # type: ignore[index]
    assert {"SimCLR: pretraining without labels, seed 0", "Supervised My net, seed 0"} <= study.plan(*TARGETS)


def with_late(action: str) -> str:
    """The network with a layer that does this when it has a whole batch; in the trial it has two images."""
    layer = (
        f"class Late(nn.Flatten):\n    def forward(self, x):\n        if len(x) > 20:\n            {action}\n"
    )
    text = f"import os\n\n{NETWORK[1]}\n\n{layer}        return super().forward(x)\n"  # type: ignore[index]
    return text.replace("nn.Flatten()", "Late()")


def failure(study: Study, text: str) -> str:
    """The only line of the project about a supervised training of this network, which fails."""
    (study.folder / "src/mynet.py").write_text(text)
    done = study.snakemake(TARGETS[2])
    assert done.returncode != 0
    (told,) = (line for line in done.stderr.splitlines() if line.startswith("triptych: error: "))
    return told


def test_a_mistake_that_shows_later_names_the_module_and_its_line(study: Study) -> None:
    told = failure(study, with_late("x.nothing()"))
    assert "your module 'mynet' fails: AttributeError" in told and "(mynet.py, line " in told


def test_a_killed_job_gets_a_line_that_says_so_and_what_memory_it_had(study: Study) -> None:
    told = failure(study, with_late("os.kill(os.getpid(), 9)"))
    assert "the job was killed" in told and re.search(r"it had [\d.]+ GB", told)
    assert "supervised/seed0.log" in told
