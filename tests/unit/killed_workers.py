"""A worker that dies in the middle of its training; workers import this file."""

import os
import signal
from typing import Any

from triptych.classify.experiment import Experiment
from triptych.ssl.simclr import pretrain
from triptych.training.checkpoint import Checkpoints


def pretrain_and_die(experiment: Experiment, saves: int) -> None:
    """Pretrain, but worker 0 is killed once it has saved so many checkpoints."""
    save, count = Checkpoints.save, 0

    def save_and_die(self: Checkpoints, step: int, state: dict[str, Any]) -> None:
        nonlocal count
        save(self, step, state)
        count += 1
        if count == saves:
            os.kill(os.getpid(), signal.SIGKILL)

    Checkpoints.save = save_and_die  # type: ignore[method-assign]
    pretrain(experiment)
