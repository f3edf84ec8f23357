"""A task's figure tells a model that reads its condition from one that does not."""

import pytest
import torch

from engine.latent_video import LatentVideo
from trainer.evaluate.cases import NONE, OURS, SHUFFLED, STILL
from trainer.evaluate.held_out import HeldOutFilms
from trainer.evaluate.tasks import KNOWN_FRAMES, TASKS, task_errors, task_figures


@pytest.fixture(scope="module")
def model(tiny_bundle) -> LatentVideo:
    return LatentVideo.load(tiny_bundle)


@pytest.fixture(scope="module")
def films() -> HeldOutFilms:
    return HeldOutFilms.draw(3, 32, 32)


class Remembers(torch.nn.Module):
    """A perfect reader: it knows which film goes on from what it is shown, and without any takes it for grey."""

    def __init__(self, model: LatentVideo, films: HeldOutFilms, known: int) -> None:
        super().__init__()
        self.config = model.dit.config
        data = [model.encode(frames) for frames in films.frames]
        self.shown = [model.condition(frames[:known], None, data[0].shape[2:])[0] for frames in films.frames]
        self.data = [*(one[0] for one in data), torch.zeros_like(data[0][0])]

    def forward(self, noisy, times, text, text_mask, condition):
        found = [next((i for i, shown in enumerate(self.shown) if torch.equal(row, shown)), -1) for row in condition]
        return (noisy - torch.stack([self.data[i] for i in found])) / times[:, None, None, None, None]


@pytest.mark.parametrize("task", ["image_to_video", "continuation"])
def test_a_model_that_reads_what_it_is_shown_errs_more_when_that_is_wrong_or_missing(model, films, task, monkeypatch):
    monkeypatch.setattr(model.denoiser, "dit", Remembers(model, films, KNOWN_FRAMES[task]))
    found = task_errors(model, films, task)
    assert found[OURS] < 1e-6 < 1e-2 < min(found[SHUFFLED], found[NONE], found[STILL])


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_reads_nothing_errs_alike_whatever_it_is_told(model, films, task, monkeypatch):
    deaf = model.dit.__class__.from_config(model.dit.config)
    deaf.load_state_dict({key: torch.zeros_like(value) for key, value in model.dit.state_dict().items()})
    monkeypatch.setattr(model.denoiser, "dit", deaf)
    found = task_errors(model, films, task)
    assert found[OURS] == found[SHUFFLED] == found[NONE]
    assert (STILL in found) == (KNOWN_FRAMES.get(task, 17) < 17)


def test_the_figures_name_their_baselines_and_count_their_films(model, films):
    figures = task_figures(model, films)
    assert len(figures) == len(TASKS) and {figure.scenes for figure in figures} == {3}
    assert all({OURS, SHUFFLED, NONE} <= set(figure.values) and figure.better == "lower" for figure in figures)
