"""The training loop: one path from step to step, exact on resume, with a progress bar and a record of its losses.

All randomness of a step comes from a generator seeded by (seed, step), so that a resumed run continues bit for bit on
the same machine and needs no saved random state.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from trainer.claim import differences
from trainer.log import Log, Tally


@dataclass(frozen=True)
class LoopConfig:
    """Optimisation of one stage."""

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 50
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    save_every: int = 100
    log_every: int = 20


# A run may go on with another value of these: more steps, or another rhythm of saving and logging.
FREE = ("steps", "save_every", "log_every")
LossValue = tuple[Tensor, dict[str, float]]  # what is minimised, and what is logged beside it
Loss = Callable[[int, torch.Generator], LossValue]


class Run:
    """Modules, optimiser and averaged weights of a stage, and where they are kept.

    `data` describes what the stage learns from. With the modules' configurations and `config` it is kept in the
    checkpoint: ValueError where the checkpoint in `folder` was made otherwise, or has more steps than are asked for.
    """

    def __init__(
        self, folder: Path, modules: dict[str, nn.Module], config: LoopConfig, data: dict[str, Any] | None = None
    ) -> None:
        self.folder, self.modules, self.config = folder, modules, config
        self.net = nn.ModuleDict(modules)
        self.optimiser = torch.optim.AdamW(
            _groups(self.net, config.weight_decay), lr=config.learning_rate, betas=(0.9, 0.98)
        )
        self.restart_average()
        self.step = 0
        self.tally = Tally()
        self.recipe = _recipe(modules, config, data or {})
        if self.checkpoint.exists():
            self._restore()

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def finished(self) -> bool:
        return self.step >= self.config.steps

    @property
    def log(self) -> Log:
        return Log(self.folder / "log.jsonl")

    def save(self) -> None:
        """Write the checkpoint beside the last one, then replace it: a kill leaves one that is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.checkpoint.with_suffix(".tmp")
        state = {"net": self.net.state_dict(), "average": self.average, "step": self.step, "recipe": self.recipe}
        torch.save({**state, "tally": asdict(self.tally), "optimiser": self.optimiser.state_dict()}, temporary)
        temporary.replace(self.checkpoint)

    def restart_average(self) -> None:
        """Begin the averaged weights at the modules' present ones: after an initialisation from data."""
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}

    def use_average(self) -> None:
        """Put the averaged weights into the modules: for export and evaluation."""
        self.net.load_state_dict(self.average)

    def _restore(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        self._refuse_another(state)
        self.net.load_state_dict(state["net"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]
        self.tally = Tally(**state.get("tally", {}))

    def _refuse_another(self, state: dict[str, Any]) -> None:
        # Checkpoints of earlier versions name no recipe: they are known by the shapes of their weights alone.
        off = differences(state.get("recipe", self.recipe), self.recipe)
        off += [] if off else _other_shapes(state["net"], self.net)
        if off:
            raise ValueError(
                f"{self.checkpoint} was made with another recipe: {', '.join(off)}. Use the one that it began with, or "
                f"a new folder, or remove {self.folder} to begin the stage anew."
            )
        if state["step"] > self.config.steps:
            raise ValueError(
                f"{self.checkpoint} has {state['step']} steps, more than the {self.config.steps} asked for. "
                f"Ask for as many, or remove {self.folder} to begin the stage anew."
            )

    def update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.net.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
                else:
                    self.average[key].copy_(value)


def train(run: Run, loss: Loss, *, deadline: float = math.inf) -> bool:
    """Train until the stage is finished (True) or `time.monotonic()` reaches the deadline (False).

    Goes on where the run stands; a finished run is left as it is. RuntimeError: the loss is not finite; the last
    checkpoint is from before that step.
    """
    if run.finished:
        return True
    config, log, saved = run.config, run.log, run.step if run.checkpoint.exists() else None
    log.forget_after(run.step)  # steps that a kill took back are made, and written, again
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(run.folder.name, total=config.steps, completed=run.step)
        while not run.finished and time.monotonic() < deadline:
            run.tally.add(_train_step(run, loss))
            if run.step % config.log_every == 0 or run.finished:
                means = run.tally.means()
                log.write(run.step, means)
                bar.update(task, description=f"{run.folder.name} loss {means['loss']:.4f}")
                run.tally = Tally()
            if run.step % config.save_every == 0:
                run.save()
                saved = run.step
            bar.update(task, completed=run.step)
    if saved != run.step:
        run.save()
    return run.finished


def _train_step(run: Run, loss: Loss) -> dict[str, float]:
    config = run.config
    for group in run.optimiser.param_groups:
        group["lr"] = learning_rate(config, run.step)
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + run.step)
    # Short sequences: the plain kernel's backward is several times faster on CPU than flash attention's.
    with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16):
        value, metrics = loss(run.step, generator)
    if not torch.isfinite(value):
        raise RuntimeError(f"The loss of step {run.step} is not finite. The last checkpoint is whole: lower the rate.")
    run.optimiser.zero_grad(set_to_none=True)
    value.backward()
    norm = nn.utils.clip_grad_norm_(run.net.parameters(), config.clip)
    run.optimiser.step()
    run.step += 1
    run.update_average()
    return {"loss": value.item(), "norm": norm.item(), **metrics}


def learning_rate(config: LoopConfig, step: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def _recipe(modules: dict[str, nn.Module], config: LoopConfig, data: dict[str, Any]) -> dict[str, Any]:
    """What has to stay the same from one call to the next, as JSON would give it back."""
    loop = {key: value for key, value in asdict(config).items() if key not in FREE}
    shapes = {
        name: {key: value for key, value in dict(getattr(module, "config", {})).items() if not key.startswith("_")}
        for name, module in modules.items()
    }
    found: dict[str, Any] = json.loads(json.dumps({"loop": loop, "modules": shapes, "data": data}))
    return found


def _other_shapes(saved: dict[str, Tensor], net: nn.Module) -> list[str]:
    ours = net.state_dict()
    names = [name for name in {**saved, **ours} if name not in saved or name not in ours]
    names += [name for name, value in ours.items() if name in saved and saved[name].shape != value.shape]
    return [f"other weights ({', '.join(sorted(names)[:3])})"] if names else []


def _groups(net: nn.Module, weight_decay: float) -> list[dict]:
    decayed = [p for p in net.parameters() if p.ndim >= 2]
    plain = [p for p in net.parameters() if p.ndim < 2]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
