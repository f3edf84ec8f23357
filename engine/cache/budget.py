"""One error budget over all policies: what each setting has cost on calibration requests, and the cheapest within it.

The error of a request is that of its final latents, |with cache - without| / |without|; of a setting, the root mean
square over the requests. `psnr_of` turns it into decibels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bundles import Bundle, BundleError, explained
from engine.cache.policies import Choice, Compute, Exact, FirstBlock, Guidance, Magnitude, Policy, Schedule, Taylor

if TYPE_CHECKING:
    from engine.cache.apply import Report  # needs torch, which planning does without

POLICIES: dict[str, Any] = {
    "first-block": FirstBlock,
    "magnitude": Magnitude,
    "taylor": Taylor,
    "guidance": Guidance,
}
FILE = "cache.json"  # in a bundle


@dataclass(frozen=True)
class Setting:
    """A policy by name and arguments, and what it came to."""

    policy: str
    arguments: dict[str, Any]
    error: float = math.nan  # root mean square over the requests
    worst: float = math.nan  # of any request
    work: float = math.nan  # what is computed, as a share of everything, counted in blocks and rows
    halves: float = math.nan  # share of the steps that compute one half of guidance

    def measured(self, errors: Sequence[float], reports: Sequence[Report]) -> Setting:
        """The same with what its runs came to, rounded as it is saved."""
        steps = [compute for report in reports for compute in report.computed]
        return replace(
            self,
            error=_short(math.sqrt(sum(error**2 for error in errors) / len(errors))),
            worst=_short(max(errors)),
            work=_short(sum(report.work for report in reports) / len(reports)),
            halves=_short(steps.count(Compute.ASKED) / len(steps)),
        )

    def cost(self, half: float = 0.5) -> float:
        """Time as a share of doing everything, where one half of guidance takes `half` of a call."""
        return self.work + self.halves * (half - 0.5)

    def build(self) -> Policy:
        """The policy, ready for a `Cache`."""
        if self.policy == "schedule":
            steps = [_choice(text) for text in self.arguments["steps"]]
            return Schedule(steps, self.arguments.get("limits", ()))  # older files have none
        return POLICIES[self.policy](**self.arguments)


@dataclass(frozen=True)
class Calibration:
    """What is known of one model at one number of steps; settings from the cheapest to the dearest."""

    times: tuple[float, ...]
    guidance: float
    requests: int
    settings: tuple[Setting, ...]

    def setting(self, budget: float, half: float = 0.5, only: Sequence[str] = ()) -> Setting | None:
        """The cheapest setting (of the policies `only`) whose error was within the budget; None where none is.

        `half`: of the time of a call, what the asked rows alone take on this machine. 1 where the halves are on two
        ranks.
        """
        if not 0 <= budget < math.inf:
            raise ValueError(f"An error budget is a share from 0 on, not {budget}.")
        fitting = [s for s in self.settings if s.error <= budget and (not only or s.policy in only)]
        return min(fitting, key=lambda s: (s.cost(half), s.error), default=None) if budget else None

    def policy(self, budget: float, half: float = 0.5, only: Sequence[str] = ()) -> Policy:
        """As `setting`, built. A budget of 0 is no cache, bit for bit."""
        found = self.setting(budget, half, only)
        return found.build() if found else Exact()

    def fits(self, times: Sequence[float]) -> bool:
        """Whether it was made for these times."""
        return len(times) == len(self.times) and all(
            math.isclose(one, other, rel_tol=1e-5) for one, other in zip(times, self.times, strict=True)
        )

    def check(self, times: Sequence[float]) -> None:
        """ValueError where it was not made for these times: what it has measured would say nothing of them."""
        if not self.fits(times):
            raise ValueError(
                f"The cache was calibrated for {len(self.times)} steps, not for these {len(times)}: ask for as many, "
                f"or for no cache."
            )

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def of_bundle(bundle: Bundle) -> Calibration:
    """The calibration in a bundle; BundleError where it has none, or none of use."""
    if FILE not in bundle.files:
        imported = bundle.layout == "diffusers"
        maker = "engine.pretrained.calibrating" if imported else "`python -m trainer calibrate`"
        raise BundleError(
            f"A cache is asked for (--cache, --budget, AQ_ENGINE_CACHE), but the bundle {bundle.name} brings no "
            f"calibration: leave it out, or make one by {maker}."
        )
    path = bundle.file(FILE)
    with explained(bundle, path.name):
        return load(path)


def load(path: Path) -> Calibration:
    """A saved calibration. KeyError, TypeError or ValueError where the file is none."""
    raw = json.loads(path.read_text())
    settings = tuple(Setting(**setting) for setting in raw["settings"])
    return Calibration(tuple(raw["times"]), raw["guidance"], raw["requests"], settings)


def undominated(settings: Sequence[Setting]) -> list[Setting]:
    """From the cheapest on, without those that another of the same policy beats in error and, whatever a half call
    costs, in work.
    """
    return [
        s
        for s in sorted(settings, key=lambda s: (s.work, s.error))
        if not any(
            o.policy == s.policy and o.error < s.error and o.work <= s.work and o.cost(1) <= s.cost(1) for o in settings
        )
    ]


def psnr_of(error: float) -> float:
    """Decibels of a relative error, for a peak of 4 standard deviations, which is about what pictures have."""
    return math.inf if error == 0 else 20 * math.log10(4 / error)


def written(choice: Choice) -> str:
    """A choice of a schedule in one word and its weights."""
    return " ".join([choice.compute, *(f"{weight:.6g}" for weight in choice.weights)])


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _choice(text: str) -> Choice:
    compute, *weights = text.split()
    return Choice(Compute(compute), tuple(map(float, weights)))
