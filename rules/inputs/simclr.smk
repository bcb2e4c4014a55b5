"""What decides each training of part 1."""

DATASET = config["self_supervision"]["dataset"]
SIMCLR = config["self_supervision"]["simclr"]
SUPERVISED = config["self_supervision"]["supervised"]
MINUTES = SIMCLR["minutes"]  # of pretraining; None: it takes `epochs`
# Settings that do not change how long an epoch takes: the number of epochs stands when they change.
NOT_MEASURED = (
    *("epochs", "schedule", "min_lr_ratio", "milestones", "gamma", "compile", "gpus"),
    *("learning_rate", "weight_decay", "temperature"),
)
RESNET18 = {"module": "triptych.models.resnet", "options": {"width": SIMCLR["width"]}}
# Of supervised training beside crop and flip: one of the grid's augmentations.
AUGMENTATION = config["augmentations"].get(SUPERVISED["augmentation"], {"method": "none"})
