"""Names of data sets and of the published cells as they are written; other titles stand in the config."""

DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}

CELLS = {
    "resnet18": "ResNet18",
    "vit": "ViT",
    "baseline": "Baseline",
    "mixup": "Mixup",
    "cutout": "Cutout",
    "cutmix": "CutMix",
}


def dataset_title(name: str) -> str:
    """`CIFAR-10` for `cifar10`; other names as they are."""
    return DATASETS.get(name, name)
