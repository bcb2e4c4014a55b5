"""The page: complete, self-contained, and explicit about where its numbers come from."""

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_pages import _self_supervision, make_page
from report_results import AUGMENTATIONS, fabricate

from triptych.report.page import run_facts
from triptych.report.part1 import self_supervision_section
from triptych.report.part1_results import METHODS
from triptych.report.part3 import viewer_command
from triptych.report.part3_frames import spread
from triptych.report.results import Result, describe_machine, duration
from triptych.workflow.errors import TriptychError


class Page(HTMLParser):
    """Every attribute of every element, and the text; without the library that draws curves."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        before, _, after = path.read_text(encoding="utf-8").partition(
            '<script type="text/plain" id="plotly">'
        )
        self.source = before + after.partition("</script>")[2]
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, *names: str) -> Iterator[str]:
        for _, attributes in self.elements:
            yield from (value for name in names if (value := attributes.get(name)))


@pytest.fixture(scope="module")
def page(study_results: Path) -> Page:
    return Page(make_page(study_results))


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    for value in page.values("src", "poster", "data", "action"):
        assert value.startswith("data:"), value[:80]
    for value in page.values("href", "xlink:href"):
        assert value.startswith(("#", "data:")) or value == "http://127.0.0.1:8080", value[:80]  # the viewer
    assert "srcset" not in page.source and "@import" not in page.source
    assert re.findall(r"url\((?!#|data:)", page.source) == []
    assert "default-src 'none'" in page.source


def test_every_link_has_its_target_and_no_id_occurs_twice(page: Page) -> None:
    ids = list(page.values("id"))
    assert len(ids) == len(set(ids))
    targets = {value[1:] for value in page.values("href", "xlink:href") if value.startswith("#")}
    used = set(re.findall(r"url\(#([^)]+)\)", page.source))
    assert (targets | used) - set(ids) == set()


def test_every_number_of_a_table_leads_to_the_provenance_of_its_runs(page: Page) -> None:
    links = [value for value in page.values("href") if value.startswith("#from-grid.vit-cutmix")]
    assert links == ["#from-grid.vit-cutmix"] * 6  # top-1, top-5, both against the report, both costs
    block = page.source.split('id="from-grid.vit-cutmix"')[1].split('class="origin"')[0]
    for seed in (0, 1, 2):
        assert f"grid/vit-cutmix/seed{seed}/metrics.json" in block
    assert block.count("<details>") == 3
    assert "learning_rate: 0.1" in block and "torch 2." in block and "1 min 14 s" in block


def test_the_tables_show_our_numbers_above_the_published_ones(page: Page) -> None:
    table = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.source.split("<caption>Top-1 error")[1][:4000]))
    assert "Architecture Baseline Mixup Cutout CutMix" in table
    assert "ResNet18 27.08 ± 0.22 published 26.01 26.48 ± 0.22 published 25.73 27.98 ± 0.22 " in table
    assert "24.68 ± 0.22 † published 24.57" in table
    assert table.count("published –") == 4


def test_differences_and_costs_follow_the_errors(page: Page) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.source))
    assert "minus that of Baseline" in text and "minus that of the best in validation" in text
    assert "ResNet18 −0.60 [−1.10, −0.10] +0.90 [+0.40, +1.40] * −2.40 [−2.90, −1.90] *" in text
    assert "ResNet18 +2.40 [+1.90, +2.90] * +1.80 [+1.30, +2.30] * +3.30 [+2.80, +3.80] * best" in text
    assert "ResNet18, CutMix 24.68 ± 0.22 7.48 ± 0.07 11,220,132 20 30 1 min 14 s 170 " in text
    assert "ResNet18, CutMix 24.57 24.68 ± 0.22 +0.11 " in text  # against the report
    assert "Machine: " in text and "Machine 1" not in text


def test_only_an_architecture_with_a_published_log_is_said_to_have_one(page: Page) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page.source)
    of = {
        name: next(c for c in captions if c.startswith(name) and "curves" in c) for name in ("ViT", "Mixer")
    }
    assert "dashed: the published log" in of["ViT"] and "published" not in of["Mixer"]


def test_names_from_the_config_are_text_and_never_markup(page: Page) -> None:
    assert "Mixer &lt;small&gt;" in page.source
    assert "<small>:" not in page.source


def test_the_same_results_give_the_same_page(study_results: Path, page: Page) -> None:
    assert Page(make_page(study_results)).source == page.source


def test_a_part_that_was_not_run_is_not_mentioned(study_results: Path) -> None:
    only = Page(make_page(study_results, parts=("reconstruction",)))
    assert set(only.values("id")) & {"self-supervision", "grid", "reconstruction"} == {"reconstruction"}
    assert "SimCLR" not in only.text
    make_page(study_results)


def test_on_top_stands_what_was_asked_and_found_in_each_part(page: Page, study_results: Path) -> None:
    head = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.source.split("<main")[0]))
    assert "published 81.05 %" in head and "published 24.57 %" in head
    for sentence in (
        "How good are features that are learnt without labels on CIFAR-10?",
        "not higher than the published 81.05 %. Supervised training",
        "Chance level: 10.00 %.",
        "points against baseline (significant).",
        "“orbit”: a mean PSNR (↑) of 27.20 dB",
        "CutMix is the best augmentation. Confirmed. more",
    ):
        assert sentence in head, sentence
    lines = (study_results / "report/summary.txt").read_text(encoding="utf-8").splitlines()
    begins = {"SimCLR", "ResNet18:", "ViT:", "Chance", "“orbit”:", "warning:"}
    assert begins <= {line.split()[0] for line in lines}
    assert all(line.removeprefix("warning: ") in head for line in lines if "<" not in line)


def test_results_of_a_pretraining_alone_have_a_page(study_results: Path) -> None:
    """As `results_from` may have it."""
    nothing = {"methods": {name: [] for name in METHODS}, "evaluations": []}
    arguments = _self_supervision(study_results) | nothing
    loss = study_results / "figures/self_supervision_loss.svg"
    section = self_supervision_section(results=arguments, features=[], maps=[], figures={"loss": str(loss)})
    assert section.headline.meaning == "contrastive loss (↓) of SimCLR"
    assert "SimCLR with a linear probe: not run." in section.answers[0].text


def test_provenance_is_folded_by_part_and_has_every_run_once(page: Page) -> None:
    parts = re.findall(r'<details class="origins"><summary>(.*?) <span>', page.source)
    assert parts == ["Self-supervision", "Architecture × augmentation", "Reconstruction"]


def test_captions_and_provenance_follow_the_run(page: Page) -> None:
    assert "<pre>null" not in page.source
    assert "Every row has the same crops, mirrors and rotations, so" in page.text
    assert page.text.count("all 3 seeds together") == 2


def test_psnr_is_defined_once(page: Page) -> None:
    assert page.text.count("mean squared error of a held-out view") == 1


def test_other_data_than_published_is_said_in_each_part(study_results: Path, tmp_path: Path) -> None:
    copied = fabricate(tmp_path, published_data=False)
    shutil.copytree(study_results / "figures", copied / "figures")
    page = Page(make_page(copied))
    assert page.text.count("Not comparable with the published figures") == 4  # on top and in each part
    assert "published (CIFAR-10)" in page.text and "published (CIFAR-100)" in page.text
    assert "shapes: 4,000 training and 800 test images" in page.text


def test_the_page_stays_small(page: Page) -> None:
    assert len(page.source.encode()) < 5_000_000  # every figure in two widths


def test_a_view_whose_picture_is_missing_is_one_clear_line(study_results: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(study_results, tmp_path / "results")
    next((copied / "scenes/orbit/views").glob("*_render.png")).unlink()
    with pytest.raises(TriptychError, match=r"_render\.png"):
        make_page(copied, parts=("reconstruction",))


def test_views_are_spread_over_the_whole_path() -> None:
    assert spread(3, 6) == [0, 1, 2]
    assert spread(50, 6) == [0, 10, 20, 29, 39, 49]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (59.96, "1 min 0 s"), (60, "1 min 0 s"), (3599.7, "1 h 0 min"), (90_000, "1 d 1 h")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_machine_is_one_line_with_its_gpu_first() -> None:
    hardware = {
        "system": "Linux x86_64",
        "cpu": "Some CPU",
        "cores": 16,
        "memory_gib": 128.0,
        "gpu": "Some GPU",
    }
    assert describe_machine(hardware) == "Some GPU, Some CPU, 16 cores, 128 GiB, Linux x86_64"


def test_the_head_counts_every_file_once() -> None:
    record = {"seed": 3, "wall_seconds": 30.0, "finished": "2026-01-02T03:04:05+00:00", "revision": None}
    one = Result(Path("results/a.json"), {}, record)
    facts = run_facts([one, one], configuration=["config.yaml"])
    assert facts["Computing time"] == ["30.0 s, the jobs behind all numbers together"]
    assert facts["Seeds"] == ["3"]
    assert facts["Finished"] == ["2026-01-02 03:04 UTC, the last of the numbers"]
    assert facts["Revision"] == ["not under version control"]
    assert "Data sets" not in facts


def test_the_pictured_augmentations_are_all_of_them(page: Page) -> None:
    for title in AUGMENTATIONS.values():
        assert page.text.count(title) >= 5, title  # two tables and three figures


def test_what_the_log_of_an_earlier_job_warned_of_is_beside_the_scenes_answer(page: Page) -> None:
    assert "scenes/orbit/frames: orbit.mp4: damaged, 48 of 50 frames decoded." in page.text


def test_the_page_has_the_command_that_opens_the_viewer(page: Page, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    assert viewer_command("orbit", root) == "make view SCENE=orbit"
    assert viewer_command("desk", root / "studies/my own") == "make view SCENE=desk STUDY='studies/my own'"
    assert viewer_command("desk", tmp_path) == f"make view SCENE=desk STUDY={tmp_path}"
    assert "make view SCENE=orbit" in page.text
