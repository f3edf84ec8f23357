"""Every field of a request is bounded, and the error names the field."""

import pytest
from pydantic import ValidationError

from engine.conditions import CAMERA_IDS, GRIDS, SUBJECT_IDS
from engine.requests import FORMATS, CameraMove, ImageToVideo, SubjectMotion, output_size


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seconds", float("nan")),
        ("seconds", float("inf")),
        ("seconds", 2.9),
        ("seconds", 15.1),
        ("fps", 23),
        ("short_side", 4320),
        ("format", "2:1"),
        ("camera", {"move": "teleport"}),
        ("camera", {"move": "pan-left", "strength": float("nan")}),
        ("camera", {"move": "pan-left", "strength": 1.01}),
        ("subject", {"motion": "explode"}),
        ("prompt", "x" * 2001),
        ("seed", -1),
        ("seed", 2**31),
        ("steps", 3),
        ("steps", 51),
        ("nonsense", 1),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(field, value):
    with pytest.raises(ValidationError) as caught:
        ImageToVideo.model_validate({field: value})
    assert caught.value.errors()[0]["loc"][0] == field


def test_every_script_may_be_typed():
    prompt = "Pan left 🎬 تحريك الكاميرا לאט 慢慢地"
    assert ImageToVideo(prompt=prompt).prompt == prompt


def test_sizes_are_even_and_exact():
    assert [output_size(format) for format in FORMATS] == [(1080, 1920), (1080, 1080), (1080, 1350), (1920, 1080)]
    assert all(side % 2 == 0 for format in FORMATS for short in (540, 720, 1080) for side in output_size(format, short))


def test_the_models_know_every_choice_of_the_request():
    assert set(CameraMove.__args__) == set(CAMERA_IDS)
    assert set(SubjectMotion.__args__) == set(SUBJECT_IDS)
    assert set(FORMATS) == set(GRIDS)
