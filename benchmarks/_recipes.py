"""Recipes of benchmarks: the config's defaults with some knobs changed."""

from typing import Any

from triptych.config.self_supervision import SimCLR

SIDE = 32  # pixels


def simclr_recipe(**changes: Any) -> dict[str, Any]:
    """SimCLR with a ResNet18, on CIFAR's images."""
    recipe = SimCLR(**changes)
    stages = [{"share": one.share, "size": round(one.scale * SIDE)} for one in recipe.progressive_resizing]
    architecture = {"module": "triptych.models.resnet", "options": {}}
    return recipe.model_dump() | {"architecture": architecture, "progressive_resizing": stages}
