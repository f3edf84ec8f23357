"""How many bytes of tensors are alive at most, counted as they come and go: on any device, and of fake tensors too.

Storages are counted, not tensors: a view costs nothing. What a kernel needs for itself within one operation is not
seen, nor what an allocator keeps in reserve.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_iter


class Peak(TorchDispatchMode):
    """Counts, while it is entered, the storages that operations make. `most` and `now` are bytes.

    `elsewhere` says of a tensor whether it lies in another memory than what is asked about, as what was offloaded does.
    """

    def __init__(self, elsewhere: Callable[[Tensor], bool] | None = None) -> None:
        super().__init__()
        self.most = self.now = 0
        self.elsewhere = elsewhere or (lambda tensor: False)
        self._alive: dict[int, int] = {}

    def __enter__(self) -> Peak:
        self._resize = UntypedStorage.resize_  # so FSDP gives memory back and takes it again: no operation that is seen
        peak = self

        def resize_(storage: UntypedStorage, size: int) -> UntypedStorage:
            peak._resize(storage, size)
            if id(storage) in peak._alive:
                peak._see(storage)
            return storage

        UntypedStorage.resize_ = resize_  # type: ignore[assignment, method-assign]
        super().__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        UntypedStorage.resize_ = self._resize  # type: ignore[method-assign]
        super().__exit__(*how)

    def forget(self) -> None:
        """Ask for the peak from here on."""
        self.most = self.now

    def __torch_dispatch__(
        self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = op(*args, **(kwargs or {}))
        for x in tree_iter(made):
            if isinstance(x, Tensor) and not self.elsewhere(x):
                for inner in _inner(x):
                    self._see(inner.untyped_storage())
        return made

    def _see(self, storage: UntypedStorage) -> None:
        size = storage.nbytes()
        change = size - self._alive.get(id(storage), 0)
        if id(storage) not in self._alive:
            weakref.finalize(storage, self._gone, id(storage))
        self._alive[id(storage)] = size
        self.now += change
        self.most = max(self.most, self.now)

    def _gone(self, key: int) -> None:
        self.now -= self._alive.pop(key)


def _inner(x: Tensor) -> Iterator[Tensor]:
    """The tensors that a DTensor or a quantised one is made of: its own storage is none."""
    if not is_traceable_wrapper_subclass(x):
        yield x
        return
    for name in x.__tensor_flatten__()[0]:
        part = getattr(x, name)
        if isinstance(part, Tensor):
            yield from _inner(part)
