"""The report of a fabricated study, made by the workflow's own scripts."""

import runpy
from collections.abc import Callable, Iterable
from pathlib import Path

from report_results import ARCHITECTURES, AUGMENTATIONS, SEEDS

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


def main_of(script: str) -> Callable[..., None]:
    """`main` of a workflow script, imported outside Snakemake."""
    return runpy.run_path(str(SCRIPTS / script))["main"]


def _seeds(results: Path, folder: str, file: str) -> list[str]:
    return [str(results / folder / f"seed{seed}" / file) for seed in SEEDS]


def _methods(results: Path, file: str) -> dict[str, list[str]]:
    return {
        "simclr_linear_probe": _seeds(results, "probe/simclr", file),
        "supervised_resnet18": _seeds(results, "supervised", file),
        "random_linear_probe": _seeds(results, "probe/random", file),
    }


def _first_histories(results: Path) -> dict[str, str]:
    folders = {"simclr": "simclr", "linear_probe": "probe/simclr", "supervised": "supervised"}
    return {run: str(results / folder / "seed0/history.csv") for run, folder in folders.items()}


def _evaluations(results: Path) -> list[dict[str, object]]:
    folders = {
        "linear_probe": ("Linear probe", {"simclr": "probe/simclr", "random": "probe/random"}),
        "knn": ("200 nearest neighbours", {"simclr": "knn/simclr", "random": "knn/random"}),
        "labels1": (
            "Linear probe, 1 % of the labels",
            {"simclr": "label_fraction/simclr/percent1", "random": "label_fraction/random/percent1"},
        ),
        "fine_tune1": ("Fine-tuned, 1 % of the labels", {"simclr": "fine_tune/percent1"}),
    }
    return [
        {
            "name": name,
            "title": title,
            "runs": {encoder: _seeds(results, folder, "metrics.json") for encoder, folder in runs.items()},
        }
        for name, (title, runs) in folders.items()
    ]


def _dataset(results: Path, published: str) -> str:
    path = results / "data" / published / "dataset.json"
    return str(path if path.is_file() else results / "data" / "shapes" / "dataset.json")


def _grid_metrics(results: Path) -> list[str]:
    return [
        path
        for architecture in ARCHITECTURES
        for augmentation in AUGMENTATIONS
        for path in _seeds(results, f"grid/{architecture}-{augmentation}", "metrics.json")
    ]


def make_tables(results: Path) -> None:
    main_of("tabulate_self_supervision.py")(
        dataset=_dataset(results, "cifar10"),
        methods=_methods(results, "metrics.json"),
        simclr=_seeds(results, "simclr", "metrics.json"),
        histories=_first_histories(results),
        evaluations=_evaluations(results),
        stem=str(results / "tables/self_supervision"),
    )
    main_of("tabulate_grid.py")(
        dataset=_dataset(results, "cifar100"),
        metrics=_grid_metrics(results),
        architectures=ARCHITECTURES,
        augmentations=AUGMENTATIONS,
        stems={
            name: str(results / f"tables/grid_{name}")
            for name in ("top1", "top5", "published", "differences", "cost")
        },
    )
    main_of("tabulate_parameters.py")(
        parameters=str(results / "grid/parameters.json"), stem=str(results / "tables/parameters")
    )


