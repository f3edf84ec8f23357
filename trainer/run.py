"""A stage of a run: its modules, optimiser and averaged weights, where it stands, and how that is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from engine.device import device_of
from trainer.checkpoint import FILE, Checkpoints, last_good, read_average, read_file, save_file
from trainer.checks import way_of
from trainer.claim import differences
from trainer.ema import Average
from trainer.faults import FaultLog, Spikes
from trainer.gone import GONE, cut
from trainer.log import HELD_OUT, STEPS, Log, Tally
from trainer.optimisation import FREE, LoopConfig
from trainer.parallel.optimiser import groups, make_optimiser, make_states, order
from trainer.ranks import Ranks
from trainer.replicas import Replicas, Spreading
from trainer.start import load_start, start_of

# What a run's data say only since some version: asked of a checkpoint that notes it too.
NOTED_LATER = ("text_steps", "video_vae_steps", "latents_of", "text_of", "relief_of")


class Stopped(RuntimeError):
    """The loop stops of its own accord; what is on the disk is whole."""


class Run:
    """Modules, optimiser and averaged weights of a stage, and where they are kept.

    `data` describes what the stage learns from. With the modules' configurations and `config` it is kept in the
    checkpoint: ValueError where the checkpoint in `folder` was made otherwise, or has more steps than are asked for.
    `spread` lays the modules over the ranks, as `trainer.parallel.Spread` does: each has them whole by default.
    `device` is where they learn, and their average and the optimiser's states are; without it where they were made.
    What checkpoints hold is of no device.
    `cursor` is the number of the next batch: the step, and one more for every batch that was left out.
    `gone` are averaged weights that the checkpoint holds and the modules of this version do not, by name.
    """

    def __init__(
        self,
        folder: Path,
        modules: dict[str, nn.Module],
        config: LoopConfig,
        data: dict[str, Any] | None = None,
        spread: Callable[[dict[str, nn.Module]], Spreading] = Replicas,
        device: torch.device | None = None,
    ) -> None:
        self.folder, self.modules, self.config, self.ranks = folder, modules, config, Ranks()
        self.start = start_of(folder.parent, modules)
        self.recipe = _recipe(modules, config, data or {}, self.start)
        self.kept = Checkpoints(folder, config.keep, way_of(config, self.ranks.world) == "async")
        if self.start and self.saved is None:
            load_start(self.start, modules)
        for module in modules.values() if device is not None else ():
            module.to(device)
        self._order = order(nn.ModuleDict(modules))
        self.spread = spread(modules)
        self.net = self.spread.net
        if config.optimiser == "8bit" and self.spread.splits_weights:
            raise ValueError("Moments of 8 bits that `tensor` has split cannot be kept: use adamw or fused there.")
        self.optimiser = make_optimiser(groups(self.net, config.weight_decay), config.optimiser, config.learning_rate)
        self.restart_average()
        self.step = self.cursor = 0
        self.tally, self.spikes = Tally(), Spikes(config.faults)
        self.faults = FaultLog(folder)
        self.left_out = self.faults.left_out()
        self.cursor = self._next(0)
        self._trouble = (0, -1)
        self.gone: dict[str, Tensor] = {}
        if self.saved is not None:
            self._restore()

    @property
    def device(self) -> torch.device:
        """Where the modules are, and batches have to be."""
        return device_of(self.net)

    @property
    def checkpoint(self) -> Path:
        return self.folder / FILE

    @property
    def saved(self) -> Literal["file", "folder"] | None:
        """How the newest checkpoint is kept; None where there is none."""
        if last_good(self.folder) is not None:
            return "folder"
        return "file" if self.checkpoint.exists() else None

    @property
    def finished(self) -> bool:
        return self.step >= self.config.steps

    @property
    def learnt(self) -> bool:
        """Finished, and something: a stage of no steps that began at nothing holds random weights."""
        return self.finished and bool(self.step or self.start)

    @property
    def log(self) -> Log:
        return Log(self.folder / "log.jsonl")

    @property
    def steps_log(self) -> Log:
        return Log(self.folder / STEPS)

    @property
    def held_out_log(self) -> Log:
        return Log(self.folder / HELD_OUT)

    def save(self) -> None:
        """Keep the state; a kill at any time leaves a checkpoint that is whole."""
        facts = {
            "step": self.step,
            "cursor": self.cursor,
            "recipe": self.recipe,
            "tally": asdict(self.tally),
            "recent": self.spikes.recent,
        }
        # Where ranks have kept folders, one process goes on with folders: a file beside them would not be found.
        if way_of(self.config, self.ranks.world) != "file" or self.saved == "folder":
            self.kept.save(self.step, self._tensors(), {**facts, "world": self.ranks.world})
            return
        state = {"net": self.net.state_dict(), "average": self.average, "optimiser": self.optimiser.state_dict()}
        save_file(self.folder, {**state, **facts})

    @property
    def average(self) -> dict[str, Tensor]:
        """The averaged weights, by name."""
        return self.averaged.values

    def restart_average(self) -> None:
        """Begin the averaged weights at the modules' present ones: after an initialisation from data."""
        self.averaged = Average(self.net, self.config.ema)

    def use_average(self) -> None:
        """Put the averaged weights into the modules: for export and evaluation."""
        self.averaged.put_into_net()

    @contextmanager
    def with_average(self) -> Iterator[None]:
        """The averaged weights in the modules, to be measured; afterwards all is bit for bit as it was. Meanwhile the
        weights are there once more.
        """
        present = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        training = [module for module in self.net.modules() if module.training]
        self.use_average()
        self.net.eval()
        try:
            yield
        finally:
            self.net.load_state_dict(present)
            for module in training:
                module.training = True

    def advance(self, loss: float) -> None:
        """A step was made: it counts, and its weights are taken into the average."""
        self.step += 1
        self.averaged.update(self.step)
        self.cursor = self._next(self.cursor + 1)
        self.spikes.add(loss)

    def leave_out(self, batches: range, what: str, **facts: Any) -> None:
        """Go on without these batches, and note why. Stopped where too many follow one another."""
        count, at = self._trouble
        count = count + 1 if self.step <= at else 1
        self._trouble = (count, max(at, self.step))
        if count > self.config.faults.in_a_row:
            self.kept.settle()
            raise Stopped(f"At step {self.step} {count} times in a row: {what}. See {self.faults.log.path}.")
        self.left_out |= set(batches)
        if self.ranks.rank == 0:
            self.faults.note(what, step=self.step, left_out=list(batches), **facts)
        self.cursor = self._next(self.cursor)

    def go_back(self, batch: int) -> int:
        """To the last good checkpoint from before a batch was learnt from; its step.

        Stopped where there is none: it was removed, or a single file is kept.
        """
        self.kept.settle()
        before = [step for step in self.kept.steps() if self.kept.facts(step)["cursor"] <= batch]
        if not before:
            raise Stopped(
                f"The loss spiked at step {self.step}, and no checkpoint from before batch {batch} is kept: raise "
                f"`keep`, with `checkpoints` async or sync."
            )
        self.kept.go_back(before[-1])
        self._restore_folder(before[-1])
        self.forget_later()
        return self.step

    def forget_later(self) -> None:
        """Drop what is logged of steps that a kill or a fault took back: they are made, and written, again."""
        if self.ranks.rank == 0:
            self.log.forget_after(self.step)
            self.steps_log.forget_after(self.step)
            self.held_out_log.forget_after(self.step)

    def _next(self, batch: int) -> int:
        while batch in self.left_out:
            batch += 1
        return batch

    def _restore(self) -> None:
        if self.saved == "folder":
            step = self.kept.last_good()
            assert step is not None
            shapes = self.kept.shapes(step, "net")
            gone = [name for name in GONE if name in shapes and name not in self._order]
            self._refuse_another(self.kept.facts(step), {key: one for key, one in shapes.items() if key not in gone})
            if gone:
                average = read_average(self.folder)
                self.gone = {name: average[name] for name in gone}
            self._restore_folder(step)
            return
        state = read_file(self.folder)
        self.gone = cut(state, self._order)
        self._refuse_another(state, {name: tuple(value.shape) for name, value in state["net"].items()})
        if self.ranks.world == 1 or isinstance(self.spread, Replicas):
            self.net.load_state_dict(state["net"])
            self.averaged.values = {name: value.to(self.device) for name, value in state["average"].items()}
            self.optimiser.load_state_dict(state["optimiser"])
        else:
            self._part(state)
        self._stand_at(state)

    def _part(self, file: dict[str, Any]) -> None:
        """Lay out what one process has kept whole: every rank has read all of it, and takes its own."""
        from trainer.parallel.state import by_name, fill, put_state

        if self.config.optimiser == "8bit":
            raise ValueError(
                f"The moments of 8 bits in {self.checkpoint} are whole, and cannot be parted over a layout: go on with "
                f"one process."
            )
        whole = by_name(file, self._order)
        make_states(self.optimiser)
        for name, parameter in self.net.named_parameters():
            if not whole["optimiser"].get(name):
                self.optimiser.state.pop(parameter, None)
        tensors = self._tensors()
        fill(tensors, whole)
        put_state(self.spread, self.optimiser, self.average, tensors)

    def _restore_folder(self, step: int) -> None:
        from trainer.parallel.state import put_state  # with what it imports, as long as torch itself

        facts = self.kept.facts(step)
        if self.kept.shapes(step, "optimiser"):
            make_states(self.optimiser)
        else:
            self.optimiser.state.clear()
        tensors = self._tensors()
        self.kept.load(step, tensors)
        put_state(self.spread, self.optimiser, self.average, tensors)
        self._stand_at(facts)

    def _stand_at(self, facts: dict[str, Any]) -> None:
        self.step = facts["step"]
        self.cursor = self._next(facts.get("cursor", self.step))
        self.tally = Tally(**facts.get("tally", {}))
        self.spikes = Spikes(self.config.faults, facts.get("recent"))

    def _tensors(self) -> dict[str, Any]:
        """Everything that a step changes, by name and not by place: another world has other places."""
        from trainer.parallel.state import state_of

        return state_of(self.spread, self.optimiser, self.average)

    def _refuse_another(self, facts: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
        # Checkpoints of earlier versions name no recipe: they are known by the shapes of their weights alone.
        off = differences(*_both_noted(facts.get("recipe", self.recipe), self.recipe))
        off += [] if off else _other_shapes(shapes, self.spread.saved_form(self.net.state_dict()), self.ranks.world > 1)
        place = self.checkpoint if self.saved == "file" else self.kept.folder
        if off:
            raise ValueError(
                f"{place} was made with another recipe: {', '.join(off)}. Use the one that it began with, or "
                f"a new folder, or remove {self.folder} to begin the stage anew."
            )
        if facts["step"] > self.config.steps:
            raise ValueError(
                f"{place} has {facts['step']} steps, more than the {self.config.steps} asked for. "
                f"Ask for as many, or remove {self.folder} to begin the stage anew."
            )


def learning_rate(config: LoopConfig, step: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def _recipe(
    modules: dict[str, nn.Module], config: LoopConfig, data: dict[str, Any], start: dict[str, Any]
) -> dict[str, Any]:
    """What has to stay the same from one call to the next, as JSON would give it back."""
    loop = {key: value for key, value in asdict(config).items() if key not in FREE}
    if config.optimiser == "adamw":  # as checkpoints say it from before there was a choice
        loop.pop("optimiser")
    shapes = {
        name: {key: value for key, value in dict(getattr(module, "config", {})).items() if not key.startswith("_")}
        for name, module in modules.items()
    }
    begun = {"start": start["digest"]} if start else {}
    found: dict[str, Any] = json.loads(json.dumps({"loop": loop, "modules": shapes, "data": data, **begun}))
    return found


def _both_noted(there: dict[str, Any], ours: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two recipes without what one of them alone may leave out."""
    lacking = {name for name in NOTED_LATER if name not in there.get("data", {}) or name not in ours["data"]}

    def without(recipe: dict[str, Any]) -> dict[str, Any]:
        data = {name: value for name, value in recipe.get("data", {}).items() if name not in lacking}
        return {**recipe, "data": data}

    return without(there), without(ours)


def _other_shapes(saved: dict[str, tuple[int, ...]], ours: dict[str, Tensor], parted: bool) -> list[str]:
    """`parted`: other ranks may hold what we have not."""
    names = [name for name in {**saved, **ours} if name not in saved or (name not in ours and not parted)]
    names += [name for name, value in ours.items() if name in saved and saved[name] != tuple(value.shape)]
    return [f"other weights ({', '.join(sorted(names)[:3])})"] if names else []
