"""Names that older versions had. In a config they are errors that tell the new name."""

# An old key counts only where the section has the new one.
KEYS = {
    "augmentation": "base_augmentation",
    "decay": "gamma",
    "few_labels": "label_fraction",
    "final_share": "min_lr_ratio",
    "least": "min",
    "least_share": "min_component_fraction",
    "mixing": "augmentation",
    "most": "max",
    "stages": "progressive_resizing",
}
MODULES = {
    "triptych.nn.resnet": "triptych.models.resnet",
    "triptych.nn.vit": "triptych.models.vit",
}
