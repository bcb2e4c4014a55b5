"""Figures of part 1 for images without labels, each named by the output of its rule."""

import numpy as np

from triptych.report.figures import save_figure
from triptych.report.part1_figures import loss_figure
from triptych.report.part1_unlabelled import image_map_figure, nearest_images_figure
from triptych.report.results import read_history
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake):
        files, targets = snakemake.input, snakemake.output
        train, test = (np.load(path, mmap_mode="r") for path in files.data if path.endswith("images.npy"))
        nearest = read_history(files.neighbours)
        shown = np.unique([*nearest["query"], *nearest["image"]])
        pictures = {row: train[row] if row < len(train) else test[row - len(train)] for row in shown.tolist()}
        rows = {row: index for index, row in enumerate(pictures)}
        nearest = nearest.assign(query=nearest["query"].map(rows), image=nearest["image"].map(rows))
        images, histories = (
            np.stack(list(pictures.values())),
            [read_history(path) for path in files.histories],
        )
        save_figure(lambda: loss_figure(histories, with_published=False), targets.loss)
        save_figure(lambda: image_map_figure(read_history(files.points), train), targets.image_map)
        save_figure(lambda: nearest_images_figure(nearest, images), targets.nearest_images)
