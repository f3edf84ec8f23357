"""Imported pipelines make the very frames that diffusers makes, and serve our requests as our own models do."""

import shutil
from unittest import mock

import cv2
import numpy as np
import pytest
import torch
from diffusers import LTXImageToVideoPipeline, WanImageToVideoPipeline
from PIL import Image

from engine.events import Canceled, Progress
from engine.media.video import decode_frames, probe_video
from engine.pretrained.families import Native
from engine.pretrained.fitting import SLOWEST, covered, fitted, plan_native
from engine.pretrained.generate import Ask, PretrainedEngine, _framed
from engine.pretrained.importing import import_directory
from engine.requests import ImageToVideo, TextToVideo
from tests.engine.pretrained.conftest import SMALL
from tests.engine.pretrained.tiny import PIPELINES

FULL = pytest.mark.full
PHOTO = np.random.default_rng(5).integers(0, 256, (64, 64, 3), dtype=np.uint8)
WAN = Native(480 * 832, 81, 16, 16, 4)


def ask(side=32, **more):
    usual = {"prompt": "a red cup", "frames": 9, "steps": 2, "guidance": 4.0, "seed": 7}
    return Ask(**usual | {"width": side, "height": side} | more)


def side_of(name):
    return 32 if name.startswith("wan") else 64


