"""Pipelines of every family, of tiny random parts, as diffusers builds and saves them; a tokenizer of ten words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLHunyuanVideo,
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from tests.engine.pretrained.cases import WAN_DIT

WORDS = ["<pad>", "</s>", "<unk>", "a", "cup", "turns", "slowly", "red", "the", "camera"]


def tokenizer() -> PreTrainedTokenizerFast:
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def _t5(kind: type[Any], config: type[Any]) -> Any:
    return kind(config(vocab_size=16, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)).eval()


def _wan_vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)


def _wan_dit(in_channels: int, **more: Any) -> WanTransformer3DModel:
    return WanTransformer3DModel(**WAN_DIT | {"in_channels": in_channels} | more)


def wan(transformer: Any = None, **more: Any) -> WanPipeline:
    return WanPipeline(
        tokenizer=tokenizer(),
        text_encoder=_t5(UMT5EncoderModel, UMT5Config),
        vae=_wan_vae(),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
        ),
        transformer=transformer or _wan_dit(16),
        **more,
    )


def wan_i2v() -> WanImageToVideoPipeline:
    vision = CLIPVisionConfig(
        hidden_size=8, projection_dim=8, num_hidden_layers=2, num_attention_heads=2, image_size=8,
        intermediate_size=8, patch_size=4,
    )  # fmt: skip
    parts = wan().components
    return WanImageToVideoPipeline(
        **parts
        | {
            "transformer": _wan_dit(36, image_dim=8, added_kv_proj_dim=36),
            "image_encoder": CLIPVisionModel(vision).eval(),
            "image_processor": CLIPImageProcessor(crop_size=8, size=8),
        }
    )


def wan_vace() -> WanVACEPipeline:
    dit = WanVACETransformer3DModel(**WAN_DIT, vace_layers=[0], vace_in_channels=96)
    return WanVACEPipeline(
        **{name: part for name, part in wan().components.items() if name != "transformer"}, transformer=dit
    )


def ltx() -> LTXPipeline:
    vae = AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1),
    )  # fmt: skip
    vae.use_framewise_encoding = vae.use_framewise_decoding = False
    dit = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
        num_layers=1, caption_channels=16,
    )  # fmt: skip
    return LTXPipeline(FlowMatchEulerDiscreteScheduler(), vae, _t5(T5EncoderModel, T5Config), tokenizer(), dit)


def hunyuan() -> HunyuanVideoPipeline:
    dit = HunyuanVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=10, num_layers=1,
        num_single_layers=1, num_refiner_layers=1, patch_size=2, patch_size_t=1, guidance_embeds=True,
        text_embed_dim=16, pooled_projection_dim=8, rope_axes_dim=(2, 4, 4),
    )  # fmt: skip
    vae = AutoencoderKLHunyuanVideo(
        latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4,
    )  # fmt: skip
    llama = LlamaConfig(
        hidden_size=16, intermediate_size=16, num_attention_heads=4, num_hidden_layers=3, vocab_size=16,
        pad_token_id=0,
    )  # fmt: skip
    clip = CLIPTextConfig(
        hidden_size=8, intermediate_size=8, num_attention_heads=2, num_hidden_layers=2, vocab_size=16,
        projection_dim=8, max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    return HunyuanVideoPipeline(
        LlamaModel(llama).eval(), tokenizer(), dit, vae, FlowMatchEulerDiscreteScheduler(shift=7.0),
        CLIPTextModel(clip).eval(), tokenizer(),
    )  # fmt: skip


def _cogvideox(channels: int) -> dict[str, Any]:
    dit = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=channels, out_channels=4, time_embed_dim=2,
        text_embed_dim=16, num_layers=1, sample_width=8, sample_height=8, sample_frames=9, patch_size=2,
        temporal_compression_ratio=4, max_text_seq_length=226, use_rotary_positional_embeddings=True,
    )  # fmt: skip
    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4, sample_height=64, sample_width=64,
    )  # fmt: skip
    return {
        "tokenizer": tokenizer(),
        "text_encoder": _t5(T5EncoderModel, T5Config),
        "vae": vae,
        "transformer": dit,
        "scheduler": CogVideoXDDIMScheduler(),
    }


def cogvideox() -> CogVideoXPipeline:
    return CogVideoXPipeline(**_cogvideox(4))


def cogvideox_i2v() -> CogVideoXImageToVideoPipeline:
    return CogVideoXImageToVideoPipeline(**_cogvideox(8))


PIPELINES: dict[str, Callable[[], Any]] = {
    "wan": wan,
    "wan_i2v": wan_i2v,
    "wan_ti2v": lambda: wan(expand_timesteps=True),
    "wan_a14b": lambda: wan(transformer_2=_wan_dit(16), boundary_ratio=0.9),
    "wan_vace": wan_vace,
    "ltx": ltx,
    "hunyuan": hunyuan,
    "cogvideox": cogvideox,
    "cogvideox_i2v": cogvideox_i2v,
}


def made(name: str) -> Any:
    """A tiny pipeline, no gate or projection of which is zero."""
    torch.manual_seed(3)
    pipe = PIPELINES[name]()
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad():
        for model in filter(None, (pipe.transformer, pipe.vae, getattr(pipe, "transformer_2", None))):
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return pipe
