"""A group of ranks whose orders survive the death of one of them: what every denoiser on ranks stands on."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import closing
from typing import Any

from engine.denoise import Visit
from engine.parallel.mesh import MeshShape
from engine.runtime.errors import RankDied
from engine.runtime.group import Limits, RankGroup
from engine.runtime.rank import Program

logger = logging.getLogger(__name__)


class SteadyGroup:
    """Ranks that start with this object and end with it. `threads` of each: by default they share the cores.

    A rank that dies, while it loads too, costs time and no order: the group starts anew and the order once more, from
    the same noise.
    Raises what the program does, RankHangs or RankDied where the ranks cannot start, and RankDied when one dies a
    second time.
    """

    def __init__(self, program: Program, shape: MeshShape, *, threads: int = 0, limits: Limits | None = None) -> None:
        threads = threads or max(1, (os.cpu_count() or 1) // shape.world)
        self.group = RankGroup(program, shape, threads=threads, limits=limits)
        self.saved: dict[str, float] = {}
        try:
            self.group.start()
        except RankDied as died:
            logger.warning("%s The ranks are started once more.", died)
            self.group.start()

    def ask(self, method: str, *args: Any, visit: Visit = lambda: None) -> Generator[Any, None, None]:
        """What rank 0 yields; what was told before a death is not told again."""
        told = 0
        for is_last in (False, True):
            try:
                with closing(self.group.run(method, *args, visit=visit)) as items:
                    for count, item in enumerate(items, 1):
                        if count > told:
                            told = count
                            yield item
                return
            except RankDied as died:
                if is_last:
                    raise
                logger.warning("%s The request is made once more.", died)
                visit()

    def denoised(self, *args: Any, visit: Visit) -> Generator[Any, None, None]:
        """The steps of a denoising; what a rank yields last, what its cache has saved, is kept as `saved`."""
        with closing(self.ask("denoise", *args, visit=visit)) as items:
            for item in items:
                if isinstance(item, dict):
                    self.saved = item
                else:
                    yield item

    def is_cut(self, prompt: str) -> bool:
        """Whether the ranks read only the beginning of this prompt."""
        (found,) = self.ask("is_cut", prompt)
        return bool(found)

    def close(self) -> None:
        """End the ranks."""
        self.group.close()
