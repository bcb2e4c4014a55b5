"""Recipes of benchmarks: the config's defaults with some knobs changed."""

from typing import Any

from triptych.config.self_supervision import SimCLR


def simclr_recipe(**changes: Any) -> dict[str, Any]:
    """SimCLR with a ResNet18."""
    resnet18 = {"module": "triptych.models.resnet", "options": {}}
    return SimCLR(**changes).model_dump() | {"architecture": resnet18}
