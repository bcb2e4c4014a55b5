"""Part 2's costs of training, and the counts of the published networks' parameters."""

from report_results import MODELS, grid_of, runs

from triptych.report.part2_costs import cost_rows, cost_table, parameter_rows, parameter_tables
from triptych.report.tables import markdown


def test_costs_are_means_over_seeds_with_every_machine_that_was_used() -> None:
    grid = grid_of(
        {
            ("net", "baseline"): runs("net-baseline", 20.0, 22.0),
            ("net", "mixup"): runs("net-mixup", 19.0, seeds=(9,)),
        },
        architectures={"net": "Net"},
        augmentations={"baseline": "Baseline", "mixup": "Mixup", "cutmix": "CutMix"},
    )
    rows = cost_rows(grid).set_index(["architecture", "augmentation"])
    assert rows.loc[("net", "baseline"), "images_per_second"] == 15.0
    assert rows.loc[("net", "baseline"), "training_flops"] == 3e15
    assert list(rows["hardware"])[:2] == ["a CPU; 2 threads a training", "another; 1 thread a training"]
    text = markdown(cost_table(grid))
    assert "| Net, Baseline | 21.00 ± 1.41 | 21.00 ± 1.41 | 1,000 | 2 | 3 | 1 min 0 s | 15 | 1 |" in text
    assert "| Net, Mixup | 19.00 | 19.00 | 1,000 | 2 | 3 | 1 min 0 s | 100 | 2 |" in text
    assert "| Net, CutMix | not run | – |" in text and rows.loc[("net", "cutmix"), "n"] == 0
    assert "Machine 1: a CPU; 2 threads a training." in text and "Machine 2: another; 1 thread" in text


def test_a_single_machine_has_no_column() -> None:
    table = cost_table(grid_of({("net", "baseline"): runs("net-baseline", 20.0)}))
    assert "Machine" not in table.header and "Machine: a CPU; 2 threads a training." in table.notes


def test_the_formulas_parts_and_the_rest_add_up_to_the_total() -> None:
    rows = parameter_rows(MODELS)
    for name, model in MODELS.items():
        own = rows[rows["model"] == name]
        parts = own[own["in_formula"].notna()]["parameters"].sum()
        assert parts == model["total"] == own[own["part"] == "total"]["parameters"].item()
        assert own[own["part"] == "within the formula"]["parameters"].item() == model["published_formula"]
    summary, _, vit = parameter_tables(MODELS)
    assert summary.rows[0] == ("ResNet18", 11_220_132, 11_220_132, 11_038_400, 11_038_400, 181_732)
    assert summary.rows[1][2] is None
    assert vit.rows[-1] == ("Total", 12_727_908, "")
