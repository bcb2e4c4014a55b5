"""SimCLR: contrastive pretraining of an encoder without labels (Chen et al. 2020).

A step: uint8 images -> random views -> encoder f -> projection head g -> NT-Xent -> optimizer. The encoder
is kept, the projection head is discarded. `triptych.training.loop.fit` repeats the step: it draws a batch,
calls `SimCLR.prepare` and `SimCLR.loss`, runs backward and updates the weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from triptych.augment.views import draw_views
from triptych.data.packed import PackedDataset
from triptych.experiments.experiment import Experiment, save_weights, training_images
from triptych.experiments.training import open_checkpoints
from triptych.kernels.registry import operation
from triptych.ssl.encoder import build_encoder
from triptych.ssl.monitor import Monitor
from triptych.ssl.nt_xent import nt_xent
from triptych.ssl.progressive_resizing import relative_time, size_at
from triptych.training.batches import Batch
from triptych.training.distributed import gather_views, rank
from triptych.training.loop import fit


def projection_head(features: int, hidden: int, out: int, *, norm: bool = False) -> nn.Sequential:
    """Linear, ReLU, Linear: (N, features) -> (N, out). The report has 512, 512, 128.

    With `norm`, batch normalisation precedes the ReLU, as in SimCLR's own code.
    """
    return nn.Sequential(
        nn.Linear(features, hidden, bias=not norm),
        *([nn.BatchNorm1d(hidden)] if norm else []),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, out),
    )


class SimCLR:
    """Model, views and loss of a training step.

    The recipe has `architecture` (module, options), `head_hidden`, `head_out`, `head_norm`, `temperature`,
    `batch_norm_per_view`, `decoupled`, `progressive_resizing` (see `size_at`), and `views`: the keys of
    `triptych.augment.views.draw_views`, and `count`, views per image.
    """

    def __init__(self, recipe: Mapping[str, Any], dataset: PackedDataset, device: torch.device) -> None:
        self.recipe, self.dataset = recipe, dataset
        self.images = training_images(dataset, device)  # uint8, on the device
        self.encoder, features = build_encoder(recipe["architecture"], dataset.image_size[0])
        head = projection_head(features, recipe["head_hidden"], recipe["head_out"], norm=recipe["head_norm"])
        self.model = nn.Sequential(self.encoder, head).to(memory_format=torch.channels_last).to(device)

    def prepare(self, batch: Batch, size: int | None = None) -> Tensor:
        """Random views, (count * B, 3, size, size): row v * B + i is view v of image i.

        `size` defaults to that of progressive resizing at this step.
        """
        views = self.recipe["views"]
        if size is None:
            size = size_at(self.recipe["progressive_resizing"], batch.progress, self.dataset.image_size[0])
        return draw_views(
            self.images.uint8(batch.indices),
            views,
            size=size,
            mean=self.dataset.mean,
            std=self.dataset.std,
            generator=batch.generator,
            count=views["count"],
            render=operation("render_views", self.images.device),
        )

    def loss(self, model: nn.Module, views: Tensor) -> Tensor:
        """NT-Xent of the projections of all workers; `accumulate` compares within a micro-batch only."""
        count = self.recipe["views"]["count"]
        passes = views.chunk(count) if self.recipe["batch_norm_per_view"] else [views]
        z = gather_views(torch.cat([model(part) for part in passes]).float(), views=count)
        return nt_xent(z, self.recipe["temperature"], views=count, decoupled=self.recipe["decoupled"])


def pretrain(experiment: Experiment, step_seconds: Sequence[float] = ()) -> None:
    """Train an encoder without labels on all training images; the test images are not read.

    Writes `metrics.json`, `history.csv`, `tensorboard/` and `encoder.safetensors`. The recipe also has
    `monitor_every`, epochs between two evaluations of the `Monitor`, the only reader of labels during
    training. `step_seconds`, measured at each size of `progressive_resizing`, only serve the ETA.
    """
    recipe, dataset = experiment.recipe, experiment.dataset()
    experiment.seed_weights()
    simclr = SimCLR(recipe, dataset, experiment.device)
    monitor = Monitor(simclr.images, simclr.encoder, recipe, label=experiment.label)
    checkpoints = open_checkpoints(experiment, dataset)
    fitted = fit(
        simclr.model,
        simclr.prepare,
        simclr.loss,
        num_examples=len(simclr.images),
        **experiment.fit_options(),  # recipe, seed, device, label, folder
        checkpoints=checkpoints,
        evaluate=monitor.evaluate,
        evaluate_every=recipe["monitor_every"],
        check_loss=monitor.check_loss,
        cost=relative_time(recipe["progressive_resizing"], step_seconds),
    )
    if rank() > 0:
        return
    last = fitted.rows[-1]
    save_weights(simclr.encoder, experiment.folder / "encoder.safetensors")
    metrics: dict[str, Any] = {
        "final_train_loss": last["train_loss"],
        **{name: last[name] for name in ("knn_accuracy", "feature_std") if name in last},
        "epochs": recipe["epochs"],
        "model_share": fitted.model_share,
        "warnings": monitor.warnings(last),
    }
    experiment.write_metrics(metrics, dataset, fitted.seconds)
