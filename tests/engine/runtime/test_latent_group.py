"""Latent video on ranks that stay: what one process makes, on the planner's mesh; cancel, death, watchdog and cache."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import __main__ as command_line
from engine.adapters import Adapter, LowRank, save_adapter
from engine.bundles import Bundle, write_bundle
from engine.cache.budget import Calibration, Setting
from engine.commands.plan import model_of
from engine.events import Canceled
from engine.latent_denoise import LatentDenoiser
from engine.latent_video import LatentVideo
from engine.media.video import decode_frames
from engine.parallel.mesh import MeshShape
from engine.planner import Video, make_plan
from engine.runtime.errors import RankHangs
from engine.runtime.group import Limits
from engine.runtime.latent_video import GroupLatentDenoiser, latent_video_on
from engine.samplers import shifted_times
from engine.timing import this_machine
from tests.trainer.tiny_bundle import write_tiny_bundle
from trainer.recipes.sampling import Sampling

ASKED = {"frames": 9, "height": 32, "width": 40, "steps": 4, "seed": 2}
LIMITS = Limits(start=120, order=30, preflight=2)
FILM = np.random.default_rng(0).integers(0, 255, (1, 32, 40, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With a calibration that no measurement stands behind: at four steps one is forecast."""
    setting = Setting("schedule", {"steps": ["all", "all", "none 1.5 -0.5", "all"]}, 0.04, 0.05, 0.75, 0.0)
    times = tuple(shifted_times(4, Sampling.shift).tolist()[:-1])
    found = Calibration(times, Sampling.guidance, 1, (setting,))
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny", calibration=found)


@pytest.fixture(scope="module")
def alone(bundle: Bundle) -> LatentVideo:
    return LatentVideo(bundle)


@pytest.fixture(scope="module")
def video(bundle: Bundle) -> Iterator[LatentVideo]:
    """The planner's mesh of two ranks."""
    plan = make_plan(model_of(bundle, "single"), Video(9, 40, 32, 4), this_machine(2))
    assert plan.layout == MeshShape(cfg=2)
    made = LatentVideo(bundle, "single", GroupLatentDenoiser(bundle, plan.layout, limits=LIMITS))
    yield made
    made.close()


def last(video: LatentVideo, prompt: str = "a red cup", **more: object) -> torch.Tensor:
    *_, (_, data) = video.denoise(prompt, **ASKED | more)  # type: ignore[arg-type]
    return data


