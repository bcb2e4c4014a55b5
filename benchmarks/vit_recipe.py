"""What does each choice in the ViT's recipe give, in three epochs of CIFAR-100 with CutMix?

Each variant changes the `modern` recipe of config.yaml's cell vit-cutmix. The network is trained on 45,000
training images and classifies the other 5,000; the test images are not read. A variant takes a quarter of an
hour on 2 cores. BENCH_VARIANTS="adamw preset" runs only these, BENCH_SEEDS="0 1 2" several seeds (0).

- `VARIANT_error`: percent of wrong classes, mean over the seeds; `VARIANT_error_std` with several.
- `VARIANT_minutes`: of training, which depends on what else the machine does.

CIFAR-100 must have been packed: `snakemake --cores 1 results/data/cifar100/dataset.json`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks._variants import fit_and_forget, means, packed, wanted
from triptych.classify.classifier import Classification
from triptych.config.cells import cell_recipe
from triptych.config.validation import validate_config
from triptych.data.packed import PackedDataset
from triptych.workflow.devices import choose_device
from triptych.workflow.seeds import derive_seed

ROOT = Path(__file__).parents[1]
# Averaged over the last hundred steps: the config's average would remember the first epoch.
SHORT = {"epochs": 3, "warmup_epochs": 0.3, "ema": 0.99}
PRESET = yaml.safe_load((ROOT / "presets/cpu.yaml").read_text())["architectures"]["vit"]["recipes"]["modern"]
BY_SGD = {"adam_learning_rate": None}  # what Muon leaves over
PLAIN = {"options": {"stochastic_depth": 0.0}}
VARIANTS: dict[str, dict[str, Any]] = {
    "adamw": {},
    "adamw_mimetic": {"options": {"mimetic": True}},
    "muon_rate_002": PRESET | BY_SGD | {"learning_rate": 0.02, "options": {}},  # depth as in config.yaml
    "muon": PRESET | BY_SGD | PLAIN,
    "muon_adam": PRESET | PLAIN,
    "muon_mimetic": PRESET | BY_SGD,
    "preset": PRESET,
    "preset_depth": PRESET | {"options": {"mimetic": True}},
    "preset_rate_0005": PRESET | {"learning_rate": 0.005},
    "preset_rate_002": PRESET | {"learning_rate": 0.02},
    "preset_batch_256": PRESET | {"batch_size": 256, "learning_rate": 0.014},
}


def base() -> dict[str, Any]:
    """The recipe that the variants change."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    validate_config(config)
    return cell_recipe(config, "vit", "cutmix")


def varied(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with a variant's changes, of which `options` are the network's."""
    recipe = base()
    architecture = recipe["architecture"]
    options = architecture["options"] | changes.get("options", {})
    knobs = {key: value for key, value in changes.items() if key != "options"}
    return recipe | knobs | SHORT | {"architecture": architecture | {"options": options}}


def _run(recipe: dict[str, Any], dataset: PackedDataset, seed: int, name: str) -> tuple[float, float]:
    """Percent of the validation images that are wrong, minutes."""
    device = choose_device(recipe["device"])
    torch.manual_seed(derive_seed(seed, "weights"))
    training = Classification(recipe, dataset, device)
    examples = len(training.train)
    fitted = fit_and_forget(training, recipe, examples=examples, seed=seed, device=device, name=name)
    return fitted.rows[-1]["validation_top1_error"], fitted.seconds / 60


def measure() -> dict[str, float | str]:
    """Run the variants one after the other."""
    names, seeds = wanted(VARIANTS)
    dataset = packed("cifar100")
    found: dict[str, float | str] = {}
    for name in names:
        errors, minutes = zip(
            *(_run(varied(VARIANTS[name]), dataset, seed, name) for seed in seeds), strict=True
        )
        found |= means(name, error=errors, minutes=minutes)
    return found
