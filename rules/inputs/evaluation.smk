"""Which encoders are evaluated, and by what."""

LABELLED = has_labels(DATASET)
ENCODERS = ["simclr", "random"] if LABELLED else ["simclr"]
EVALUATION = config["self_supervision"]
SGD_PROBE = EVALUATION["probe"]["protocol"] == "report"
LABEL_PERCENTS = [f"{percent:g}" for percent in EVALUATION["label_fraction"]["percents"]]
FINE_TUNE_PERCENTS = [f"{percent:g}" for percent in EVALUATION["fine_tune"]["percents"]]
# Evaluations of cached features take seconds on a CPU, and need float32.
ON_FEATURES = {"device": "cpu", "precision": "float32"}


def encoder_of(wildcards):
    """The weights of an encoder."""
    return {"simclr": rules.pretrain_simclr, "random": rules.initialise_encoder}[
        wildcards.encoder
    ].output.encoder