def make_figures(results: Path, *, architectures: Iterable[str] = ARCHITECTURES) -> None:
    figures = results / "figures"
    main_of("plot_self_supervision.py")(
        dataset=_dataset(results, "cifar10"),
        simclr=_seeds(results, "simclr", "history.csv"),
        methods=_methods(results, "history.csv"),
        loss=str(figures / "self_supervision_loss.svg"),
        neighbours=str(figures / "self_supervision_neighbours.svg"),
        accuracy=str(figures / "self_supervision_accuracy.svg"),
    )
    main_of("plot_feature_map.py")(
        simclr=str(results / "feature_map/simclr/seed0/map.csv"),
        random=str(results / "feature_map/random/seed0/map.csv"),
        target=str(figures / "feature_map.svg"),
    )
    for architecture in architectures:
        main_of("plot_grid.py")(
            dataset=_dataset(results, "cifar100"),
            architecture=architecture,
            histories={
                name: _seeds(results, f"grid/{architecture}-{name}", "history.csv") for name in AUGMENTATIONS
            },
            titles=AUGMENTATIONS,
            target=str(figures / f"grid_{architecture}.svg"),
        )
    grid = {
        "dataset": _dataset(results, "cifar100"),
        "metrics": _grid_metrics(results),
        "architectures": ARCHITECTURES,
        "augmentations": AUGMENTATIONS,
    }
    main_of("plot_grid_overview.py")(**grid, target=str(figures / "grid.svg"))
    main_of("plot_confusion.py")(
        **grid,
        labels=str(Path(_dataset(results, "cifar100")).with_name("test_labels.npy")),
        target=str(figures / "confusion.svg"),
    )
    main_of("plot_augmentations.py")(
        dataset=_dataset(results, "cifar100"),
        examples=str(results / "grid/augmentations.npz"),
        titles=AUGMENTATIONS,
        target=str(figures / "augmentations.svg"),
    )
    main_of("plot_attention.py")(
        dataset=_dataset(results, "cifar100"),
        rollouts=str(results / "grid/attention/vit.npz"),
        titles=AUGMENTATIONS,
        target=str(figures / "attention_vit.svg"),
    )
    main_of("plot_sharpness.py")(
        frames=str(results / "scenes/orbit/frames.csv"), target=str(figures / "scenes/orbit/sharpness.svg")
    )
    main_of("plot_radiance.py")(
        history=str(results / "scenes/orbit/radiance/history.csv"),
        target=str(figures / "scenes/orbit/training.svg"),
    )


def make_page(
    results: Path, *, parts: tuple[str, ...] = ("self_supervision", "grid", "reconstruction")
) -> Path:
    figures, scene = results / "figures", results / "scenes/orbit"
    self_supervision = {
        "dataset": _dataset(results, "cifar10"),
        "methods": _methods(results, "metrics.json"),
        "simclr": _seeds(results, "simclr", "metrics.json"),
        "histories": _first_histories(results),
        "loss": str(figures / "self_supervision_loss.svg"),
        "neighbours": str(figures / "self_supervision_neighbours.svg"),
        "accuracy": str(figures / "self_supervision_accuracy.svg"),
        "evaluations": _evaluations(results),
        "features": _seeds(results, "features/simclr", "metrics.json"),
        "maps": [str(results / f"feature_map/{name}/seed0/metrics.json") for name in ("simclr", "random")],
        "feature_map": str(figures / "feature_map.svg"),
    }
    grid = {
        "dataset": _dataset(results, "cifar100"),
        "metrics": _grid_metrics(results),
        "parameters": str(results / "grid/parameters.json"),
        "curves": {name: str(figures / f"grid_{name}.svg") for name in ARCHITECTURES},
        "overview": str(figures / "grid.svg"),
        "gallery": str(figures / "augmentations.svg"),
        "confusion": str(figures / "confusion.svg"),
        "attention": {"vit": str(figures / "attention_vit.svg")},
        "architectures": ARCHITECTURES,
        "augmentations": AUGMENTATIONS,
    }
    orbit = {
        "frames": str(scene / "frames.csv"),
        "sfm": str(scene / "sfm.json"),
        "radiance": str(scene / "radiance/metrics.json"),
        "views": str(scene / "views.json"),
        "film": str(scene / "flythrough.mp4"),
        "training": str(figures / "scenes/orbit/training.svg"),
        "sharpness": str(figures / "scenes/orbit/sharpness.svg"),
        "pose_error": str(scene / "pose_error.json"),
    }
    target = results / "report/index.html"
    main_of("write_report.py")(
        configuration=["config.yaml", "presets/demo.yaml"],
        self_supervision=self_supervision if "self_supervision" in parts else None,
        grid=grid if "grid" in parts else None,
        scenes={"orbit": orbit} if "reconstruction" in parts else {},
        target=str(target),
    )
    return target
