"""The randomness of one step: a function of seed, step and place in the global batch, never of the rank.

A world of another size draws the same times and the same noise for the same samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEP, ROW = 1_000_003, 2**40  # far apart, so that no row of a step meets another step's


class Draws(torch.Generator):
    """A generator seeded by (seed, step), for what every rank draws alike for the batch; and a stream for every row.

    A loss that asks for `rows` takes that part of the global batch; one that does not takes all of it, and can only run
    where one rank has all the rows.
    """

    seed_of_run: int
    step: int

    @classmethod
    def of(cls, seed: int, step: int, rows: range) -> Draws:
        draws = cls()
        draws.manual_seed(seed * STEP + step)
        draws.seed_of_run, draws.step = seed, step
        draws._rows, draws.asked = rows, False
        return draws

    @property
    def rows(self) -> range:
        """The global batch's rows that this rank takes."""
        self.asked = True
        return self._rows

    def of_row(self, row: int) -> torch.Generator:
        """The stream of one row of the global batch."""
        # From the middle of the 64 bits of a seed, where neighbours' streams have nothing in common.
        return torch.Generator().manual_seed((self.seed_of_run * STEP + self.step + (row + 1) * ROW) % 2**63)

    def normal(self, *shape: int) -> Tensor:
        """Normal noise [rows, *shape] for this rank's rows, each from its own stream's beginning."""
        return torch.stack([torch.randn(shape, generator=self.of_row(row)) for row in self.rows])
