"""What is known of each family of pretrained video models, as one table. Torch-free.

Sizes, lengths and rates are those that the models' own cards name; a checkpoint that was trained for others says so at
import. Sources: the pipelines of diffusers 0.42 (classes, multiples) and the model cards of Wan 2.1 and 2.2, LTX-Video,
HunyuanVideo, CogVideoX and CogVideoX 1.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

MAX_PIXELS, MAX_FRAMES, MAX_FPS = 4096 * 2304, 1025, 60


@dataclass(frozen=True)
class Native:
    """What a model makes by itself, before anything is scaled to what was asked.

    `pixels` of a frame it was trained for, `frames` at most, at `fps`. Sides are multiples of `multiple`, lengths are
    `step` * k + 1 frames, k from 1 on. `size`: (width, height) of a model that knows no other. ValueError for what
    cannot be.
    """

    pixels: int
    frames: int
    fps: int
    multiple: int
    step: int
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        bounds = {"pixels": MAX_PIXELS, "frames": MAX_FRAMES, "fps": MAX_FPS, "multiple": 256, "step": 64}
        for name, most in bounds.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"A model cannot have {name} = {value!r}: it has to be a whole number, 1 to {most}.")
        if self.pixels < self.multiple**2 or (self.frames - 1) % self.step or self.frames == 1:
            raise ValueError(
                f"A model whose sides are multiples of {self.multiple} and whose lengths are {self.step} k + 1 frames, "
                f"k from 1 on, cannot make {self.pixels} pixels and {self.frames} frames."
            )

    @classmethod
    def read(cls, found: Any) -> Native:
        """From a bundle's capabilities. ValueError where they are not what `asdict` wrote."""
        if not isinstance(found, dict) or set(found) != set(cls.__dataclass_fields__):
            raise ValueError("its capabilities do not say what the model makes natively")
        size = found["size"]
        return cls(**{**found, "size": tuple(size) if size else None})


@dataclass(frozen=True)
class Family:
    """One family. `serves`: the class a directory names -> kind of request -> the pipeline that serves it.

    `components`: which classes of which library a component may be, and nothing else is ever loaded. `sequence`:
    transformers that our mesh and caches know. `one_dtype`: its pipelines hand text's and
    latents' type to the VAE without a cast, so that the VAE has to compute in it too.
    """

    name: str
    serves: Mapping[str, Mapping[str, str]]
    components: Mapping[str, tuple[str, frozenset[str]]]
    native: Native
    steps: int
    guidance: float
    sequence: frozenset[str] = frozenset()
    one_dtype: bool = False


T2V, I2V = "text_to_video", "image_to_video"
SPREAD = "from Python: PretrainedEngine.load(bundle, mesh=mesh)"
CACHED = "with `--cache`, once engine.pretrained.calibrating has made its calibration"
_FLOW = "FlowMatchEulerDiscreteScheduler"


def _only(library: str, *classes: str) -> tuple[str, frozenset[str]]:
    return library, frozenset(classes)


TOKENIZERS = _only(
    "transformers", "T5Tokenizer", "T5TokenizerFast", "LlamaTokenizer", "LlamaTokenizerFast", "CLIPTokenizer",
    "CLIPTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend",
)  # fmt: skip
_WAN: dict[str, tuple[str, frozenset[str]]] = {
    "tokenizer": TOKENIZERS,
    "text_encoder": _only("transformers", "UMT5EncoderModel"),
    "image_encoder": _only("transformers", "CLIPVisionModel", "CLIPVisionModelWithProjection"),
    "image_processor": _only("transformers", "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil"),
    "transformer": _only("diffusers", "WanTransformer3DModel", "WanVACETransformer3DModel"),
    "transformer_2": _only("diffusers", "WanTransformer3DModel", "WanVACETransformer3DModel"),
    "vae": _only("diffusers", "AutoencoderKLWan"),
    "scheduler": _only("diffusers", "UniPCMultistepScheduler", _FLOW),
}
_T5 = {"tokenizer": TOKENIZERS, "text_encoder": _only("transformers", "T5EncoderModel")}

