"""Recipes of benchmarks: the config's defaults with some knobs changed."""

from typing import Any

from triptych.config.cells import resizing_stages
from triptych.config.self_supervision import SimCLR


def simclr_recipe(**changes: Any) -> dict[str, Any]:
    """SimCLR with a ResNet18, on CIFAR's images."""
    resnet18 = {"module": "triptych.models.resnet", "options": {}}
    recipe = SimCLR(**changes).model_dump()
    return recipe | {"architecture": resnet18, "progressive_resizing": resizing_stages(recipe, side=32)}
