"""The tiny_video run end to end at smoke size: from the film bank to a bundle, and films made by it."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datapipe.worlds.clip import draw_picture
from datapipe.worlds.film import caption, film, make_films, shown_words
from datapipe.worlds.motion import Motion
from datapipe.worlds.scene import sample_scene
from engine.__main__ import main as make
from engine.bundles import SHIPPED, BundleError, read_bundle, write_bundle
from engine.generate import Engine
from engine.latent_video import LatentVideo
from trainer.__main__ import main
from trainer.claim import alone
from trainer.evaluate.films import prepare
from trainer.evaluate.plan import plan_clips
from trainer.evaluate.scenes import make_world
from trainer.objectives.video_flow import known_mask
from trainer.objectives.video_vae import moments, reconstructed, whole
from trainer.parallel.policy import Memory
from trainer.ranks import Ranks
from trainer.recipes.tiny_video import tiny_video, tiny_video_smoke
from trainer.record import Record
from trainer.tiny_video import make_films_bank, make_vae, run_tiny_video, video_vae_run

CONFIG = tiny_video_smoke()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "run"
    assert run_tiny_video(CONFIG, folder)
    return folder


@pytest.fixture(scope="module")
def bundle(run_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "tiny"
    assert main(["export", "tiny_video_smoke", "--out", str(run_folder), "--bundle", str(out), "--version", "0.1"]) == 0
    return out


def test_a_run_over_a_layout_is_exported_by_one_process(run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "run")
    spread = replace(CONFIG, layout=replace(CONFIG.layout, shard=2))
    Record(tmp_path / "run").begin("tiny_video_smoke", spread, "torchrun", ["layout.shard=2"])
    words = ["export", "tiny_video_smoke", "--out", str(tmp_path / "run"), "--bundle", str(tmp_path / "bundle")]
    assert main(words) == 0
    provenance = read_bundle(tmp_path / "bundle").provenance
    assert provenance["config"]["layout"]["shard"] == 2 and "--set layout.shard=2" in provenance["command"]


def test_the_command_in_a_card_sets_what_holds_and_no_more(run_folder, tmp_path):
    """A `run` begins at the defaults again, whatever earlier ones were given; a `resume` adds."""
    shutil.copytree(run_folder, tmp_path / "run")
    record = Record(tmp_path / "run")
    for verb, setting in (("run", "dit_loop.log_every=7"), ("run", "text_loop.log_every=8"), ("resume", "captions=9")):
        record.begin("tiny_video_smoke", CONFIG, f"python -m trainer {verb} x --set {setting}", [setting])
    words = ["export", "tiny_video_smoke", "--out", str(tmp_path / "run"), "--bundle", str(tmp_path / "bundle")]
    assert main([*words, "--set", "sampling.guidance=2"]) == 0
    told = read_bundle(tmp_path / "bundle").provenance["command"].split(" && ")[0]
    assert told.endswith("--out RUN --set text_loop.log_every=8 --set captions=9 --set sampling.guidance=2")


@pytest.mark.parametrize("dit", ["single", "multimodal"])
def test_a_bundle_of_the_run_makes_a_film_of_any_size(bundle, dit):
    model = LatentVideo.load(bundle, dit)
    made = list(model.denoise("a red cup, pan left", frames=9, height=48, width=32, steps=2, seed=1))
    assert len(made) == 2
    assert model.decode(made[-1][1]).shape == (9, 48, 32, 3)


def test_the_same_seed_makes_the_same_film_and_another_another(bundle):
    model = LatentVideo.load(bundle)
    one, same, other = ([*model.denoise("a cup", height=32, width=32, steps=2, seed=seed)][-1][1] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_what_is_known_reaches_the_model_and_what_is_hidden_does_not(bundle):
    model, rng = LatentVideo.load(bundle), np.random.default_rng(0)
    frames = rng.integers(0, 256, (17, 32, 32, 3), dtype=np.uint8)
    hidden = np.zeros((32, 32), bool)
    hidden[9:20, 9:20] = True  # touches the cells 1 and 2 of 4, both ways
    condition = model.condition(frames, hidden, (5, 4, 4))
    mask = condition[0, -1, 0]
    assert mask.sum() == 12 and mask[1:3, 1:3].sum() == 0
    changed = frames.copy()
    changed[:, hidden] = 7
    assert torch.equal(model.condition(changed, hidden, (5, 4, 4)), condition)
    changed[:, ~hidden] = 7  # the control: what is not hidden does reach it
    assert not torch.equal(model.condition(changed, hidden, (5, 4, 4)), condition)


@pytest.mark.parametrize("side", [20, 100, 1024])
def test_nothing_hidden_is_too_thin_to_be_hidden_from_the_model(bundle, side):
    """A line of one pixel in frames of another size than the model's, of which it is a part of a pixel or more."""
    model, rng = LatentVideo.load(bundle), np.random.default_rng(0)
    frames = rng.integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    hidden = np.zeros((side, side), bool)
    hidden[:, side // 2 + 1] = True
    condition = model.condition(frames, hidden, (5, 4, 4))
    assert condition[0, -1, 0].sum() in (8, 12)
    frames[:, hidden] = 255 - frames[:, hidden]
    assert torch.equal(model.condition(frames, hidden, (5, 4, 4)), condition)


def test_the_first_latent_frame_is_that_of_the_photo_alone(bundle):
    model = LatentVideo.load(bundle)
    frames = np.random.default_rng(0).integers(0, 256, (17, 32, 32, 3), dtype=np.uint8)
    torch.testing.assert_close(model.encode(frames)[:, :, :1], model.encode(frames[:1]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"frames": 16}, "1 \\+ 4n"),
        ({"height": 60}, "multiples of 8"),
        ({"known": np.zeros((3, 32, 32, 3), np.uint8)}, "first 1 \\+ 4n"),
        ({"known": np.zeros((21, 32, 32, 3), np.uint8)}, "at most 17"),
    ],
)
def test_what_the_model_cannot_make_is_refused(bundle, asked, says):
    with pytest.raises(ValueError, match=says):
        next(LatentVideo.load(bundle).denoise("a cup", **{"height": 32, "width": 32, **asked}))