FAMILIES = (
    Family(
        "wan",
        {
            "WanPipeline": {T2V: "WanPipeline"},
            "WanImageToVideoPipeline": {I2V: "WanImageToVideoPipeline"},
            "WanVACEPipeline": {T2V: "WanVACEPipeline", I2V: "WanVACEPipeline"},
        },
        _WAN,
        Native(480 * 832, 81, 16, 16, 4),
        steps=50,
        guidance=5.0,
        sequence=frozenset({"WanTransformer3DModel"}),
    ),
    Family(
        "ltx",
        {  # one checkpoint does both
            "LTXPipeline": {T2V: "LTXPipeline", I2V: "LTXImageToVideoPipeline"},
            "LTXImageToVideoPipeline": {T2V: "LTXPipeline", I2V: "LTXImageToVideoPipeline"},
        },
        _T5
        | {
            "transformer": _only("diffusers", "LTXVideoTransformer3DModel"),
            "vae": _only("diffusers", "AutoencoderKLLTXVideo"),
            "scheduler": _only("diffusers", _FLOW),
        },
        Native(512 * 704, 161, 25, 32, 8),
        steps=50,
        guidance=3.0,
        one_dtype=True,
    ),
    Family(
        "hunyuan_video",
        {"HunyuanVideoPipeline": {T2V: "HunyuanVideoPipeline"}},
        {
            "tokenizer": TOKENIZERS,
            "tokenizer_2": TOKENIZERS,
            "text_encoder": _only("transformers", "LlamaModel"),
            "text_encoder_2": _only("transformers", "CLIPTextModel"),
            "transformer": _only("diffusers", "HunyuanVideoTransformer3DModel"),
            "vae": _only("diffusers", "AutoencoderKLHunyuanVideo"),
            "scheduler": _only("diffusers", _FLOW),
        },
        Native(720 * 1280, 129, 24, 16, 4),
        steps=50,
        guidance=6.0,
    ),
    Family(
        "cogvideox",
        {
            "CogVideoXPipeline": {T2V: "CogVideoXPipeline"},
            "CogVideoXImageToVideoPipeline": {I2V: "CogVideoXImageToVideoPipeline"},
        },
        _T5
        | {
            "transformer": _only("diffusers", "CogVideoXTransformer3DModel"),
            "vae": _only("diffusers", "AutoencoderKLCogVideoX"),
            "scheduler": _only("diffusers", "CogVideoXDDIMScheduler", "CogVideoXDPMScheduler"),
        },
        Native(768 * 1360, 81, 16, 16, 4),
        steps=50,
        guidance=6.0,
        one_dtype=True,
    ),
)


def family_of(pipeline: object) -> Family:
    """The family of a directory that names this pipeline class. ValueError where there is none."""
    for family in FAMILIES:
        if isinstance(pipeline, str) and pipeline in family.serves:
            return family
    known = ", ".join(name for family in FAMILIES for name in family.serves)
    raise ValueError(f"It is a {pipeline!r}, which this engine does not run. It runs {known}.")


def served(family: Family, index: Mapping[str, Any]) -> Mapping[str, str]:
    """Kinds of request that the pipeline of this `model_index.json` serves, and by which class."""
    declared = index["_class_name"]
    if declared == "WanPipeline" and index.get("expand_timesteps"):  # Wan 2.2 TI2V: one checkpoint does both
        return {T2V: "WanPipeline", I2V: "WanImageToVideoPipeline"}
    return family.serves[declared]


def native_of(family: Family, index: Mapping[str, Any], configs: Mapping[str, Mapping[str, Any]]) -> Native:
    """What the checkpoint with these configs makes natively, where nothing else was said at import."""
    transformer, vae = configs.get("transformer", {}), configs.get("vae", {})
    if family.name == "wan":
        multiple = vae.get("scale_factor_spatial", 8) * transformer.get("patch_size", [1, 2, 2])[1]
        if index.get("expand_timesteps"):
            return Native(704 * 1280, 121, 24, multiple, 4)
        return replace(family.native, multiple=multiple)
    if family.name == "cogvideox" and transformer.get("patch_size_t") is None:  # 1.0: one size, 6 s at 8 fps
        size = (transformer.get("sample_width", 90) * 8, transformer.get("sample_height", 60) * 8)
        return Native(size[0] * size[1], transformer.get("sample_frames", 49), 8, 16, 4, size)
    return family.native


def capabilities_of(family: Family, index: Mapping[str, Any], native: Native, shift: float) -> dict[str, Any]:
    """What goes into the bundle's manifest: what it serves, natively makes, and how it is sampled."""
    return {
        "family": family.name,
        "pipeline": index["_class_name"],
        "native": asdict(native),
        "sampling": {"steps": family.steps, "guidance": family.guidance, "shift": shift},
        "inpainting": index["_class_name"] == "WanVACEPipeline",
    }


def applies(capabilities: Mapping[str, Any], transformers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Which of our accelerations a bundle with these transformers can use: how, or the reason why not."""
    family, kind = family_of(capabilities.get("pipeline")), transformers[0]
    known = kind in family.sequence
    halves = {
        "hunyuan_video": "its guidance is a number that the transformer reads: there is no other half",
    }.get(family.name, f"the halves of {kind}'s guidance are not brought together yet")
    unknown = f"engine.cache is not connected to {kind} yet"
    turns = "its two transformers take turns, and no cache is calibrated for both"

    def said(can: bool, how: str, because: str) -> dict[str, Any]:
        return {"applies": can} | ({"how": how} if can else {"because": because})

    return {
        "sequence": said(known, SPREAD, f"there is no sequence plan for {kind} yet"),
        "guidance": said(known, SPREAD, halves),
        "tensor": said(False, "", "its projections have no tensor plan"),
        "cache": said(known and len(transformers) == 1, CACHED, turns if known else unknown),
    }
