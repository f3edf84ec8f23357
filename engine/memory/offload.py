"""Weights kept outside the device that computes, and brought to it block by block, the next while one is running.

Two places to keep them: the host's memory, for a device that is not the host (pinned, copied on a stream of its own),
and a folder on disk, for any device and for models larger than the host's memory (read by a thread of its own).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.memory.layerwise import Coming, Layerwise, blocks_of


class Offload(Layerwise):
    """A model that computes on `device` while its blocks' weights are kept in host memory, or in `folder` if given.

    All other weights move to the device. Composes with sequence, guidance, data and tensor parallelism: `Parallel`
    first where it splits over `tensor`. ValueError where neither place saves
    anything: the device is the host and there is no folder. Other errors as of `Layerwise`: a model that is sharded
    already is refused.
    """

    def __init__(
        self, model: nn.Module, device: torch.device | str, folder: Path | None = None, group: int = 1
    ) -> None:
        target = torch.device(device)
        if folder is None and target.type == "cpu":
            raise ValueError("The weights are in this device's memory already. Give a folder to keep them on disk.")
        self.store: Host | Disk = Host(target) if folder is None else Disk(target, folder)
        self.model, self.home = model, next(model.parameters()).device
        try:
            super().__init__(model, group)
        except BaseException:
            self.store.close()
            raise
        self.blocks = {p for block in blocks_of(model) for p in block.parameters()}
        self._move_the_rest(target)

    def remove(self) -> None:
        """The model as it was, on the device where it was."""
        super().remove()
        self._move_the_rest(self.home)
        self.store.close()

    def _keep(self, group: int, flat: Tensor) -> None:
        self.store.keep(group, flat)

    def _fetch(self, group: int) -> Coming:
        return self.store.fetch(group)

    def _move_the_rest(self, device: torch.device) -> None:
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            if tensor not in self.blocks:
                tensor.data = tensor.data.to(device)


class Host:
    """Host memory. Not run on CUDA yet."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.kept = device, {}  # type: tuple[torch.device, dict[int, Tensor]]
        self.module = torch.get_device_module(device)
        self.stream = self.module.Stream(device)

    def keep(self, group: int, flat: Tensor) -> None:
        self.kept[group] = flat.cpu().pin_memory()

    def fetch(self, group: int) -> Coming:
        # The copy waits for what is queued: the memory that it gets may still be read by the block before.
        self.stream.wait_stream(self.module.current_stream(self.device))
        with self.module.stream(self.stream):
            flat = self.kept[group].to(self.device, non_blocking=True)

        def wait() -> Tensor:
            computing = self.module.current_stream(self.device)
            computing.wait_stream(self.stream)
            flat.record_stream(computing)
            return flat

        return wait

    def close(self) -> None:
        self.kept.clear()


class Disk:
    """One file a group, of its bytes as they are, in a folder of its own within `folder`; deleted by `close`."""

    def __init__(self, device: torch.device, folder: Path) -> None:
        self.device, self.folder = device, tempfile.TemporaryDirectory(prefix="weights-", dir=folder)
        self.reader = ThreadPoolExecutor(1, "weights")
        self.files: dict[int, Path] = {}

    def keep(self, group: int, flat: Tensor) -> None:
        self.files[group] = Path(self.folder.name) / f"group-{group:03}.bytes"
        flat.cpu().numpy().tofile(self.files[group])

    def fetch(self, group: int) -> Callable[[], Tensor]:
        return self.reader.submit(self._read, self.files[group]).result

    def _read(self, file: Path) -> Tensor:
        flat = torch.empty(file.stat().st_size, dtype=torch.uint8)
        with file.open("rb") as source:
            source.readinto(flat.numpy().data)
        return flat.to(self.device)

    def close(self) -> None:
        self.reader.shutdown()
        self.folder.cleanup()