def test_a_bundle_without_its_statistics_is_refused(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "b")
    model = LatentVideo.load(tmp_path / "b").bundle
    (tmp_path / "b" / "bundle.json").unlink()
    write_bundle(
        tmp_path / "b",
        name="x",
        version="0",
        kinds=model.kinds,
        capabilities={**model.capabilities, "latents": {"mean": [0.0], "std": [1.0]}},
        provenance={},
    )
    with pytest.raises(BundleError, match="needs 4 means"):
        LatentVideo.load(tmp_path / "b")


def test_a_run_that_was_paused_ends_with_the_same_weights(run_folder, tmp_path):
    shutil.copytree(run_folder / "bank", tmp_path / "bank")
    half = replace(CONFIG, vae_loop=replace(CONFIG.vae_loop, steps=1))
    assert run_tiny_video(half, tmp_path, ("video_vae",))
    assert run_tiny_video(half, tmp_path, ("video_vae",))  # a finished stage is left as it is
    assert video_vae_run(half, tmp_path).step == 1
    assert run_tiny_video(CONFIG, tmp_path, ("video_vae",))
    paused, whole_run = (video_vae_run(CONFIG, folder).net.state_dict() for folder in (tmp_path, run_folder))
    assert all(torch.equal(paused[name], value) for name, value in whole_run.items())
    untrained = make_vae(CONFIG).state_dict()  # the control
    assert not all(torch.equal(paused[f"vae.{name}"], value) for name, value in untrained.items())


