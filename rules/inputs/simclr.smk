"""Settings of the trainings of part 1."""

DATASET = config["self_supervision"]["dataset"]
SIMCLR = config["self_supervision"]["simclr"]
SUPERVISED = config["self_supervision"]["supervised"]
MINUTES = SIMCLR["minutes"]  # time budget of the pretraining; None: `epochs` sets its length
# Settings that do not change how long an epoch takes; editing them does not make the plan of epochs stale.
NOT_MEASURED = (
    *("epochs", "schedule", "min_lr_ratio", "milestones", "gamma", "compile", "gpus"),
    *("learning_rate", "weight_decay", "temperature"),
)
RESNET18 = {"module": "triptych.models.resnet", "options": {"width": SIMCLR["width"]}}
# Of the supervised training, in addition to crop and flip: one of the grid's augmentations.
AUGMENTATION = config["augmentations"].get(SUPERVISED["augmentation"], {"method": "none"})
