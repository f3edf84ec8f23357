"""The randomness of one step: a function of seed, step and place in the global batch, never of the rank.

A world of another size draws the same times and the same noise for the same samples.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

STEP = 1_000_003  # between the seeds of two runs, more than a run has steps


class Draws(torch.Generator):
    """A generator seeded by (seed, step), for what every rank draws alike for the batch; and a stream for every row.

    A loss that asks for `rows` takes that part of the global batch; one that does not takes all of it, and can only run
    where one rank has all the rows.
    """

    seed_of_run: int
    step: int
    batch: int  # rows of the global batch
    asked: bool  # whether the loss has taken its rows alone
    _rows: range

    @classmethod
    def of(cls, seed: int, step: int, rows: range, batch: int) -> Draws:
        draws = cls()
        draws.manual_seed(seed * STEP + step)
        draws.seed_of_run, draws.step, draws.batch = seed, step, batch
        draws._rows, draws.asked = rows, False
        return draws

    @property
    def rows(self) -> range:
        """The global batch's rows that this rank takes."""
        self.asked = True
        return self._rows

    @property
    def slice(self) -> slice:
        """The same, to cut them out of what is made for the whole batch."""
        return slice(self.rows.start, self.rows.stop)

    def of_row(self, row: int) -> torch.Generator:
        """The stream of one row of the global batch."""
        # Torch's generator takes 32 bits of a seed: they are mixed from all that it is a function of.
        mixed = np.random.SeedSequence((self.seed_of_run, self.step, row)).generate_state(1)
        return torch.Generator().manual_seed(int(mixed[0]))

    def normal(self, *shape: int) -> Tensor:
        """Normal noise [rows, *shape] for this rank's rows, each from its own stream's beginning."""
        return torch.stack([torch.randn(shape, generator=self.of_row(row)) for row in self.rows])


def normal_like_whole(generator: torch.Generator, *shape: int) -> Tensor:
    """Normal noise of this shape, rows first; where they are a part of a batch, that part of the whole batch's noise.

    For small batches, whose noise every rank can draw whole: the bits are those of one process.
    """
    if not isinstance(generator, Draws) or not generator.asked:
        return torch.randn(shape, generator=generator)
    rows = generator.rows
    assert shape[0] == len(rows), "the loss takes the rows that it asked for"
    return torch.randn((generator.batch, *shape[1:]), generator=generator)[rows.start : rows.stop]