@pytest.mark.parametrize(
    ("stage", "loop", "noted"), [("text", "text_loop", "text"), ("video_vae", "vae_loop", "video_vae")]
)
def test_a_part_that_transformers_have_learnt_on_is_not_trained_further(
    run_folder, tmp_path, capsys, stage, loop, noted
):
    shutil.copytree(run_folder, tmp_path / "run")
    kept = (tmp_path / "run" / stage / "checkpoint.pt").read_bytes()
    assert main(["run", "tiny_video_smoke", "--out", str(tmp_path / "run"), "--set", f"{loop}.steps=4"]) == 2
    assert f"data.{noted}_steps is 2, asked for 4" in capsys.readouterr().err
    assert (tmp_path / "run" / stage / "checkpoint.pt").read_bytes() == kept, "it is told before anything is trained"


def test_latents_are_not_begun_on_an_unfinished_video_vae(run_folder, tmp_path):
    shutil.copytree(run_folder / "bank", tmp_path / "bank")
    shutil.copytree(run_folder / "video_vae", tmp_path / "video_vae")
    longer = replace(CONFIG, vae_loop=replace(CONFIG.vae_loop, steps=3))
    with pytest.raises(ValueError, match=r"has 2 of 3 steps\. Run the stage `video_vae` to its end"):
        run_tiny_video(longer, tmp_path, ("latents",))
    assert not (tmp_path / "latents").exists()


@pytest.mark.parametrize(
    ("stage", "loop", "next_one"), [("video_vae", "vae_loop", "latents"), ("text", "text_loop", "single_dit")]
)
def test_a_stage_of_no_steps_that_began_at_nothing_is_not_learnt_on(run_folder, tmp_path, stage, loop, next_one):
    shutil.copytree(run_folder, tmp_path / "run")
    for part in (stage, next_one):
        shutil.rmtree(tmp_path / "run" / part)
    none = replace(CONFIG, **{loop: replace(getattr(CONFIG, loop), steps=0)})
    with pytest.raises(ValueError, match=rf"has 0 of 0 steps\. Run the stage `{stage}` to its end"):
        run_tiny_video(none, tmp_path / "run", (next_one,))


def test_latents_of_another_video_vae_are_neither_learnt_from_nor_exported(run_folder, tmp_path, capsys):
    """The transformers' checkpoints are as earlier versions wrote them, which did not note what they learnt on."""
    shutil.copytree(run_folder, tmp_path / "run")
    for name in ("single_dit", "multimodal_dit"):
        path = tmp_path / "run" / name / "checkpoint.pt"
        state = torch.load(path, weights_only=True)
        assert state["recipe"]["data"].pop("latents_of").startswith("sha256:")
        for noted in ("text_steps", "text_of", "video_vae_steps"):
            del state["recipe"]["data"][noted]
        torch.save(state, path)
    words = ["export", "tiny_video_smoke", "--out", str(tmp_path / "run"), "--bundle"]
    assert main([*words, str(tmp_path / "whole")]) == 0, "the control: they stay readable"
    longer = replace(CONFIG, vae_loop=replace(CONFIG.vae_loop, steps=3))
    assert run_tiny_video(longer, tmp_path / "run", ("video_vae",))
    assert main([*words, str(tmp_path / "mixed"), "--set", "vae_loop.steps=3"]) == 2
    assert "are of another video VAE" in capsys.readouterr().err
    assert not (tmp_path / "mixed").exists()
    shutil.rmtree(tmp_path / "run" / "single_dit")
    with pytest.raises(ValueError, match="are of another video VAE"):
        run_tiny_video(longer, tmp_path / "run", ("single_dit",))


