"""Which result files the tables, figures and the page show."""

FORMATS = ["csv", "md", "tex"]
ARCHITECTURE_TITLES = {name: config["architectures"][name]["title"] or name for name in ARCHITECTURES}
AUGMENTATION_TITLES = {name: config["augmentations"][name]["title"] or name for name in AUGMENTATIONS}


def titles_of_row(wildcards):
    """Titles of the augmentations that an architecture is run with."""
    return {name: AUGMENTATION_TITLES[name] for name in columns_of(wildcards.architecture)}


# Tables of the grid: the caption and the title of each.
GRID_TABLES = {
    "top1": ("grid_table", "Top-1 error"),
    "top5": ("grid_table", "Top-5 error"),
    "published": ("grid_published", "Against the report"),
    "differences": ("grid_differences", "Differences between cells"),
    "cost": ("grid_cost", "Training cost"),
}
PUBLISHED = [
    f"{os.path.relpath(SOURCE)}/triptych/report/published/published_{name}.csv"
    for name in ("results", "curves")
]


def data_of(part):
    """The description of the data set that a part uses."""
    return f"results/data/{config[part]['dataset']}/dataset.json"


def in_report(path, category, caption, **labels):
    """Mark a final file for `snakemake --report`."""
    return report(
        path,
        caption=f"../workflow/report/{caption}.rst",
        category=category,
        labels=labels,
    )


def table(name, category, caption, title):
    """The three formats of a table, as named outputs of its rule."""
    return {
        format: in_report(
            f"results/tables/{name}.{format}",
            category,
            caption,
            table=title,
            format=format,
        )
        for format in FORMATS
    }


def of_encoders(folder):
    """Metrics of both encoders and all seeds."""
    return expand(f"results/{folder}/{{encoder}}/seed{{seed}}/metrics.json", encoder=ENCODERS, seed=SEEDS)


def evaluation(name, title, folders):
    """A row of the table of evaluations: `folders` by encoder."""
    runs = {
        encoder: expand(f"results/{folder}/seed{{seed}}/metrics.json", seed=SEEDS)
        for encoder, folder in folders.items()
    }
    return {"name": name, "title": title, "runs": runs}


# What the table and the page say about self-supervision: the arguments that they share.
SELF_SUPERVISION = {
    "methods": {
        "simclr_linear_probe": expand("results/probe/simclr/seed{seed}/metrics.json", seed=SEEDS),
        "supervised_resnet18": expand("results/supervised/seed{seed}/metrics.json", seed=SEEDS),
        "random_linear_probe": expand("results/probe/random/seed{seed}/metrics.json", seed=SEEDS),
    },
    "simclr": expand("results/simclr/seed{seed}/metrics.json", seed=SEEDS),
    "histories": {
        "simclr": f"results/simclr/seed{SEEDS[0]}/history.csv",
        **({"linear_probe": f"results/probe/simclr/seed{SEEDS[0]}/history.csv"} if AUGMENTED_PROBE else {}),
        "supervised": f"results/supervised/seed{SEEDS[0]}/history.csv",
    },
    "evaluations": [
        evaluation(
            "linear_probe",
            "Linear probe",
            {encoder: f"probe/{encoder}" for encoder in ENCODERS},
        ),
        evaluation(
            "knn",
            "{k:,} nearest neighbours".format(**config["self_supervision"]["knn"]),
            {encoder: f"knn/{encoder}" for encoder in ENCODERS},
        ),
        *[
            evaluation(
                f"labels{percent}",
                f"Linear probe, {percent} % of the labels",
                {encoder: f"label_fraction/{encoder}/percent{percent}" for encoder in ENCODERS},
            )
            for percent in FEW_PERCENTS
        ],
        *[
            evaluation(
                f"fine_tune{percent}",
                f"Fine-tuned, {percent} % of the labels",
                {"simclr": f"fine_tune/percent{percent}"},
            )
            for percent in FINE_TUNE_PERCENTS
        ],
    ],
}
# The probe at its optimum has an accuracy and no curve.
PROBE_CURVE = "history.csv" if AUGMENTED_PROBE else "metrics.json"