def of_diffusers(pipe, side, **more):
    """What diffusers' pipeline makes of the same. Its two Wan pipelines need ftfy, which leaves plain text alone."""
    untouched = mock.Mock(fix_text=lambda text: text)
    with (
        mock.patch("diffusers.pipelines.wan.pipeline_wan_i2v.ftfy", untouched, create=True),
        mock.patch("diffusers.pipelines.wan.pipeline_wan_vace.ftfy", untouched, create=True),
    ):
        made = pipe(
            prompt="a red cup", negative_prompt="", width=side, height=side, num_frames=9, num_inference_steps=2,
            guidance_scale=4.0, generator=torch.Generator().manual_seed(7), output_type="np", **more,
        )  # fmt: skip
    return np.rint(np.clip(made.frames[0], 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    "name",
    [
        "wan",
        pytest.param("ltx", marks=FULL),
        pytest.param("hunyuan", marks=FULL),
        pytest.param("cogvideox", marks=FULL),
    ],
)
def test_words_become_the_frames_that_diffusers_makes(loaded, peer, name):
    side = side_of(name)
    ours = loaded(name).sample(ask(side), "text_to_video")
    assert ours.shape == (9, side, side, 3)
    assert ours.std() > 5
    assert np.array_equal(ours, of_diffusers(peer(name), side))
    assert not np.array_equal(ours, loaded(name).sample(ask(side, seed=8), "text_to_video"))


@FULL
def test_weights_that_are_read_where_they_lie_in_their_file_change_roundings_only(loaded, peer):
    """Those of HunyuanVideo's file lie on no multiples of 16 bytes: laid so, diffusers' own change its frames alike."""
    theirs = of_diffusers(peer("hunyuan"), 64)
    as_read = PretrainedEngine.load(loaded("hunyuan").bundle)
    assert any(weight.data_ptr() % 16 for weight in as_read.denoisers[0].parameters())
    made = as_read.sample(ask(64), "text_to_video")
    assert np.array_equal(made, of_diffusers(as_read.pipelines["text_to_video"], 64))
    apart = np.abs(made.astype(int) - theirs)
    assert apart.max() <= 1 and (apart > 0).mean() < 1e-3
    other = np.abs(loaded("hunyuan").sample(ask(64, seed=8), "text_to_video").astype(int) - theirs)
    assert other.max() > 1 and (other > 0).mean() > 0.5


@pytest.mark.parametrize(
    "name", [name if name == "cogvideox" else pytest.param(name, marks=FULL) for name in PIPELINES]
)
def test_every_pipeline_runs_in_the_type_of_devices_other_than_the_cpu(loaded, name):
    engine = PretrainedEngine.load(loaded(name).bundle, dtype=torch.bfloat16)
    assert {engine.denoisers[0].dtype} == {torch.bfloat16}
    side = side_of(name)
    for kind in engine.pipelines:
        photo = PHOTO[:side, :side] if kind == "image_to_video" else None
        made = engine.sample(ask(side, image=photo), kind).astype(int)
        exact, other = (loaded(name).sample(ask(side, image=photo, seed=seed), kind) for seed in (7, 8))
        assert np.abs(made - exact).mean() < np.abs(made - other).mean() / 2


def test_sharded_weights_are_read(peer, directory, loaded, tmp_path):
    source = shutil.copytree(directory("wan"), tmp_path / "sharded")
    shutil.rmtree(source / "transformer")
    peer("wan").transformer.save_pretrained(source / "transformer", max_shard_size="10KB")
    assert len(list((source / "transformer").glob("*-of-*.safetensors"))) > 1
    engine = PretrainedEngine.load(import_directory(source, tmp_path / "bundle", native=SMALL))
    for name, weight in loaded("wan").denoisers[0].state_dict().items():
        assert torch.equal(engine.denoisers[0].state_dict()[name], weight)


def test_high_and_low_noise_have_their_own_transformers(loaded, peer):
    engine = loaded("wan_a14b")
    ours = engine.sample(ask(), "text_to_video")
    assert np.array_equal(ours, of_diffusers(peer("wan_a14b"), 32))
    ran = []
    hooks = [
        model.register_forward_pre_hook(lambda *_, number=number: ran.append(number))
        for number, model in enumerate(engine.denoisers)
    ]
    engine.sample(ask(guidance=1.0), "text_to_video")
    for hook in hooks:
        hook.remove()
    assert ran == [0, 1]


SIBLINGS = {"wan_ti2v": WanImageToVideoPipeline, "ltx": LTXImageToVideoPipeline}


@pytest.mark.parametrize(
    "name",
    [
        "wan_i2v",
        pytest.param("wan_ti2v", marks=FULL),
        pytest.param("ltx", marks=FULL),
        pytest.param("cogvideox_i2v", marks=FULL),
    ],
)
def test_a_photo_becomes_the_frames_that_diffusers_makes(loaded, peer, name):
    theirs = peer(name)
    if name in SIBLINGS:
        settings = {"expand_timesteps": True} if name == "wan_ti2v" else {}
        theirs = SIBLINGS[name](**theirs.components, **settings)
    side = side_of(name)
    photo = PHOTO[:side, :side]
    ours = loaded(name).sample(ask(side, image=photo), "image_to_video")
    assert np.array_equal(ours, of_diffusers(theirs, side, image=Image.fromarray(photo)))
    assert not np.array_equal(ours, loaded(name).sample(ask(side, image=255 - photo), "image_to_video"))


@FULL
def test_vace_paints_what_the_mask_says(loaded, peer):
    video, mask = np.full((9, 32, 32, 3), 90, np.uint8), np.zeros((9, 32, 32), np.uint8)
    mask[:, 8:24, 8:24] = 255
    shown = {"video": [Image.fromarray(f) for f in video], "mask": [Image.fromarray(m, mode="L") for m in mask]}
    ours = loaded("wan_vace").sample(ask(video=video, mask=mask), "text_to_video")
    assert np.array_equal(ours, of_diffusers(peer("wan_vace"), 32, **shown))
    first = loaded("wan_vace").sample(ask(image=PHOTO[:32, :32]), "image_to_video")
    assert first.shape == (9, 32, 32, 3)
    with pytest.raises(ValueError, match="a video and a mask"):
        loaded("wan_vace").sample(ask(video=video[:5], mask=mask), "text_to_video")


# --- our requests ---


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(PHOTO).resize((400, 300)).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def test_a_photo_becomes_a_video(loaded, photo, tmp_path):
    request = ImageToVideo(
        format="1:1", seconds=3, fps=24, short_side=540, seed=1, steps=4, camera={"move": "dolly-in"}
    )
    events = []
    made = loaded("wan_i2v").generate(request, photo, tmp_path / "out.mp4", on_event=events.append)
    info = probe_video(made.path)
    assert (info.width, info.height, info.frames, info.codec, info.pixel_format) == (540, 540, 72, "h264", "yuv420p")
    assert info.faststart
    steps = [e for e in events if isinstance(e, Progress) and e.stage == "denoise"]
    assert [e.step for e in steps] == [0, 1, 2, 3, 4]
    assert [e.fraction for e in steps] == [0.01, 0.245, 0.48, 0.715, 0.95]  # nearly all of the time
    assert made.settings["native"] == {"width": 32, "height": 32, "frames": 13, "fps": 4}
    assert made.settings["understood_prompt"] == "The camera moves closer."
    assert "13 frames of 32x32" in next(n.message for n in made.notices if n.code == "native_size")
    assert made.model == loaded("wan_i2v").bundle.identity


@pytest.mark.parametrize("words", [10, 600])
def test_controls_stand_before_a_prompt_whose_end_is_not_read(loaded, photo, tmp_path, words):
    """Wan reads 512 tokens, here words: so the controls are read in any case, and the cut is told."""
    asked = {"prompt": "a " * words, "camera": {"move": "dolly-in"}, "subject": {"motion": "float"}}
    request = ImageToVideo(format="1:1", seconds=3, short_side=540, seed=1, steps=4, **asked)
    made = loaded("wan_i2v").generate(request, photo, tmp_path / "out.mp4")
    assert made.settings["understood_prompt"].startswith("The camera moves closer. The product floats gently. a a")
    assert ("prompt_cut" in [notice.code for notice in made.notices]) == (words == 600)


def test_words_become_a_video_whose_frames_are_the_models(loaded, tmp_path):
    engine = loaded("wan")
    request = TextToVideo(format="1:1", seconds=1, short_side=540, seed=1, steps=4, prompt="a red cup")
    made = engine.generate(request, None, tmp_path / "out.mp4")
    native = engine.sample(ask(prompt="a red cup.", frames=5, steps=4, guidance=5.0, seed=1), "text_to_video")
    shown = [frame for _, frame in decode_frames(made.path)]
    assert made.settings["native"]["frames"] == 5
    assert np.abs(shown[12].astype(int) - covered(native[2], (540, 540))).mean() < 6  # 12 / 24 s is 2 / 4 s
    assert np.abs(shown[12].astype(int) - covered(native[4], (540, 540))).mean() > 6


@pytest.mark.parametrize(("said", "steps"), [({}, 50), ({"steps": 12}, 12)])
def test_steps_are_the_models_own_unless_they_are_chosen(loaded, said, steps):
    engine = loaded("wan")
    request = TextToVideo(prompt="a cup", seconds=1, **said)
    plan = plan_native(engine.native, request.format, request.size, request.frames, request.fps)
    assert engine._ask(request, plan, 1, None).steps == steps


def test_cancel_ends_between_two_steps_and_leaves_nothing(loaded, tmp_path):
    seen = []
    with pytest.raises(Canceled):
        loaded("wan").generate(
            TextToVideo(prompt="a cup", seconds=2, steps=4, seed=1),
            None,
            tmp_path / "out.mp4",
            on_event=lambda e: seen.append(e.step) if getattr(e, "stage", "") == "denoise" else None,
            is_canceled=lambda: len(seen) > 2,
        )
    assert seen == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


def test_what_a_model_does_not_do_is_said(loaded, photo, tmp_path):
    with pytest.raises(ValueError, match="does not serve image_to_video"):
        loaded("wan").generate(ImageToVideo(seconds=3), photo, tmp_path / "out.mp4")
    with pytest.raises(ValueError, match="at most 5\\.0 seconds"):
        loaded("wan").generate(TextToVideo(prompt="a cup", seconds=9), None, tmp_path / "out.mp4")
    with pytest.raises(ValueError, match="VACE"):
        loaded("wan").sample(ask(video=np.zeros((9, 32, 32, 3), np.uint8)), "text_to_video")


# --- from what is asked to what is native, and back ---


@pytest.mark.parametrize(
    ("format", "size", "native"),
    [("9:16", (1080, 1920), (480, 848)), ("16:9", (1920, 1080), (848, 480)), ("1:1", (1080, 1080), (624, 624))],
)
def test_five_seconds_are_81_frames_of_wan(format, size, native):
    plan = plan_native(WAN, format, size, 120, 24)
    assert (plan.width, plan.height) == native
    assert plan.frames == 81
    assert plan.pace == pytest.approx(16 / 24)


def test_a_little_more_than_the_longest_is_shown_slower_and_told():
    plan = plan_native(WAN, "1:1", (1080, 1080), 144, 24)
    assert 1 < 16 / 24 / plan.pace < SLOWEST
    assert [notice.code for notice in plan.notices] == ["native_size", "slowed"]
    assert plan.pace * 143 == pytest.approx(80)


def test_frames_between_are_blends_and_whole_ones_are_the_models_own():
    frames = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (0, 100, 200)])
    plan = plan_native(Native(256, 17, 12, 16, 1), "1:1", (16, 16), 5, 24)
    assert [int(frame.mean()) for frame in fitted(frames, plan, (16, 16), 5)] == [0, 50, 100, 150, 200]


def test_what_covers_is_cut_evenly():
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 255
    assert covered(picture, (20, 20)).min() == 255


@pytest.mark.parametrize("format", ["9:16", "16:9", "1:1"])
@pytest.mark.parametrize("native", [(720, 480), (480, 848)])
def test_a_product_keeps_its_form_in_a_model_of_another_form(format, native, tmp_path):
    picture = cv2.circle(np.full((900, 900, 3), 255, np.uint8), (450, 450), 200, (200, 0, 0), -1)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    request = ImageToVideo(format=format, short_side=540)
    frame, _ = _framed(request, tmp_path / "photo.png", None, native)
    assert frame.shape == (*native[::-1], 3)
    disc = covered(frame, request.size)[..., 0] < 128
    width, height = disc.any(0).sum(), disc.any(1).sum()
    assert width > 100 and width == pytest.approx(height, rel=0.015)
