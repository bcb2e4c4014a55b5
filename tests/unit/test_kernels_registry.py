"""The one switch of the compiled kernels: which tier is chosen, and what `accelerate` does to a model."""

import copy
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from cpu_features import pretend_cpu_has
from torch import Tensor, nn

from triptych.kernels import registry
from triptych.kernels.compiler.jit import UNUSED, remove_unused
from triptych.models import resnet, vit
from triptych.workflow.errors import TriptychError
from triptych.workflow.tracked_code import SOURCE_ROOT, imported_names

LIBRARY = SOURCE_ROOT / "triptych"


# Which tier ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "tier"),
    [
        ((), "generic"),
        (("avx2",), "avx2"),
        (("avx2", "avx512f"), "avx2"),
        (("avx2", "avx512f", "avx512_bf16"), "avx512_bf16"),
        (("avx2", "avx512f", "avx512_bf16", "amx_bf16"), "amx_bf16"),
    ],
)
def test_auto_is_the_best_tier_of_the_cpu(
    features: tuple[str, ...], tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cpu_has(monkeypatch, *features)
    assert registry._choose("auto") == tier


def test_a_lower_tier_leaves_out_what_is_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cpu_has(monkeypatch, "avx2", "avx512f", "avx512_bf16", "amx_bf16")
    supported = {}
    for tier in ("off", "avx2", "avx512_bf16", "amx_bf16"):
        monkeypatch.setattr(registry, "_tier", registry._choose(tier))
        features = ("avx2", "avx512f", "bfloat16", "avx512_bf16", "amx_bf16")
        supported[tier] = [name for name in features if registry.supports(name)]
    assert supported == {
        "off": [],
        "avx2": ["avx2", "avx512f"],
        "avx512_bf16": ["avx2", "avx512f", "bfloat16", "avx512_bf16"],
        "amx_bf16": ["avx2", "avx512f", "bfloat16", "avx512_bf16", "amx_bf16"],
    }


def test_a_tier_that_the_cpu_lacks_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cpu_has(monkeypatch, "avx2")
    with pytest.raises(TriptychError, match="amx_bf16, but this CPU supports avx2 at most; use auto"):
        registry.configure("amx_bf16")
    with pytest.raises(TriptychError, match=r"compute\.kernels is fast; use auto, off, amx_bf16"):
        registry.configure("fast")


def test_the_tier_cannot_change_once_kernels_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import triptych.kernels.compiler.jit  # noqa: F401

    pretend_cpu_has(monkeypatch, "avx2", "avx512_bf16")
    with pytest.raises(RuntimeError, match="avx512_bf16 are loaded already"):
        registry.configure("avx2")


def python(program: str, **environment: str) -> str:
    """What a new process prints."""
    environment = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_processes_that_a_job_starts_have_its_setting() -> None:
    program = (
        "import subprocess, sys; from triptych.kernels import registry; registry.configure(False);"
        "child = 'from triptych.kernels import registry; print(registry.describe())';"
        "print(subprocess.run([sys.executable, '-c', child], capture_output=True, text=True).stdout)"
    )
    assert python(program) == "off (as configured)"


def test_without_numba_there_are_no_kernels(without_numba: dict[str, str]) -> None:
    program = (
        "from triptych.kernels import registry; from triptych.models import resnet;"
        "model = registry.accelerate(resnet.ResNet18(width=8));"
        "print(registry.describe(), type(model).__module__, registry.operation('radiance_adam', 'cpu'))"
    )
    assert python(program, **without_numba) == "off (numba is not installed) triptych.models.resnet None"


# Which files -----------------------------------------------------------------------------------------------

# The registry is for code that starts work; what defines a result never imports even that.
STARTS_WORK = {
    "classify/attention_rollout.py",
    "radiance/backend.py",
    "ssl/encoding.py",
    "ssl/random_encoder.py",
    "ssl/simclr.py",
    "training/step.py",
    "view/__main__.py",
    "workflow/job.py",
}


def test_nothing_outside_the_kernels_imports_one() -> None:
    importers = set()
    for path in LIBRARY.rglob("*.py"):
        name = path.relative_to(LIBRARY).as_posix()
        if name.startswith("kernels/"):
            continue
        kernels = {module for module in imported_names(path) if module.startswith("triptych.kernels.")}
        assert {".".join(module.split(".")[:3]) for module in kernels} <= {"triptych.kernels.registry"}, name
        importers |= {name} if kernels else set()
    assert importers <= STARTS_WORK


def test_the_registry_itself_imports_none() -> None:
    modules = set(imported_names(LIBRARY / "kernels/registry.py"))
    assert not any(name.startswith(("triptych.kernels", "numba")) for name in modules)


# What accelerate does --------------------------------------------------------------------------------------


def users_network() -> nn.Module:
    """What a user may write: convolutions with and without bias, groups, and dilation."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.GELU(),
        nn.Conv2d(64, 64, 3, padding=1, bias=False),
        nn.Conv2d(64, 64, 3, padding="same", groups=4, bias=False),
        nn.Conv2d(64, 128, 3, stride=2, padding=2, dilation=2, bias=False),
        nn.AdaptiveAvgPool2d(4),
        nn.Conv2d(128, 128, (3, 1), padding=(1, 0), bias=False),
        nn.Flatten(),
        nn.Linear(2048, 64),
        nn.GELU(approximate="tanh"),
        nn.Linear(64, 10, bias=False),
    )


NETWORKS = {
    "resnet18": lambda: resnet.build(10, 16, width=32),
    "vit": lambda: vit.build(10, 16, dim=64, depth=2, heads=2, mlp=128, stochastic_depth=0.5),
    "vit with dropout": lambda: vit.build(10, 16, dim=64, depth=1, heads=2, mlp=64, dropout=0.1),
    "user's": users_network,
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[request.param]().to(memory_format=torch.channels_last)


def images() -> Tensor:
    x = torch.randn(48, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last)


def run(model: nn.Module, *, train: bool, dtype: torch.dtype) -> list[Tensor]:
    """The output and, in training, the gradients and the running statistics."""
    model.train(train).zero_grad()
    torch.manual_seed(1)
    enabled = dtype != torch.float32
    with torch.autocast("cpu", dtype=dtype, enabled=enabled), torch.set_grad_enabled(train):
        y = model(images())
    if not train:
        return [y]
    y.float().square().mean().backward()
    return [y.detach(), *(p.grad for p in model.parameters() if p.grad is not None), *model.buffers()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_an_accelerated_network_computes_what_the_plain_one_does(
    network: nn.Module, train: bool, dtype: torch.dtype
) -> None:
    plain = run(copy.deepcopy(network), train=train, dtype=dtype)
    fast = run(registry.accelerate(network), train=train, dtype=dtype)
    # Next to zero, ReLU's slope may be another one: gradients differ more than outputs.
    of_output, of_rest = (1e-3, 2e-2) if dtype == torch.float32 else (0.05, 0.5)
    for place, (ours, theirs) in enumerate(zip(fast, plain, strict=True)):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        tolerance = of_output if place == 0 else of_rest
        assert (ours.double() - theirs.double()).norm() <= tolerance * theirs.double().norm() + 1e-6


def test_acceleration_keeps_names_and_survives_copies_and_pickles(network: nn.Module) -> None:
    names = [name for name, _ in network.named_modules()]
    weights = copy.deepcopy(network.state_dict())
    fast = registry.accelerate(network)
    assert [name for name, _ in fast.named_modules()] == names
    assert fast.state_dict().keys() == weights.keys()
    expected = run(fast, train=False, dtype=torch.float32)[0]
    for twin in (copy.deepcopy(fast), pickle.loads(pickle.dumps(fast)), registry.accelerate(fast)):
        assert [type(module) for module in twin.modules()] == [type(module) for module in fast.modules()]
        assert torch.equal(run(twin, train=False, dtype=torch.float32)[0], expected)
    fast.load_state_dict(weights)


def test_layers_become_subclasses_of_themselves(network: nn.Module) -> None:
    before = [type(module) for module in network.modules()]
    after = [type(module) for module in registry.accelerate(network).modules()]
    assert all(issubclass(new, old) for new, old in zip(after, before, strict=True))
    if registry.tier() != "off":
        assert after != before


def test_other_classes_stay_as_they_are() -> None:
    class Own(nn.Conv2d):
        """A user's convolution, which may do anything in its forward pass."""

    model = nn.Sequential(Own(3, 64, 3), nn.ReLU())
    assert type(registry.accelerate(model)[0]) is Own


def test_off_leaves_a_model_untouched(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_tier", "off")
    before = [type(module) for module in network.modules()]
    assert [type(module) for module in registry.accelerate(network).modules()] == before
    assert registry.operation("radiance_adam", "cpu") is None


def test_every_operation_can_be_loaded() -> None:
    if registry.tier() == "off":
        pytest.skip("numba is not installed")
    assert all(callable(registry.operation(name, "cpu")) for name in registry.OPERATIONS)
    assert all(issubclass(registry._load(path), nn.Module) for path in registry.LAYERS.values())
    assert registry.operation("radiance_adam", "cuda") is None


def test_kernels_step_aside_while_a_model_is_compiled(network: nn.Module) -> None:
    torch.compiler.reset()
    fast = registry.accelerate(network).eval()
    compiled = torch.compile(copy.deepcopy(fast), backend="eager", fullgraph=True, dynamic=False)
    with torch.no_grad():
        torch.testing.assert_close(compiled(images()), fast(images()), rtol=1e-3, atol=1e-4)


def test_compiled_kernels_of_other_versions_go_after_a_month(tmp_path: Path) -> None:
    ages = {"kernels-old": UNUSED + 60, "kernels-recent": UNUSED - 60, "something-else": UNUSED + 60}
    for name, age in ages.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        os.utime(tmp_path / name, times=(time.time() - age,) * 2)
    remove_unused(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"kernels-recent", "something-else"}