def off(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def kill(video: LatentVideo, what: signal.Signals) -> None:
    group = video.denoiser.group  # type: ignore[attr-defined]
    os.kill(group.ranks.processes[1].pid, what)


def test_ranks_make_the_latents_of_one_process(alone: LatentVideo, video: LatentVideo) -> None:
    wanted = last(alone, known=FILM)
    assert off(last(video, known=FILM), wanted) < 1e-5
    assert off(last(video, "a green bottle", known=FILM), wanted) > 1e-3  # the controls: prompt and known frame count
    assert off(last(video, known=255 - FILM), wanted) > 1e-3


@pytest.mark.parametrize(
    ("dit", "shape"),
    [
        ("multimodal", MeshShape(ulysses=2)),
        pytest.param("single", MeshShape(ring=2), marks=pytest.mark.full),
        pytest.param("multimodal", MeshShape(cfg=2, ring=2), marks=pytest.mark.full),
        pytest.param("single", MeshShape(tensor=2), marks=pytest.mark.full),
    ],
    ids=str,
)
def test_either_transformer_on_any_mesh(bundle: Bundle, dit: str, shape: MeshShape) -> None:
    wanted = last(LatentVideo(bundle, dit))
    spread = LatentVideo(bundle, dit, GroupLatentDenoiser(bundle, shape, dit, limits=LIMITS))
    made = last(spread)
    spread.close()
    assert off(made, wanted) < 1e-5


@pytest.fixture(scope="module")
def adapter(bundle: Bundle, alone: LatentVideo, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One that does something: B is not zero."""
    folder, made = tmp_path_factory.mktemp("adapter"), Adapter(alone.dit, LowRank(rank=2))
    for name, weight in made.requires_grad_(False).named_parameters():
        weight.normal_(std=0.3 if "lora_B" in name else 0.1)
    save_adapter(made, folder)
    about = {"adapter": {"base": bundle.identity, "part": "single_dit", **made.config}}
    return write_bundle(folder, name="cup", version="1", kinds=("adapter",), capabilities=about, provenance={})


def test_an_adapter_is_worn_where_layers_are_split_over_ranks(bundle: Bundle, adapter: Bundle) -> None:
    plain, worn = LatentVideo(bundle), LatentVideo(bundle, "single", LatentDenoiser(bundle, adapter=adapter.path))
    with closing(latent_video_on(bundle, MeshShape(tensor=2), adapter=adapter.path)) as spread:
        made = last(spread)
        assert spread.denoiser.identity == worn.denoiser.identity == {"cache": None, "adapter": adapter.digest}
    assert off(made, last(worn)) < 1e-4 < 1e-3 < off(made, last(plain))


def test_a_cancel_ends_within_a_step_and_a_killed_rank_costs_no_bit(video: LatentVideo) -> None:
    before, told = last(video), []

    def visit() -> None:
        if told:
            raise Canceled

    with pytest.raises(Canceled):
        for _ in video.denoise("a red cup", **ASKED | {"steps": 200}, visit=visit):  # type: ignore[arg-type]
            told.append(1)
    assert len(told) < 20
    steps = video.denoise("a red cup", **ASKED)  # type: ignore[arg-type]
    next(steps)
    kill(video, signal.SIGKILL)
    *_, (_, after) = steps
    assert torch.equal(before, after)


def test_the_watchdog_names_a_rank_that_stands_still(video: LatentVideo) -> None:
    last(video)
    kill(video, signal.SIGSTOP)
    with pytest.raises(RankHangs, match="Behind: rank 1"):
        video.denoiser.group.preflight()  # type: ignore[attr-defined]
    assert last(video).isfinite().all()


def test_a_budget_holds_on_ranks_as_in_one_process(bundle: Bundle, tmp_path: object, capsys: object) -> None:
    out = f"{tmp_path}/out.mp4"
    common = ["generate", "--bundle", str(bundle.path), "-o", out, "--prompt", "a red cup", "--seed", "1", "--json"]
    common += ["--frames", "9", "--steps", "4", "--cache", "0.05"]
    saved, films = [], []
    for more in ([], ["--mesh", "2"]):
        assert command_line.main([*common, *more]) == 0
        saved.append(json.loads(capsys.readouterr().out)["settings"])  # type: ignore[attr-defined]
        films.append(np.stack([frame for _, frame in decode_frames(out)]).astype(int))  # type: ignore[arg-type]
    assert saved[0]["cache"] == saved[1]["cache"] == {"budget": 0.05, "hits": 1, "misses": 3, "work": 0.75}
    assert (saved[0].get("mesh"), saved[1]["mesh"]) == (None, "cfg 2")
    assert np.abs(films[0] - films[1]).mean() < 0.5 < np.abs(films[0] - films[0][::-1]).mean()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--mesh", "data=2"], "Ranks of `data` cannot share one video"),
        (["--mesh", "cfg=2", "--guidance", "1"], "there are no two halves"),
        (["--mesh", "0"], "at least one rank"),
        (["--mesh", "ranks=2"], "A mesh is ranks on axes"),
        (["--cache", "0.05", "--adapter", "cup"], "without an adapter: leave --cache or --adapter out"),
        (["--mesh", "cfg=2", "--cache", "0.05", "--dit", "multimodal"], "calibrated on its Single-DiT"),
    ],
)
def test_what_a_mesh_cannot_do_is_told_in_a_sentence(
    bundle: Bundle, options: list[str], sentence: str, tmp_path: object, capsys: object
) -> None:
    command = ["generate", "--bundle", str(bundle.path), "-o", f"{tmp_path}/out.mp4", "--frames", "9", *options]
    assert command_line.main(command) == 2
    assert sentence in capsys.readouterr().err  # type: ignore[attr-defined]


def test_a_cache_and_an_adapter_at_once_are_refused_in_python_too(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without an adapter: leave --cache or --adapter out"):
        LatentDenoiser(bundle, cache=0.05, adapter=tmp_path / "cup")


def test_a_number_of_ranks_shares_no_halves_where_the_bundle_has_no_guidance(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control is the mesh of the same number above, where the bundle has guidance: cfg 2."""
    shutil.copytree(bundle.path, tmp_path / "plain")
    sampling = bundle.capabilities["sampling"] | {"guidance": 1.0}
    plain = write_bundle(
        tmp_path / "plain",
        name="plain",
        version="1",
        kinds=bundle.kinds,
        capabilities=bundle.capabilities | {"sampling": sampling},
        provenance=bundle.provenance,
    )
    command = ["generate", "--bundle", str(plain.path), "-o", str(tmp_path / "out.mp4"), "--prompt", "a red cup"]
    assert command_line.main([*command, "--frames", "9", "--steps", "2", "--mesh", "2", "--json"]) == 0
    assert "cfg" not in json.loads(capsys.readouterr().out)["settings"]["mesh"]
