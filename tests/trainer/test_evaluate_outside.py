"""Judges of others, with stub weights: they read their files, and what is not there is told to be missing."""

import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from trainer.evaluate.arcface import IResNet, load_arcface
from trainer.evaluate.cases import OURS, make_cases
from trainer.evaluate.outside import DIMENSIONS, ArcFace, load_judges, outside_figures


@pytest.fixture(scope="module")
def cases():
    return make_cases(2, 64, ("1:1",))


@pytest.fixture
def clip_folder(tmp_path) -> Path:
    """A CLIP of one layer and a few words."""
    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 8, "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": 1}
    vision = {**small, "image_size": 16, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(tmp_path / "clip")
    words = {"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3, "the": 4, "camera": 5}
    plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="</s>", unk_token="<unk>").save_pretrained(
        tmp_path / "clip"
    )
    return tmp_path / "clip"


def test_clip_likens_films_to_photo_and_prompt(cases, clip_folder):
    judges = load_judges(clip_folder, None, None)
    still = [(case, np.repeat(case.photo[None], 17, 0)) for case in cases]
    noise = [(case, np.random.default_rng(0).integers(0, 256, film.shape, dtype=np.uint8)) for case, film in still]
    same, other = ({one.name: one for one in outside_figures(judges, films)} for films in (still, noise))
    assert same["CLIP-I"].values[OURS] == pytest.approx(1, abs=1e-5)
    assert other["CLIP-I"].values[OURS] < 0.999
    assert -1 <= same["CLIP-T"].values[OURS] <= 1
    assert same["ArcFace"].ours is None and "Not measured" in same["ArcFace"].about
    assert "CLIP" not in same


def test_arcface_reads_the_names_that_others_publish(cases, tmp_path):
    torch.manual_seed(0)
    model = IResNet((1, 1, 1, 1), 8).eval()
    save_file(model.state_dict(), tmp_path / "face.safetensors")
    names = set(model.state_dict())
    assert {"layer1.0.downsample.0.weight", "layer4.0.prelu.weight", "features.running_mean", "fc.bias"} <= names
    assert torch.equal(
        load_arcface(tmp_path / "face.safetensors")(torch.ones(1, 3, 112, 112)), model(torch.ones(1, 3, 112, 112))
    )
    judge = ArcFace(tmp_path / "face.safetensors")
    of_kind = {case.world.scene.product.kind == "person": [(case, case.exact)] for case in cases}
    (figure,) = judge.figures(of_kind[True])
    assert figure.scenes == 1 and figure.values[OURS] is not None and figure.values[OURS] <= 1
    assert "no scene of this run shows a face" in judge.figures(of_kind[False])[0].about
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no IResNet"):
        load_arcface(tmp_path / "other.safetensors")


def stub_program(path: Path, body: str) -> str:
    path.write_text(f"#!/usr/bin/env python3\nimport json, pathlib, sys\nargs = sys.argv\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_vbench_is_run_as_a_program_and_its_failure_is_told(cases, tmp_path):
    films = [(case, case.exact) for case in cases]
    good = stub_program(
        tmp_path / "vbench",
        "assert len(list(pathlib.Path(args[args.index('--videos_path') + 1]).glob('*.mp4'))) == 2\n"
        "out = pathlib.Path(args[args.index('--output_path') + 1]); out.mkdir()\n"
        "names = args[args.index('--dimension') + 1:]\n"
        "(out / 'x_eval_results.json').write_text(json.dumps({name: [0.5, []] for name in names}))",
    )
    found = {one.name: one for one in outside_figures(load_judges(None, None, good), films)}
    assert [found[f"VBench {name}"].ours for name in DIMENSIONS] == [0.5] * len(DIMENSIONS)
    bad = stub_program(tmp_path / "broken", "sys.exit('no CUDA here')")
    with pytest.raises(ValueError, match="vbench did not judge the films: no CUDA here"):
        outside_figures(load_judges(None, None, bad), films)
