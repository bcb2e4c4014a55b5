"""Which result files the tables, figures and the page show."""

GRID_TABLES = [
    "top1",
    *(["top5"] if has_top5(config["grid"]["dataset"]) else []),
    *(["balanced", "classes"] if OWN_IMAGES else ["published"]),
    *("differences", "cost"),
]
PUBLISHED = [
    local(f"{os.path.relpath(SOURCE)}/triptych/report/published/published_{name}")
    for name in ("results.csv", "curves.csv", "recipes.yaml")
]
TITLES = {
    "architectures": {name: config["architectures"][name]["title"] or name for name in ARCHITECTURES},
    "augmentations": {name: config["augmentations"][name]["title"] or name for name in AUGMENTATIONS},
}


def titles_of_row(wildcards):
    """Titles of the augmentations that an architecture is run with."""
    return {name: TITLES["augmentations"][name] for name in columns_of(wildcards.architecture)}


def data_of(part):
    """The description of the data set that a part uses."""
    return moved(f"results/data/{config[part]['dataset']}/dataset.json")


def checked_of(part):
    """What the checks of a part's data set wrote: the settings that follow from its images."""
    return [] if RESULTS_FROM else [f"results/data/{config[part]['dataset']}/checked.json"]


def table(name):
    """A table in its three formats."""
    return [f"results/tables/{name}.{format}" for format in ("csv", "md", "tex")]


def filled(path, **wildcards):
    """The path of a rule's output for these wildcards."""
    return plain(path).format(**wildcards)


def all_seeds(path, **wildcards):
    """Likewise, one path for each seed of part 1."""
    return shown([filled(path, seed=seed, **wildcards) for seed in SEEDS])


def two_widths(path):
    """A figure for a wide page, and the same one for a phone."""
    return [path, path.replace("results/figures/", "results/figures/narrow/")]


def figures(rule, **wildcards):
    """What is drawn by a rule; each name has a path, or `two_widths`."""
    return {
        name: (
            filled(path, **wildcards)
            if isinstance(path, str)
            else [filled(width, **wildcards) for width in path]
        )
        for name, path in rule.output.items()
    }


def scene_files(scene):
    """Arguments of a scene's section of the page."""
    files = {
        "frames": f"results/scenes/{scene}/frames.csv",
        "radiance": filled(rules.train_radiance.output.metrics, scene=scene),
        "views": filled(rules.render_views.output.numbers, scene=scene),
        "film": filled(rules.render_flythrough.output.film, scene=scene),
        "transforms": f"results/scenes/{scene}/transforms.json",
        "cloud": f"results/scenes/{scene}/sparse.ply",
        **figures(rules.plot_views, scene=scene),
        **figures(rules.plot_cameras, scene=scene),
    }
    warned = []
    if BACKENDS.get(scene) != INSTANT_NGP:
        files |= figures(rules.plot_radiance, scene=scene)
        warned.append(rules.export_scene.output.numbers)
    if has_known_poses(scene):
        files["imported"] = f"results/scenes/{scene}/transforms.json"
    else:
        files["sfm"] = filled(rules.map_scene.output.summary, scene=scene)
        files |= figures(rules.plot_sharpness, scene=scene)
        files |= figures(rules.plot_matches, scene=scene)
        files |= figures(rules.plot_contact_sheet, scene=scene)
        warned.append(rules.extract_frames.output.summary)
        if config["scenes"][scene]["masks"] is not None:
            warned.append(rules.prepare_masks.output.summary)
    if has_reference(scene):
        files["pose_error"] = f"results/scenes/{scene}/pose_error.json"
    files["warned"] = [filled(path, scene=scene) for path in warned]
    return files


def result_files(value):
    """Every path of a result that is named anywhere in nested lists and dictionaries."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [path for item in value for path in result_files(item)]
    roots = ("results/", f"{RESULTS_FROM}/")
    return [value] if isinstance(value, str) and value.startswith(roots) else []


def evaluation(name, title, metrics, encoders=ENCODERS, **wildcards):
    """A row of the table of evaluations, from the rule's output `metrics`."""
    runs = {encoder: all_seeds(metrics, encoder=encoder, **wildcards) for encoder in encoders}
    return {"name": name, "title": title, "runs": runs}


PROBE = rules.probe_sgd.output if SGD_PROBE else rules.probe_encoder.output
# The probe at its optimum has an accuracy and no curve.
PROBE_CURVE = PROBE.history if SGD_PROBE else PROBE.metrics
# Results of part 1 for the table and the page.
SELF_SUPERVISION = {
    "architecture": ENCODER_TITLE,
    "dataset": data_of("self_supervision"),
    "methods": {
        "simclr_linear_probe": all_seeds(PROBE.metrics, encoder="simclr"),
        "supervised_resnet18": all_seeds(rules.train_supervised.output.metrics),
        "random_linear_probe": all_seeds(PROBE.metrics, encoder="random"),
    },
    "simclr": all_seeds(rules.pretrain_simclr.output.metrics),
    "histories": {
        "simclr": all_seeds(rules.pretrain_simclr.output.history),
        "linear_probe": all_seeds(PROBE.history, encoder="simclr") if SGD_PROBE else [],
        "supervised": all_seeds(rules.train_supervised.output.history),
    },
    "evaluations": [
        evaluation("linear_probe", "Linear probe", PROBE.metrics),
        evaluation(
            "knn",
            "Nearest neighbours",
            rules.evaluate_knn.output.metrics,
        ),
        *[
            evaluation(
                f"labels{percent}",
                f"Linear probe, {percent} % of the labels",
                rules.probe_label_fraction.output.metrics,
                percent=percent,
            )
            for percent in LABEL_PERCENTS
        ],
        *[
            evaluation(
                f"fine_tune{percent}",
                f"Fine-tuned, {percent} % of the labels",
                rules.fine_tune_encoder.output.metrics,
                encoders=["simclr"],
                percent=percent,
            )
            for percent in FINE_TUNE_PERCENTS
        ],
    ],
}
# Results of part 2 for the tables, some figures and the page.
GRID = {"dataset": data_of("grid"), "metrics": shown(of_cells("metrics"))}
# The baselines on parts of the training images.
ON_SUBSETS = shown(
    expand(
        plain(rules.train_on_subset.output.metrics),
        dataset=SUBSETS,
        architecture=ARCHITECTURES,
        seed=GRID_SEEDS,
    )
)
SUBSET_DATA = shown([f"results/data/{name}/dataset.json" for name in SUBSETS])
# Figures of part 1 for which there are results.
ENCODER_MAPS = {
    encoder: shown([filled(rules.map_features.output.map, encoder=encoder, seed=SEEDS[0])])
    for encoder in ENCODERS
}
CURVES = SELF_SUPERVISION["histories"]
CLASSIFIERS = [SELF_SUPERVISION["methods"][name] for name in ("simclr_linear_probe", "supervised_resnet18")]
SELF_SUPERVISION_FIGURES = {
    name: two_widths(path) if name in ("accuracy", "confusion", "feature_map") else path
    for name, path, needed in (
        ("loss", "results/figures/self_supervision_loss.svg", CURVES["simclr"]),
        ("neighbours", "results/figures/self_supervision_neighbours.svg", CURVES["simclr"]),
        ("accuracy", "results/figures/self_supervision_accuracy.svg", sum(CLASSIFIERS, [])),
        ("confusion", "results/figures/self_supervision_confusion.svg", sum(CLASSIFIERS, [])),
        ("feature_map", "results/figures/feature_map.svg", all(ENCODER_MAPS.values())),
    )
    if needed
}
