"""Parameters counted on the real modules, next to the report's formulas.

The report's formulas leave out everything but the large matrices; each line here says whether the
formula contains it, so that the difference is explained to the last parameter.
"""

from typing import Any

from torch import Tensor, nn

from triptych.models.resnet import ResNet18
from triptych.models.resnet import build as build_resnet18
from triptych.models.vit import build as build_vit

CLASSES, IMAGE_SIZE = 100, 32


def _count(*modules: nn.Module | Tensor) -> int:
    return sum(
        module.numel() if isinstance(module, Tensor) else sum(p.numel() for p in module.parameters())
        for module in modules
    )


def _line(part: str, count: int, in_formula: bool) -> dict[str, Any]:
    return {"part": part, "count": count, "in_formula": in_formula}


def count_resnet18() -> dict[str, Any]:
    """ResNet18 for 100 classes, part by part."""
    model = build_resnet18(CLASSES, IMAGE_SIZE)
    encoder, classifier = model.children()
    assert isinstance(encoder, ResNet18) and isinstance(classifier, nn.Linear)
    convolutions = [module for module in encoder.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    return {
        "title": "ResNet18",
        "total": _count(model),
        "lines": [
            _line("3x3 convolutions", _count(*(c for c in convolutions if c.kernel_size == (3, 3))), True),
            _line("classifier weights", _count(classifier.weight), True),
            _line(
                "1x1 convolutions of the shortcuts",
                _count(*(c for c in convolutions if c.kernel_size == (1, 1))),
                False,
            ),
            _line("batch norms", _count(*norms), False),
            _line("classifier bias", _count(classifier.bias), False),
        ],
    }


def count_vit(title: str, **options: Any) -> dict[str, Any]:
    """A ViT for 100 classes of 32x32 images, part by part; `options` as for `triptych.models.vit.build`."""
    model: Any = build_vit(CLASSES, IMAGE_SIZE, **options)
    linears = [
        module for block in model.blocks for module in block.modules() if isinstance(module, nn.Linear)
    ]
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    return {
        "title": title,
        "total": _count(model),
        "lines": [
            _line("attention and MLP weights", _count(*(linear.weight for linear in linears)), True),
            _line("attention and MLP biases", _count(*(linear.bias for linear in linears)), False),
            _line("layer norms", _count(*norms), False),
            _line("patch embedding", _count(model.patches), False),
            _line("class token", _count(model.class_token), False),
            _line("positions", _count(model.positions), False),
            _line("classifier", _count(model.head), False),
        ],
    }


def count_parameters() -> dict[str, Any]:
    """The three models of the report's comparison: its ResNet18, its ViT by the text, its ViT by the count.

    The published count of the ViT (11,916,772) is not that of the ViT in the text, but exactly that of
    dim 384, depth 8, MLP 1152.
    """
    return {
        "resnet18": count_resnet18() | {"published_count": 11_220_132, "published_formula": 11_038_400},
        "vit": count_vit("ViT 512 x 6, MLP 1024 (the text)")
        | {"published_count": None, "published_formula": 12_582_912},
        "vit_384_8_1152": count_vit("ViT 384 x 8, MLP 1152 (the published count)", dim=384, depth=8, mlp=1152)
        | {"published_count": 11_916_772, "published_formula": None},
    }
