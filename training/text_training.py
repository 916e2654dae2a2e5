"""The loop that trains a text model: for pretrain.py and finetune.py, and for distill.py."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ranking.device import best_device, fast_dtype, free_memory
from ranking.encoder_files import EncoderConfig, bytes_needed
from ranking.text_model import folder_of
from training import checkpoint
from training.errors import TrainingFault
from training.handle import RunHandle
from training.text_config import TextTraining
from training.validation import refuse_divergence


def learn(
    handle: RunHandle,
    network: nn.Module,
    training: TextTraining,
    loss_of: Callable[[int], Tensor],
    quality_of: Callable[[], float],
    name: str = "text",
    made_for: str = "",
) -> checkpoint.Standing:
    """Train until the quality on held-out data stops rising; the best weights stay in the network.

    `loss_of(number)` is the loss of a batch that depends on its number alone, so that a training
    that was killed ends as one that was not; `quality_of()` is higher the better. AdamW (Loshchilov
    & Hutter 2019, arXiv:1711.05101); the learning rate rises, then falls, along a line. `name` is
    that of its checkpoint and its curves: a run that trains several networks names each. A
    checkpoint counts only where it was made for the same: `made_for`, a fingerprint of the data.

    Raises
    ------
    Diverged
        The loss of a batch is no number.
    """
    path = handle.folder / f"{name}.checkpoint"
    who = "" if name == "text" else f"{name}: "
    learning = [part for part in network.parameters() if part.requires_grad]
    groups: list[dict[str, Any]] = [  # biases and the scales of layers are not pulled to 0
        {"params": [part for part in learning if part.dim() > 1]},
        {"params": [part for part in learning if part.dim() <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(
        groups, training.learning_rate, weight_decay=training.weight_decay
    )
    made_for = checkpoint.fingerprint(made_for, training, handle.seed)
    standing = checkpoint.resume(path, network, optimiser, made_for)
    if standing.done:
        handle.log(f"{who}Resumed after step {standing.done}.")
    else:
        if path.exists():
            handle.log(f"{who}{checkpoint.ANEW}")
        network.eval()
        standing.note(quality_of(), network)
        handle.log(f"{who}Before training: {standing.best:.4f}")
        handle.metric(f"{name}/valid", 0, standing.best)
    while standing.done < training.steps and standing.bad < training.patience:
        losses = []
        for _ in range(min(training.every, training.steps - standing.done)):
            losses.append(_step(handle, network, optimiser, training, standing.done, loss_of))
            standing.done += 1
            share = standing.done / training.steps
            handle.stage(f"step {standing.done:,} of {training.steps:,}", 0.05 + 0.75 * share)
        network.eval()
        quality = quality_of()
        standing.note(quality, network)
        loss = sum(losses) / len(losses)
        handle.metric(f"{name}/train_loss", standing.done, loss)
        handle.metric(f"{name}/valid", standing.done, quality)
        handle.log(f"{who}Step {standing.done:,}: loss {loss:.4f}, on held-out data {quality:.4f}")
        checkpoint.save(path, network, optimiser, standing, made_for)
    checkpoint.restore_best(network, standing)
    network.eval()
    return standing


def _step(
    handle: RunHandle,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    training: TextTraining,
    number: int,
    loss_of: Callable[[int], Tensor],
) -> float:
    """One step of the optimiser; its mean loss. Raises `Diverged` where that is no number."""
    network.train()
    rate = training.learning_rate * rise_and_fall(number, training.steps, training.warm_up)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    total = 0.0
    for part in range(training.accumulate):
        handle.check()
        batch = number * training.accumulate + part
        torch.manual_seed(handle.seed * 1_000_003 + batch)  # dropout: the same after a resume
        loss = loss_of(batch) / training.accumulate
        loss.backward()  # type: ignore[no-untyped-call]
        total += refuse_divergence(float(loss.detach()))
    torch.nn.utils.clip_grad_norm_(network.parameters(), training.clip)
    optimiser.step()
    return total


def rise_and_fall(number: int, steps: int, warm_up: float) -> float:
    """The learning rate's factor at a step, 0 … 1; it rises for a share `warm_up` of the steps."""
    rise = max(int(warm_up * steps), 1)
    if number < rise:
        return (number + 1) / rise
    return (steps - number) / max(steps - rise, 1)


def refuse_too_large(config: EncoderConfig) -> None:
    """Refuse to train every weight where there is no room for it.

    Raises
    ------
    TrainingFault
        Weights, gradients and the optimiser's two means of them, all in float32, are more than the
        memory that is free.
    """
    needed = 4 * bytes_needed(folder_of(config), torch.float32.itemsize)
    free = free_memory()
    if needed > free:
        raise TrainingFault(
            f"To train every weight of {Path(config.model).name} takes {needed / 1e9:.1f} GB and "
            f"more, and {free / 1e9:.1f} GB are free: fine-tune it with way=lora or "
            "way=projection, or take a smaller encoder."
        )


def thinned(row: list[int], chance: float) -> list[int]:
    """Tokens without some of the inner ones, each left out by its chance."""
    kept = torch.rand(len(row)) >= chance
    kept[:1], kept[-1:] = True, True
    return [token for token, keep in zip(row, kept.tolist(), strict=True) if keep]


def mixed_precision() -> AbstractContextManager[None]:
    """Multiply in the number format that is fast here; weights stay in float32."""
    dtype = fast_dtype()
    context: AbstractContextManager[None] = torch.autocast(
        best_device().type, dtype=dtype, enabled=dtype != torch.float32
    )
    return context


def places_of(number: int, count: int, size: int, seed: int) -> NDArray[np.int64]:
    """Which of `count` examples make up a batch: each once an epoch, in an order of its own."""
    each = -(-count // size)  # batches an epoch
    epoch, batch = divmod(number, each)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return order[batch * size : (batch + 1) * size]