def test_a_text_encoder_of_as_many_steps_is_another_one_too(run_folder, tmp_path, capsys):
    shutil.copytree(run_folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "text")
    other = replace(CONFIG, text_loop=replace(CONFIG.text_loop, learning_rate=0.01))
    assert run_tiny_video(other, tmp_path / "run", ("text",))
    for stage in ("single_dit", "multimodal_dit"):
        with pytest.raises(ValueError, match=r"data\.text_of is sha256"):
            run_tiny_video(other, tmp_path / "run", (stage,))
    words = [
        "--out",
        str(tmp_path / "run"),
        "--bundle",
        str(tmp_path / "mixed"),
        "--set",
        "text_loop.learning_rate=0.01",
    ]
    assert main(["export", "tiny_video_smoke", *words]) == 2
    assert "data.text_of is sha256" in capsys.readouterr().err
    assert not (tmp_path / "mixed").exists()


def test_the_transformers_are_trained_side_by_side(run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "single_dit")
    with alone(tmp_path / "run" / "multimodal_dit", "trains in"):
        assert run_tiny_video(CONFIG, tmp_path / "run", ("single_dit",))
    with alone(tmp_path / "run" / "single_dit", "trains in"), pytest.raises(ValueError, match="Another process trains"):
        longer = replace(CONFIG, dit_loop=replace(CONFIG.dit_loop, steps=3))
        run_tiny_video(longer, tmp_path / "run", ("single_dit",))


def films_made(folder: str) -> bool:
    """By a rank whose deadline is over, if it is the first, and else far."""
    return make_films_bank(CONFIG, Path(folder), 0.0 if Ranks().rank == 0 else math.inf)


def test_ranks_agree_on_a_pause_whatever_their_deadlines(ranks, tmp_path):
    assert ranks(2).run(films_made, str(tmp_path)) == [False, False]
    assert not list((tmp_path / "bank" / "chunks").iterdir()), "nobody goes on with what the first rank has paused"


def refused(folder: str) -> str:
    """What a run over the ranks is told that is to keep fewer activations, and names no layout."""
    try:
        return str(run_tiny_video(replace(CONFIG, memory=Memory("full")), Path(folder)))
    except ValueError as error:
        return str(error)


def test_ranks_without_a_layout_are_refused_at_once_where_activations_are_not_kept(ranks, tmp_path):
    assert all("is for 1 ranks, and there are 2" in told for told in ranks(2).run(refused, str(tmp_path)))
    assert not list(tmp_path.iterdir())


def test_stages_out_of_order_say_what_to_run_first(tmp_path):
    for stage, says in (("text", "bank"), ("video_vae", "bank"), ("latents", "bank"), ("single_dit", "latents")):
        with pytest.raises(ValueError, match=f"Run the stage `{says}`"):
            run_tiny_video(CONFIG, tmp_path, (stage,))


def test_a_stage_of_another_recipe_is_refused(tmp_path, capsys):
    assert main(["run", "tiny_video_smoke", "--out", str(tmp_path), "--stage", "motion_vae"]) == 2
    assert "has no stage motion_vae" in capsys.readouterr().err


def test_all_frames_at_once_are_encoded_and_decoded_as_in_chunks():
    torch.manual_seed(0)
    vae = make_vae(CONFIG)
    video = torch.rand(1, 3, 17, 32, 32) * 2 - 1
    with torch.no_grad():
        with whole(vae):
            mean, _ = moments(vae, video)
            made = reconstructed(vae, mean)
        chunked = vae.encode(video).latent_dist.mode()
        torch.testing.assert_close(mean, chunked, atol=1e-4, rtol=0)
        torch.testing.assert_close(made.clamp(-1, 1), vae.decode(chunked).sample, atol=1e-4, rtol=0)
        with pytest.raises(AssertionError):  # the control: without it time is not sampled at all
            torch.testing.assert_close(moments(vae, video)[0], chunked, atol=1e-4, rtol=0)


def test_masks_of_the_tasks():
    tasks = ["text_to_video", "image_to_video", "continuation", "inpainting"]
    mask = known_mask(tasks, np.array([[1, 2, 3, 4]] * 4), (5, 4, 4))
    assert [int(row.sum()) for row in mask] == [0, 16, 32, 60]
    assert not mask[3, 0, :, 1:3, 2:4].any()