def page_parts():
    """What the page shows: for each part that is run, the arguments of its section."""
    self_supervision = {
        **SELF_SUPERVISION,
        "dataset": data_of("self_supervision"),
        "features": of_encoders("features"),
        "maps": expand(
            "results/feature_map/{encoder}/seed{seed}/metrics.json", encoder=ENCODERS, seed=SEEDS[0]
        ),
        "loss": "results/figures/self_supervision_loss.svg",
        "neighbours": "results/figures/self_supervision_neighbours.svg",
        "accuracy": "results/figures/self_supervision_accuracy.svg",
        "feature_map": "results/figures/feature_map.svg",
    }
    grid = {
        "dataset": data_of("grid"),
        "metrics": expand("results/grid/{cell}/seed{seed}/metrics.json", cell=CELLS, seed=GRID_SEEDS),
        "parameters": "results/grid/parameters.json",
        "gallery": "results/figures/augmentations.svg",
        "overview": "results/figures/grid.svg",
        "curves": {name: f"results/figures/grid_{name}.svg" for name in ARCHITECTURES},
        "confusion": "results/figures/confusion.svg",
        "attention": {name: f"results/figures/attention_{name}.svg" for name in ATTENTIVE},
        "architectures": ARCHITECTURE_TITLES,
        "augmentations": AUGMENTATION_TITLES,
    }
    scenes = {
        scene: {
            "frames": f"results/scenes/{scene}/frames.csv",
            "radiance": f"results/scenes/{scene}/radiance/metrics.json",
            "views": f"results/scenes/{scene}/views.json",
            "film": f"results/scenes/{scene}/flythrough.mp4",
            "training": f"results/figures/scenes/{scene}/training.svg",
            **(
                {"imported": f"results/scenes/{scene}/transforms.json"}
                if has_known_poses(scene)
                else {
                    "sfm": f"results/scenes/{scene}/sfm.json",
                    "sharpness": f"results/figures/scenes/{scene}/sharpness.svg",
                }
            ),
            **({"pose_error": f"results/scenes/{scene}/pose_error.json"} if has_reference(scene) else {}),
        }
        for scene in SCENES
    }
    return {
        # Snakemake lists the files of the command line before the Snakefile's own, which they override.
        "configuration": [
            os.path.relpath(path, workflow.basedir)
            for path in [*workflow.configfiles[-1:], *workflow.configfiles[:-1]]
        ],
        "self_supervision": self_supervision if "self_supervision" in PARTS else None,
        "grid": grid if "grid" in PARTS else None,
        "scenes": scenes if "reconstruction" in PARTS else {},
    }


def result_files(value):
    """Every path under results/ that is named anywhere in nested lists and dictionaries."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [path for item in value for path in result_files(item)]
    return [value] if isinstance(value, str) and value.startswith("results/") else []


PAGE = page_parts()
SCENE_FIGURES = ["sharpness", "training"]
REPORT_TARGETS = (
    (
        expand("results/tables/self_supervision.{format}", format=FORMATS)
        + [
            "results/figures/self_supervision_loss.svg",
            "results/figures/self_supervision_neighbours.svg",
            "results/figures/self_supervision_accuracy.svg",
            "results/figures/feature_map.svg",
        ]
        if "self_supervision" in PARTS
        else []
    )
    + (
        expand(
            "results/tables/{name}.{format}",
            name=[*(f"grid_{name}" for name in GRID_TABLES), "parameters"],
            format=FORMATS,
        )
        + expand(
            "results/figures/{name}.svg",
            name=[
                "augmentations",
                "grid",
                *(f"grid_{name}" for name in ARCHITECTURES),
                "confusion",
                *(f"attention_{name}" for name in ATTENTIVE),
            ],
        )
        if "grid" in PARTS
        else []
    )
    + [scene[figure] for scene in PAGE["scenes"].values() for figure in SCENE_FIGURES if figure in scene]
    + ["results/report/index.html"]
)
