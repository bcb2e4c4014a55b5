"""Settings of the trainings of part 1."""

DATASET = config["self_supervision"]["dataset"]
ENCODER = encoder_architecture(config)
ENCODER_NAME = config["self_supervision"]["architecture"]
ENCODER_TITLE = config["architectures"][ENCODER_NAME]["title"] or ENCODER_NAME
SIMCLR = simclr_recipe(config)
SUPERVISED = config["self_supervision"]["supervised"]
MINUTES = SIMCLR["minutes"]  # time budget of the pretraining; None: `epochs` sets its length
# Settings that do not change how long an epoch takes; editing them does not make the plan of epochs stale.
NOT_MEASURED = (
    *("epochs", "schedule", "schedule_epochs", "min_lr_ratio", "milestones", "gamma", "warmup_peak"),
    *("learning_rate", "weight_decay", "temperature", "compile", "gpus"),
)
# Of the supervised training, in addition to crop and flip: one of the grid's augmentations.
AUGMENTATION = config["augmentations"].get(SUPERVISED["augmentation"], {"method": "none"})
