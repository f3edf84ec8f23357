"""A finished run becomes a bundle: averaged weights in half precision, tokenizer, model card, how it was made."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin
from safetensors.torch import save_file

from engine.bundles import MANIFEST, Bundle, Layout, read_bundle, write_bundle
from engine.conditions import CAMERA_IDS, GRIDS, SUBJECT_IDS
from engine.requests import ImageToVideo
from trainer import nano, tiny_video
from trainer.film_latents import STATISTICS, statistics
from trainer.films import open_films
from trainer.loop import Run
from trainer.objectives.video_flow import TASKS
from trainer.recipes.nano import NanoConfig
from trainer.recipes.sampling import Sampling
from trainer.recipes.tiny_video import TinyVideoConfig
from trainer.record import Record, code
from trainer.settings import configuration, names_for_places, without_places
from trainer.start import go_back_towards

MASK_FILES = ("product_mask.json", "product_mask.safetensors")


@dataclass(frozen=True)
class Card:
    """What a bundle is, beside its weights."""

    name: str
    kinds: tuple[str, ...]
    capabilities: dict[str, Any]
    about: str
    layout: Layout = "flat"


def export_nano(
    config: NanoConfig,
    folder: Path,
    out: Path,
    *,
    version: str,
    command: str,
    unfinished: bool = False,
    mask: Path | None = None,
    mask_share: float = 1.0,
) -> Bundle:
    """Write the bundle of the run in `folder` to the new folder `out`, whole or not at all.

    `mask` is another run of nano that the stage product_mask is taken from, with the settings that it was trained with,
    or a bundle whose automatic mask is kept as it is. `folder` may be a bundle too: all but its mask stays.
    `mask_share`: how far that run's mask is taken from the weights that it began at towards those that it has learnt.
    ValueError where `out` holds files, where a stage is not trained, or stopped before its last step and `unfinished`
    does not allow for it; the bundle then says so.
    """
    check_folders(folder, out)
    if (folder / MANIFEST).exists():
        return _exchange_mask(read_bundle(folder), mask, mask_share, out, version, unfinished)
    kept = _bundle_with_mask(mask)
    runs = {
        "motion_vae": nano.motion_vae_run(config, folder),
        "scene_depth": nano.scene_depth_run(config, folder),
        "single_dit": nano.single_dit_run(config, folder),
    }
    if not kept:
        runs["product_mask"] = _recorded_mask(mask) if mask else nano.product_mask_run(config, folder)
    check_trained(folder, runs, {nano.TOKENIZER: "single_dit", nano.STATISTICS: "single_dit"}, unfinished)

    def write_parts(made: Path) -> None:
        nano.use_statistics(nano.averaged_vae(runs["motion_vae"]), folder)
        _go_back(runs, mask_share)
        _write_models(made, runs, but=("motion_vae", *(("product_mask",) if mask_share < 1 else ())))
        shutil.copyfile(folder / nano.TOKENIZER, made / nano.TOKENIZER)
        if kept:
            _copy(kept, MASK_FILES, made)

    provenance = provenance_of("trainer.recipes.nano", asdict(config), runs, command)
    _tell_mask(provenance, mask, mask_share, kept, runs)
    return write_whole(out, _nano_card(config.sampling), version, provenance, write_parts)


def _exchange_mask(
    bundle: Bundle, mask: Path | None, share: float, out: Path, version: str, unfinished: bool
) -> Bundle:
    """The bundle with another automatic mask, and all else as it is."""
    if mask is None:
        raise ValueError(f"{bundle.path} is a bundle already: its automatic mask is exchanged by --mask.")
    if not {"image_to_video", "product_mask"} <= set(bundle.kinds):
        raise ValueError(f"{bundle.path} has no automatic mask that could be exchanged: it is {bundle.name}.")
    kept = _bundle_with_mask(mask)
    runs = {} if kept else {"product_mask": _recorded_mask(mask)}
    check_trained(mask, runs, {}, unfinished)

    def write_parts(made: Path) -> None:
        _copy(bundle, [name for name in bundle.files if name not in (*MASK_FILES, "README.md")], made)
        _go_back(runs, share)
        _write_models(made, runs, but=("product_mask",) if share < 1 else ())
        if kept:
            _copy(kept, MASK_FILES, made)

    before = bundle.provenance
    again = f"python -m trainer export nano --out BUNDLE --mask MASK2 --bundle NEW --version {shlex.quote(version)}"
    again += f" --mask-share {share:g}" if share < 1 else ""
    provenance = {
        **before,
        "command": f"{before['command']} && {again}",
        "stages": {**before["stages"], **told_stages(runs)},
        "unfinished": [stage for stage in before["unfinished"] if stage != "product_mask"]
        + [stage for stage, run in runs.items() if not run.finished],
        "kept_from": bundle.digest,
    }
    _tell_mask(provenance, mask, share, kept, runs)
    card = replace(_nano_card(Sampling()), capabilities=bundle.capabilities)
    return write_whole(out, card, version, provenance, write_parts)


def _bundle_with_mask(mask: Path | None) -> Bundle | None:
    """`mask` as a bundle, where it is one. BundleError where that has no automatic mask."""
    bundle = read_bundle(mask) if mask and (mask / MANIFEST).exists() else None
    if bundle:
        bundle.file(MASK_FILES[1])
    return bundle


def _copy(bundle: Bundle, names: Iterable[str], made: Path) -> None:
    for name in names:
        shutil.copyfile(bundle.file(name), made / name)


def _go_back(runs: dict[str, Run], share: float) -> None:
    """The averaged mask of a run in place, `share` of the way from where it began. ValueError: that is no share."""
    if not 0 < share <= 1:
        raise ValueError(f"--mask-share is {share:g}: choose more than 0, and at most 1.")
    if share < 1:
        if "product_mask" not in runs:
            raise ValueError("--mask-share is for the mask of a run; a bundle's is kept as it is.")
        run = runs["product_mask"]
        run.use_average()
        go_back_towards(run.start, run.modules, share)


def _tell_mask(
    provenance: dict[str, Any], mask: Path | None, share: float, kept: Bundle | None, runs: dict[str, Run]
) -> None:
    """Note in `provenance` how an automatic mask was made that is not of the run itself."""
    if kept:
        provenance["stages"]["product_mask"] = _kept(kept)
        provenance["unfinished"] += {"product_mask"} & set(kept.provenance.get("unfinished", ()))
        provenance["data"] = kept.provenance.get("data", provenance["data"])
    elif mask:
        provenance["stages"]["product_mask"] |= {**_recorded(mask), "share": share}
        provenance["data"] = _data(Record(mask).kept["config"], runs)


def _kept(bundle: Bundle) -> dict[str, Any]:
    """How the automatic mask of a bundle was made, as far as that bundle tells it."""
    stage = bundle.provenance.get("stages", {}).get("product_mask", {"steps": "?", "of": "?", "losses": {}})
    return {**stage, "kept_from": bundle.digest}


def _recorded_mask(folder: Path) -> Run:
    """The stage product_mask of a recorded run of nano. ValueError where there is none."""
    kept = Record(folder).kept
    if not kept.get("recipe", "").startswith("nano"):
        raise ValueError(f"{folder} holds no recorded run of nano, whose automatic mask could be taken.")
    config = configuration(NanoConfig, kept["config"])
    if "mask_layers" not in kept["config"]:  # before there was a choice
        config = replace(config, mask_layers=2)
    return nano.product_mask_run(config, folder)


def _recorded(folder: Path) -> dict[str, Any]:
    """How a stage that comes from another run was made: its settings, its code, what it began at."""
    kept = Record(folder).kept
    began = {"from": kept["from"]["digest"]} if kept["from"] else {}
    settings = [without_places(setting) for call in kept["calls"] for setting in call["set"]]
    config = names_for_places({name: kept["config"][name] for name in ("seed", "photos", "mask")})
    return {"settings": list(dict.fromkeys(settings)), "config": config, "commit": kept["commit"], **began}


def export_tiny_video(
    config: TinyVideoConfig, folder: Path, out: Path, *, version: str, command: str, unfinished: bool = False
) -> Bundle:
    """As `export_nano`: the bundle that `engine.latent_video` loads."""
    check_folders(folder, out)
    runs = {
        "text": tiny_video.text_run(config, folder, open_films(folder / "bank", config.films)),
        "video_vae": tiny_video.video_vae_run(config, folder),
        "single_dit": tiny_video.single_dit_run(config, folder),
        "multimodal_dit": tiny_video.multimodal_dit_run(config, folder),
    }
    latents = f"{tiny_video.LATENTS}/{STATISTICS}"
    check_trained(folder, runs, {tiny_video.TOKENIZER: "text", latents: "latents"}, unfinished)
    found = statistics(folder / tiny_video.LATENTS)

    def write_parts(made: Path) -> None:
        vae = runs["video_vae"].modules["vae"]
        assert isinstance(vae, ModelMixin)
        vae.register_to_config(latents_mean=found["mean"], latents_std=found["std"])  # as diffusers' pipelines read it
        del runs["text"].modules["heads"]  # taught the encoder, and is not needed to read prompts
        _write_models(made, runs)
        shutil.copyfile(folder / tiny_video.TOKENIZER, made / tiny_video.TOKENIZER)

    provenance = provenance_of("trainer.recipes.tiny_video", asdict(config), runs, command)
    return write_whole(out, _tiny_video_card(config, found), version, provenance, write_parts)


def check_folders(folder: Path, out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not empty: choose a new folder, or remove the old bundle first.")
    if not folder.is_dir():
        raise ValueError(f"There is no run in {folder}: give the folder that `python -m trainer run` wrote to.")


def check_trained(folder: Path, runs: dict[str, Run], needed: dict[str, str], unfinished: bool) -> None:
    """A sentence where a stage of the run in `folder` cannot be exported; `needed`: files, and the stages of each."""
    stands = {stage: f"{stage} has {run.step} of {run.config.steps} steps" for stage, run in runs.items()}
    untrained = [stands[stage] for stage, run in runs.items() if run.step == 0]
    if untrained:
        raise ValueError(f"The run in {folder} is not trained: {', '.join(untrained)}. Run these stages first.")
    open_ones = [stands[stage] for stage, run in runs.items() if not run.finished]
    if open_ones and not unfinished:
        raise ValueError(
            f"The run in {folder} is not finished: {', '.join(open_ones)}. Go on with it, or export it as it stands "
            f"with --unfinished."
        )
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        raise ValueError(f"{folder} lacks {' and '.join(missing)}. Run the stage `{needed[missing[0]]}` first.")


def write_whole(
    out: Path, card: Card, version: str, provenance: dict[str, Any], write_parts: Callable[[Path], None]
) -> Bundle:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as name:
        made = Path(name) / "bundle"
        made.mkdir()
        write_parts(made)
        (made / "README.md").write_text(_readme(card, version, provenance))
        write_bundle(
            made,
            name=card.name,
            version=version,
            kinds=card.kinds,
            capabilities=card.capabilities,
            provenance=provenance,
            layout=card.layout,
        )
        made.replace(out)
    return read_bundle(out)


def _write_models(out: Path, runs: dict[str, Run], but: tuple[str, ...] = ()) -> None:
    """The averaged weights of every module; runs in `but` have their averages in place."""
    for stage, run in runs.items():
        if stage not in but:
            run.use_average()
        for name, module in run.modules.items():
            write_model(out, name, module)


def provenance_of(recipe: str, config: dict[str, Any], runs: dict[str, Run], command: str) -> dict[str, Any]:
    """How the bundle was made. `commit` is the code's at export, `dirty` whether the code differed from it; `from` of a
    stage is the digest of the bundle or run whose weights it began at. Of files and folders it keeps the name alone.
    """
    return {
        "recipe": recipe,
        "command": command,
        **code(),
        "seed": config["seed"],
        "config": names_for_places(config),
        "stages": told_stages(runs),
        "unfinished": [stage for stage, run in runs.items() if not run.finished],
        "torch": torch.__version__,
        "data": _data(config, runs),
    }


def told_stages(runs: dict[str, Run]) -> dict[str, Any]:
    return {
        stage: {"steps": run.step, "of": run.config.steps, "losses": run.log.last_means()}
        | ({"from": run.start["digest"]} if run.start else {})
        | ({"photos": run.recipe["data"]["photos"]} if stage == "product_mask" else {})  # digests of what made them
        for stage, run in runs.items()
    }


def _data(config: dict[str, Any], runs: dict[str, Run]) -> str:
    """What runs with this configuration learnt from."""
    share, told = (config.get("photos") or {}).get("collages"), ["generated by datapipe/worlds"]
    if share:
        made = f"{share:.0%} of the automatic mask's pictures were made of given cut-outs and photographs"
        told.append(f"{made}, whose digests the stage names")
    if any(run.start for run in runs.values()):
        told.append("stages that name a start also know what that had learnt from")
    elif not share:
        told.append("no photographs")
    return "; ".join([*told, "no third-party weights"])


def _nano_card(sampling: Sampling) -> Card:
    """What forms, handlers and samplers read: nothing about this model is known anywhere else."""
    capabilities = {
        "image_to_video": {
            "title": "Product photo to video",
            "schema": ImageToVideo.model_json_schema(),
            "defaults": ImageToVideo().model_dump(mode="json", exclude={"kind"}),
            "camera_moves": list(CAMERA_IDS),
            "subject_motions": list(SUBJECT_IDS),
            "formats": list(GRIDS),
        },
        "sampling": asdict(sampling),
    }
    about = (
        "Image-to-video that keeps the product's own pixels: a Motion VAE, a Single-DiT with an ERNIE-shaped text "
        "encoder, and an\nautomatic product mask. It moves a given photo; it cannot paint what no photo shows."
    )
    return Card("aquarius-nano", ("image_to_video", "product_mask"), capabilities, about)


def _tiny_video_card(config: TinyVideoConfig, found: dict[str, list[float]]) -> Card:
    sizes = {"frames": 17, "height": config.films.height, "width": config.films.width}  # of what it learnt on
    about = (
        "Text, a photo, first frames or a hidden region to video: a causal video VAE, a tiny Single-DiT and a tiny "
        "Multimodal-DiT\nwith one text encoder. For tests and measurements of the engine, not for campaigns."
    )
    return Card("tiny-video", tuple(TASKS), {"sampling": asdict(config.sampling), "latents": {**found, **sizes}}, about)


def write_model(out: Path, name: str, module: torch.nn.Module) -> None:
    """Flat files `NAME.safetensors` and `NAME.json`: floating point as bfloat16, statistics whole."""
    assert isinstance(module, ModelMixin)
    state = {}
    for key, value in module.state_dict().items():
        whole = key.startswith("latent_") or not value.is_floating_point()
        state[key] = (value if whole else value.to(torch.bfloat16)).contiguous()
    save_file(state, out / f"{name}.safetensors")
    (out / f"{name}.safetensors").chmod(0o644)
    config = {key: value for key, value in module.config.items() if not key.startswith("_")}
    (out / f"{name}.json").write_text(json.dumps(config, indent=1) + "\n")


def _readme(card: Card, version: str, provenance: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {name} | {stage['steps']} of {stage['of']} | {json.dumps(stage['losses'])} |"
        for name, stage in provenance["stages"].items()
    )
    made_of = f"commit {provenance['commit']}{' with changes that are not committed' if provenance['dirty'] else ''}"
    unfinished = ", ".join(provenance["unfinished"])
    warning = f"\n**Not trained to its end**: {unfinished} stopped early, see the table.\n" if unfinished else ""
    return f"""# {card.name} {version}
{warning}
{card.about}

Made by `{provenance["command"]}`
at {made_of}, seed {provenance["seed"]}, torch {provenance["torch"]}, on data {provenance["data"]}.

| stage | steps | mean of the last fifth of the log |
|---|---|---|
{rows}
"""