def test_a_film_begins_with_the_photo_and_shows_what_was_hidden():
    scene = sample_scene(np.random.default_rng(5), 1.0)
    picture, layers = draw_picture(scene, 64, 64)
    made = film(scene, layers, Motion("static", 0.5, "float", 1.0, sway=0.0), 64, 64)
    assert np.array_equal(made[0], picture.rgb)
    lifted = made[4].astype(int)  # a quarter of a period: the product is highest
    left = (picture.mask > 250) & (np.abs(lifted - picture.rgb).sum(-1) > 60)
    revealed = left & (np.abs(lifted - picture.plate).sum(-1) < 12)
    assert revealed.sum() > 10
    assert np.abs(picture.rgb.astype(int) - picture.plate).sum(-1)[revealed].min() > 40, (
        "the photo itself shows none of it"
    )


def test_captions_say_what_they_are_labelled_with():
    scene, films = make_films(3, 32, 32, 2)
    words = shown_words(scene, films[0][1][0])
    for seed in range(40):
        prompt, said = caption(films[0][0], words, np.random.default_rng(seed))
        assert all(said[key] in prompt.lower() for key in words if key in said)
        assert said.get("camera", films[0][0].camera) == films[0][0].camera


def test_the_shipped_size_is_a_few_million_parameters():
    assert 1e6 < sum(p.numel() for p in make_vae(tiny_video()).parameters()) < 5e6


def test_a_calibrated_bundle_is_the_bundle_with_its_caches_measured(bundle, tmp_path, capsys):
    out, film = tmp_path / "calibrated", tmp_path / "film.mp4"
    asked = ["calibrate", str(bundle), "--out", str(out), "--steps", "4", "--requests", "1"]
    assert main(asked) == 0
    assert main(asked) == 2
    assert "is there already" in capsys.readouterr().err
    made = ["generate", "-o", str(film), "--bundle", str(out), "--cache", "10", "--seed", "1", "--json"]
    assert make([*made, "--steps", "4"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["cache"]["work"] < 1
    assert make([*made, "--steps", "5"]) == 2
    assert "calibrated for 4 steps" in capsys.readouterr().err
    assert make([*made, "--steps", "4", "--dit", "multimodal"]) == 2
    assert "calibrated on its Single-DiT" in capsys.readouterr().err


def test_what_has_no_transformer_of_its_own_is_not_calibrated(bundle, tmp_path, capsys):
    shutil.copytree(bundle, tmp_path / "b")
    manifest = json.loads((tmp_path / "b" / "bundle.json").read_text())
    for name in ("single_dit.json", "single_dit.safetensors"):
        (tmp_path / "b" / name).unlink()
        del manifest["files"][name]
    (tmp_path / "b" / "bundle.json").write_text(json.dumps(manifest))
    assert main(["calibrate", str(tmp_path / "b"), "--out", str(tmp_path / "new"), "--steps", "4"]) == 2
    assert "has no Single-DiT" in capsys.readouterr().err


def test_a_bundle_that_moves_a_photo_is_calibrated_too(tmp_path):
    out = tmp_path / "calibrated"
    assert main(["calibrate", str(SHIPPED), "--out", str(out), "--steps", "4", "--requests", "1"]) == 0
    clip = plan_clips(5, large=False)[-1]
    prepared = prepare(make_world(clip.index, clip.format, 160), clip.request())
    made, work = {}, {}
    for budget in (0.0, 10.0):
        engine = Engine.load(out, cache=budget)
        *_, made[budget] = engine.local.denoise([engine.row(clip.request(), prepared, 1)], 4)
        work[budget] = engine.denoiser.saved.get("work", 1.0)
    assert work[10.0] < work[0.0] == 1.0
    assert not torch.equal(made[0.0], made[10.0]), "the control: a cache is no exact computation"
