"""What the workers of the distributed tests do; they import it, and it imports little."""

import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from triptych.models.resnet import ResNet18
from triptych.ssl.heads import projection_head
from triptych.ssl.nt_xent import nt_xent
from triptych.training.distributed import (
    average,
    average_gradients,
    barrier,
    broadcast_object,
    gather_views,
    gather_with_gradient,
    own_share,
    rank,
    share_work,
    world_size,
)
from triptych.training.muon import Muon
from triptych.training.sync_batch_norm import SyncBatchNorm, synchronise_batch_norm
from triptych.workflow.errors import TriptychError

CPU = torch.device("cpu")
IMAGES, VIEWS, SIDE, STEPS = 16, 2, 8, 3


def contrastive_run(dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Three steps of SimCLR on a small network, with as many workers as there are.

    Images are small because an activation so near to zero that rounding decides its sign changes
    gradients by more than rounding: the fewer activations, the rarer.
    """
    torch.manual_seed(0)
    encoder = ResNet18(width=8)
    model = nn.Sequential(encoder, projection_head(encoder.features, 64, 16))
    model = synchronise_batch_norm(model.to(dtype, memory_format=torch.channels_last), CPU)
    # The rate is small: it is rounding that is compared, and a steep descent would amplify it.
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    losses, first = [], {}
    for step in range(STEPS):
        generator = torch.Generator().manual_seed(step)
        views = torch.randn(VIEWS, IMAGES, 3, SIDE, SIDE, generator=generator)
        share = own_share(torch.arange(IMAGES))
        z = model(views[:, share].flatten(0, 1).to(dtype))
        loss = nt_xent(gather_views(z.float(), views=VIEWS), 1.0)
        optimizer.zero_grad()
        loss.backward()
        average_gradients(model)
        first = first or {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        optimizer.step()
        losses.append(average(loss))
    return {
        "losses": torch.stack(losses),
        "first_gradients": first,
        "state": model.state_dict(),
    }


def supervised_gradients() -> dict[str, Tensor]:
    """Gradients of a loss that each worker averages over its own share only."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1), nn.Linear(1, 1))
    model[4].requires_grad_(False)
    model = synchronise_batch_norm(model, CPU)
    x = torch.randn(12, 6)
    loss = model(own_share(x)).square().mean()
    loss.backward()
    average_gradients(model)
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {**gradients, "loss": average(loss)}


def gathered_gradient() -> tuple[Tensor, Tensor]:
    """Each worker weighs the gathered rows by its own weights; own rows' gradient is the weights' sum."""
    z = (10.0 * rank() + torch.arange(4.0)).view(2, 2).requires_grad_()
    gathered = gather_with_gradient(z)
    weights = (1.0 + rank()) * torch.arange(1.0, 1 + gathered.numel()).view_as(gathered)
    (gathered * weights).sum().backward()
    assert z.grad is not None
    return gathered.detach(), z.grad


def shared_work() -> dict[str, Any]:
    """Squares of five numbers by whoever computes them, and what this worker computed of them."""
    done = []

    def square(value: Tensor) -> Tensor:
        done.append(int(value))
        return value * value

    values = [torch.tensor([float(number)], dtype=torch.bfloat16) for number in (1, 2, 3, 4, 5)]
    squares = share_work(square, values, costs=[1, 1, 9, 4, 1])
    others = average(torch.tensor(float(sum(done)))).item() * world_size() - sum(done)
    return {"squares": [value.item() for value in squares], "done": done, "sum_of_others": others}


def muon_run() -> list[Tensor]:
    """Weights after three orthogonal steps, by gradients that all workers know."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 4, 3, 3), (6, 20), (20, 6), (5, 5)]
    weights = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    optimizer = Muon([{"params": weights, "matrices": True}], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
    return [weight.detach() for weight in weights]


def worst_norm_difference(examples: int) -> float:
    """Largest difference of `SyncBatchNorm` on shares from `BatchNorm` on the whole batch, in float64.

    Outputs, all gradients and running statistics of random shapes, settings and unequal shares.
    """
    worst = 0.0
    shapes: list[tuple[int, ...]] = [(), (5,), (3, 4)]
    for example in range(examples):
        generator = torch.Generator().manual_seed(example)
        counts = torch.randint(1, 6, (world_size(),), generator=generator).tolist()
        channels = int(torch.randint(1, 5, (), generator=generator))
        shape = (sum(counts), channels, *shapes[example % 3])
        x = 3 + 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
        push = torch.randn(shape, generator=generator, dtype=torch.float64)
        momentum = None if example % 4 == 0 else 0.3
        kind = [nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d][example % 3]
        norms = []
        for _ in range(2):
            norm = kind(channels, momentum=momentum, affine=example % 5 > 0, dtype=torch.float64)
            for parameter in norm.parameters():
                torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(example))
            norms.append(norm)
        whole, sync = norms[0], synchronise_batch_norm(norms[1], CPU)
        assert isinstance(sync, SyncBatchNorm)
        all_x = x.clone().requires_grad_()
        own_x = x.split(counts)[rank()].clone().requires_grad_()
        for _ in range(2):
            all_y, own_y = whole(all_x), sync(own_x)
        (all_y * push).sum().backward()
        (own_y * push.split(counts)[rank()]).sum().backward()
        assert all_x.grad is not None and own_x.grad is not None
        pairs = [(own_y, all_y.split(counts)[rank()]), (own_x.grad, all_x.grad.split(counts)[rank()])]
        for a, b in zip(sync.parameters(), whole.parameters(), strict=True):
            assert a.grad is not None and b.grad is not None
            pairs.append((average(a.grad) * world_size(), b.grad))
        pairs += zip(sync.buffers(), whole.buffers(), strict=True)
        worst = max([worst, *((a - b).abs().max().item() for a, b in pairs)])
    return worst


def bfloat16_norm() -> dict[str, Tensor]:
    """Batch norm of a convolution's output under autocast, and what it leaves behind."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    model = synchronise_batch_norm(model, CPU)
    x = torch.randn(8, 3, 10, 10)
    push = torch.randn(8, 8, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        y = model(own_share(x))
    (y * own_share(push)).sum().backward()
    norm = model[1]
    gradients = [average(p.grad) * world_size() for p in norm.parameters() if p.grad is not None]
    output = gather_with_gradient(y.detach())
    return {"output": output, "gradients": torch.stack(gradients), "variance": norm.running_var}


def conversion() -> dict[str, bool]:
    """What a network's batch norms keep when they are synchronised."""
    model = ResNet18(width=2)
    model.blocks[0].eval()
    before = dict(model.named_parameters()), dict(model.named_buffers()), list(model.state_dict())
    modes = {name: module.training for name, module in model.named_modules()}
    converted = synchronise_batch_norm(model, CPU)
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return {
        "in place": converted is model,
        "all": len(norms) == 20 and all(isinstance(norm, SyncBatchNorm) for norm in norms),
        "parameters": all(parameters[name] is value for name, value in before[0].items()),
        "buffers": all(buffers[name] is value for name, value in before[1].items()),
        "names": list(model.state_dict()) == before[2],
        "modes": modes == {name: module.training for name, module in model.named_modules()},
    }


def same_bits_of(values: list[Tensor]) -> bool:
    """Whether all are worker 0's, bit by bit."""
    return all(torch.equal(a, b) for a, b in zip(values, broadcast_object(values), strict=True))


def everything() -> dict[str, Any]:
    """One visit to the workers for all tests of numbers."""
    logging.getLogger("triptych").info("worker %d at work", rank())
    run = contrastive_run()
    again = contrastive_run()
    of_zero = broadcast_object(run["state"])
    same_bits = all(
        torch.equal(value, again["state"][name]) and torch.equal(value, of_zero[name])
        for name, value in run["state"].items()
    )
    rank_of_zero = broadcast_object({"rank": rank()})["rank"]
    barrier()
    gathered, gradient = gathered_gradient()
    return {
        "run": run,
        "run_float64": contrastive_run(torch.float64),
        "bfloat16": bfloat16_norm(),
        "share_with_the_same_bits": average(torch.tensor(float(same_bits))).item(),
        "conversion": conversion(),
        "supervised": supervised_gradients(),
        "gathered": gathered,
        "gathered_gradient": gradient,
        "shared_work": shared_work(),
        "muon": muon_run(),
        "muon_with_the_same_bits": average(torch.tensor(float(same_bits_of(muon_run())))).item(),
        "views": gather_views(torch.tensor([[0.0], [1.0], [10.0], [11.0]]) + 2 * rank(), views=2),
        "norm_difference": worst_norm_difference(12),
        "rank_of_zero": rank_of_zero,
        "world_size": world_size(),
        "threads": torch.get_num_threads(),
    }


def fail_on(failing: int, how: str) -> None:
    """One worker fails; the others wait for it in a collective."""
    if rank() == failing:
        if how == "triptych":
            raise TriptychError("simclr: the loss is nan; lower learning_rate")
        if how == "defect":
            raise KeyError("missing")
        os.kill(os.getpid(), signal.SIGKILL)
    barrier()


def wait_forever(folder: str) -> None:
    """Leave the process id in `folder`; worker 0 waits in a collective, the others asleep."""
    (Path(folder) / f"{rank()}.pid").write_text(str(os.getpid()))
    if rank():
        time.sleep(1000)
    barrier()
