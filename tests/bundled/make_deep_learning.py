"""Makes the test-data and thumbnails of the tools that need an environment.

In the folder ``tests``: ``python -m bundled.make_deep_learning TOOL``, with the Python of the
tool's environment and a Pillow in it; `ntr.run` says where that lies (the record's ``prefix``).
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from scipy import ndimage

if TYPE_CHECKING:
    from transformers import Sam2Model

TOOLS = Path(__file__).parents[2] / "src" / "napari_tool_runner" / "bundled_tools"
STEPS = 150
SIZES = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}


def disc(shape: tuple[int, int], place: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.hypot(rows - place[0], columns - place[1]) <= radius


def moving() -> tuple[np.ndarray, np.ndarray]:
    """Three discs over five frames: one is missed once, one divides; their numbers change."""
    labels, image = np.zeros((5, 64, 64), np.uint16), np.zeros((5, 64, 64))
    for frame in range(5):
        order = np.random.default_rng(frame).permutation(5) + 1
        places = [(12, 10 + 4 * frame)]
        places += [(30, 50 - 4 * frame)] if frame != 2 else []
        places += [(50, 30)] if frame < 2 else [(50 - 4, 30), (50 + 4, 30)]
        for number, place in zip(order, places, strict=False):
            where = disc((64, 64), place, 3)
            labels[frame][where], image[frame][where] = number, 0.5 + place[0] / 100
    noise = 0.05 * np.random.default_rng(11).standard_normal(image.shape)
    return labels, (2000 * np.clip(image + noise + 0.2, 0, 2)).astype(np.uint16)


def discs() -> np.ndarray:
    """A plane of bright discs, two of which touch, with noise."""
    rng = np.random.default_rng(5)
    image = np.zeros((96, 96))
    for place in [(20, 20), (20, 37), (24, 74), (60, 24), (72, 60), (48, 60)]:
        image[disc(image.shape, place, 8)] = rng.uniform(0.6, 1)
    image = ndimage.gaussian_filter(image, 1) + 0.05 * rng.standard_normal(image.shape)
    return (2000 * np.clip(image + 0.2, 0, 2)).astype(np.uint16)


def ball(
    shape: tuple[int, ...], place: tuple[float, ...], radius: float, deep: float
) -> np.ndarray:
    """Return where a ball lies whose slices are `deep` pixel widths apart."""
    slices, rows, columns = (i - c for i, c in zip(np.indices(shape), place, strict=True))
    return np.hypot(np.hypot(slices * deep, rows), columns) <= radius


def blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    smooth = ndimage.gaussian_filter(image, [1] * image.ndim if image.ndim == 2 else [0.5, 1, 1])
    return smooth + 0.05 * rng.standard_normal(image.shape)


def balls() -> np.ndarray:
    """A stack of bright balls, two of which touch, whose slices lie 3 pixel widths apart."""
    rng = np.random.default_rng(7)
    image = np.zeros((14, 72, 72))
    for place in [(4, 16, 16), (4, 16, 31), (5, 50, 20), (9, 20, 54), (9, 54, 52), (10, 36, 36)]:
        image[ball(image.shape, place, 7.5, 3)] = rng.uniform(0.6, 1)
    return (2000 * np.clip(blurred(image, rng) + 0.2, 0, 2)).astype(np.uint16)


def drawn(rng: np.random.Generator, *, deep: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of discs, or of balls in slices that lie 2 pixel widths apart."""
    shape = (20, 64, 64) if deep else (96, 96)
    image, numbers = np.zeros(shape), np.zeros(shape, np.int32)
    for number in range(1, 16 if deep else 10):
        radius = rng.integers(6, 10)
        if deep:
            place = (*rng.uniform(2, 18, 1), *rng.integers(radius, 64 - radius, 2))
            where = ball(shape, place, radius, 2)
        else:
            where = disc(shape, rng.integers(radius, 96 - radius, 2), radius)
        if not numbers[where].any():
            numbers[where], image[where] = number, rng.uniform(0.6, 1)
    return blurred(image, rng), numbers


def train_stardist(place: Path, *, deep: bool) -> None:
    """Train a very small StarDist on drawn objects, and zip it: a few minutes."""
    from csbdeep.utils import normalize
    from stardist.models import Config2D, Config3D, StarDist2D, StarDist3D

    rng = np.random.default_rng(0)
    images, labels = zip(*(drawn(rng, deep=deep) for _ in range(24)), strict=True)
    images = [normalize(image.astype(np.float32), 1, 99.8) for image in images]
    small = {"unet_n_depth": 1, "unet_n_filter_base": 8, "net_conv_after_unet": 16}
    small |= {"train_batch_size": 4, "train_epochs": 30, "train_steps_per_epoch": 20}
    small["train_tensorboard"] = False
    if deep:
        config = Config3D(
            rays=24,
            grid=(1, 2, 2),
            anisotropy=(2, 1, 1),
            train_patch_size=(16, 48, 48),
            train_learning_rate=0.002,
            **small,
        )
    else:
        config = Config2D(n_rays=16, grid=(2, 2), train_patch_size=(64, 64), **small)
    kind = StarDist3D if deep else StarDist2D
    model = kind(config, name=place.stem, basedir=str(place.parent / "models"))
    held = (images[20:], labels[20:])
    model.train(images[:20], labels[:20], validation_data=held)
    model.optimize_thresholds(*held)
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("config.json", "thresholds.json", "weights_best.h5"):
            file.write(place.parent / "models" / place.stem / name, f"{place.stem}/{name}")


def spotty(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a plane of spots between the pixels, with noise, and where they are."""
    places = rng.uniform(6, 90, (number, 2))
    rows, columns = np.indices((96, 96))
    image = np.full((96, 96), 100.0)
    for place in places:
        distance = np.hypot(rows - place[0], columns - place[1])
        image += rng.uniform(100, 300) * np.exp(-(distance**2) / (2 * 1.3**2))
    return rng.poisson(image).astype(np.uint16), places.astype(np.float32)


def train_spotiflow(place: Path) -> None:
    """Train a very small Spotiflow on drawn spots, and zip it: a minute."""
    from lightning.pytorch.loggers import CSVLogger
    from spotiflow.model import Spotiflow, SpotiflowModelConfig

    rng = np.random.default_rng(0)
    images, places = zip(*(spotty(rng, 25) for _ in range(20)), strict=True)
    model = Spotiflow(SpotiflowModelConfig(levels=2, initial_fmaps=8))
    kept = place.parent / "models" / place.stem
    more = {"num_epochs": 20, "crop_size": 64, "num_train_samples": 48, "lr": 0.005}
    more |= {"optimize_threshold": True}
    quiet = CSVLogger(str(kept))
    given = (images[:16], places[:16], images[16:], places[16:])
    model.fit(*given, save_dir=kept, train_config=more, logger=quiet, augment_train=False)
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("config.yaml", "thresholds.yaml", "best.pt"):
            if (kept / name).exists():
                file.write(kept / name, f"{place.stem}/{name}")


def celled(rng: np.random.Generator, side: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two channels, nuclei and the cells around them, and the labels of both."""
    image, labels = np.zeros((2, side, side)), np.zeros((2, side, side), np.int32)
    for one in range(1, number + 1):
        place, radius = rng.integers(8, side - 8, 2), rng.integers(8, 11)
        cell = disc((side, side), place, radius)
        if not labels[1][cell].any():
            kinds = (disc((side, side), place, radius // 2), cell)
            for channel, numbers, kind in zip(image, labels, kinds, strict=True):
                channel[kind], numbers[kind] = rng.uniform(0.6, 1), one
    return np.stack([blurred(channel, rng) for channel in image]), labels


def train_instanseg(place: Path) -> None:
    """Train a very small InstanSeg on drawn cells with nuclei, and zip it: a minute.

    It wants pandas, seaborn and edt, too, which InstanSeg itself does not name.
    """
    import torch
    from instanseg.utils.loss.instanseg_loss import InstanSeg, InstanSeg_Torchscript
    from instanseg.utils.models.InstanSeg_UNet import InstanSeg_UNet

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = InstanSeg_UNet(2, [[2, 2, 1], [2, 2, 1]], layers=[16, 8], norm="BATCH")
    loss = InstanSeg(2, device="cpu", cells_and_nuclei=True, window_size=32)
    loss.num_instance_cap = 12
    net = loss.initialize_pixel_classifier(net, MLP_width=5)
    steps = torch.optim.Adam(net.parameters(), lr=0.01)
    for step in range(240):
        if step == 40:  # as its own training: first where objects are, then how deep inside
            loss.update_seed_loss("l1_distance")
        if step == 160:
            steps.param_groups[0]["lr"] = 0.003
        images, labels = zip(*(celled(rng, 64, 8) for _ in range(2)), strict=True)
        low, high = np.percentile(images, (0.1, 99.9), axis=(2, 3))[..., None, None]
        given = torch.tensor((np.array(images) - low) / (high - low), dtype=torch.float32)
        missed = loss(net(given), torch.tensor(np.array(labels))).mean()
        steps.zero_grad()
        missed.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 20)
        steps.step()
        if step % 20 == 0:
            print(step, float(missed.detach()), flush=True)
    whole = InstanSeg_Torchscript(
        net, cells_and_nuclei=True, pixel_size=0.5, n_sigma=2, backbone_dim_in=2
    )
    file = place.with_suffix(".pt")
    torch.jit.save(torch.jit.script(whole.eval()), str(file))
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.write(file, f"{place.stem}/instanseg.pt")
    file.unlink()


def lived(rng: np.random.Generator, frames: int) -> dict[str, np.ndarray]:
    """Return places, features and ancestors of discs that wander, and divide now and then."""
    discs = [(rng.uniform(5, 95, 2), rng.uniform(2, 5), rng.uniform(0, 3)) for _ in range(8)]
    rows: list[tuple[object, ...]] = []
    came = [-1] * len(discs)
    for frame in range(frames):
        first, after, next_came = len(rows), [], []
        for number, (place, radius, light) in enumerate(discs):
            wide = radius**2 / 4
            rows.append((frame, came[number], *place, 2 * radius, light, wide, 0, 0, wide, 0))
            gone = place + rng.uniform(-4.5, 4.5, 2)
            apart = rng.uniform(-5, 5, 2) if rng.random() < 0.2 else None
            for side in [gone] if apart is None else [gone - apart, gone + apart]:
                after.append((side, radius, light + rng.normal(0, 0.05)))
                next_came.append(first + number)
        discs, came = after, next_came
    table = np.array(rows, np.float32)
    ancestors = np.zeros((len(table), len(table)), np.float32)
    for row, parent in enumerate(table[:, 1].astype(int)):
        if parent >= 0:
            ancestors[parent, row] = 1
    return {"times": table[:, 0], "places": table[:, 2:4], "seen": table[:, 4:], "of": ancestors}


def train_trackastra(place: Path) -> None:
    """Train a very small Trackastra on discs that wander, and zip it: a minute."""
    import torch
    import yaml
    from trackastra.model import TrackingTransformer

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = TrackingTransformer(
        coord_dim=2,
        feat_dim=7,
        d_model=32,
        nhead=2,
        num_encoder_layers=1,
        num_decoder_layers=1,
        pos_embed_per_dim=8,
        feat_embed_per_dim=4,
        window=4,
        spatial_pos_cutoff=64,
        dropout=0.0,
    )
    steps = torch.optim.Adam(net.parameters(), lr=0.002)
    for step in range(1500):
        made = {name: torch.tensor(value)[None] for name, value in lived(rng, 3).items()}
        where = torch.cat([made["times"][..., None], made["places"]], dim=2)
        found = net(where, features=made["seen"])
        found = net.normalize_output(found, made["times"].long(), where)
        next_one = (made["times"][:, None] - made["times"][..., None]) == 1
        missed = torch.nn.functional.binary_cross_entropy(
            found.clamp(1e-6, 1 - 1e-6)[next_one], made["of"][next_one]
        )
        steps.zero_grad()
        missed.backward()
        steps.step()
        if step % 100 == 0:
            print(step, float(missed.detach()), flush=True)
    kept = place.parent / "models" / place.stem
    net.save(kept)
    (kept / "train_config.yaml").write_text(yaml.safe_dump({"features": "wrfeat"}))
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("config.yaml", "train_config.yaml", "model.pt"):
            file.write(kept / name, f"{place.stem}/{name}")


def write_package(place: Path) -> None:
    """Write a package of bioimage.io whose network is a mean over 5 × 5 normalised pixels."""
    import torch

    class Mean(torch.nn.Module):
        """Gives it twice: one of them is made a mask of afterwards."""

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            mean = torch.nn.functional.avg_pool2d(image, 5, 1, 2)
            return mean, mean

    files = {"README.md": b"# Local mean\n\n## Validation\n\nIts arithmetic is known.\n"}
    with io.BytesIO() as buffer:
        torch.jit.save(torch.jit.script(Mean()), buffer)
        files["mean.pt"] = buffer.getvalue()
    shown = np.random.default_rng(0).random((1, 1, 48, 64)).astype(np.float32)
    normal = (shown - shown.mean()) / (shown.std() + 1e-6)
    mean = ndimage.uniform_filter(normal[0, 0], 5, mode="constant")[None, None]
    shows = {"shown.npy": shown, "mean.npy": mean, "bright.npy": mean > 0.5}
    for name, array in shows.items():
        with io.BytesIO() as buffer:
            np.save(buffer, array)
            files[name] = buffer.getvalue()

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    def axes(*, out: bool) -> list[dict[str, object]]:
        size = {"min": 32, "step": 16}
        pixels = {"type": "space", "unit": "micrometer", "scale": SIZES["PhysicalSizeX"]}
        space = [
            {**pixels, "id": axis, "size": {"tensor_id": "image", "axis_id": axis}, "halo": 2}
            if out
            else {**pixels, "id": axis, "size": size}
            for axis in "yx"
        ]
        return [{"type": "batch"}, {"type": "channel", "channel_names": ["seen"]}, *space]

    says = {
        "format_version": "0.5.3",
        "type": "model",
        "name": "Local mean",
        "description": "A mean of normalised pixels, for tests: nothing was learned",
        "license": "CC0-1.0",
        "authors": [{"name": "the authors of napari-tool-runner"}],
        "cite": [{"text": "Ouyang et al. 2022", "doi": "10.1101/2022.06.07.495102"}],
        "documentation": file("README.md"),
        "inputs": [{
            "id": "image",
            "axes": axes(out=False),
            "test_tensor": file("shown.npy"),
            "preprocessing": [{
                "id": "zero_mean_unit_variance",
                "kwargs": {"axes": ["channel", "y", "x"], "eps": 1e-6},
            }],
        }],
        "outputs": [
            {"id": "mean", "axes": axes(out=True), "test_tensor": file("mean.npy")},
            {
                "id": "bright",
                "axes": axes(out=True),
                "data": {"type": "bool", "values": [False, True]},
                "postprocessing": [{"id": "binarize", "kwargs": {"threshold": 0.5}}],
                "test_tensor": file("bright.npy"),
            },
        ],
        "weights": {"torchscript": {**file("mean.pt"), "pytorch_version": "2.6"}},
    }  # fmt: skip
    files["bioimageio.yaml"] = json.dumps(says, indent=1).encode()  # JSON is YAML, too
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)


def small_sam2() -> Sam2Model:
    """Return a very small SAM 2 whose decoder looks at first where a prompt is.

    Attention from a pixel to a prompt is made of their places, what it carries over of what the
    prompt is; 64 numbers, of which the first three say that. The rest is random.
    """
    import torch
    from torch import nn
    from transformers import Sam2Config, Sam2Model

    side, wide = 128, 64
    back = {"model_type": "sam2_hiera_det_model", "hidden_size": 8, "image_size": [side, side]}
    back |= {"blocks_per_stage": [1] * 4, "embed_dim_per_stage": [8, 12, 16, 20]}
    back |= {"num_attention_heads_per_stage": [1, 2, 2, 2], "window_size_per_stage": [8, 4, 8, 4]}
    back |= {"window_positional_embedding_background_size": [4, 4], "mlp_ratio": 2.0}
    seen = {"backbone_config": back | {"global_attention_blocks": []}, "fpn_hidden_size": wide}
    seen |= {"backbone_channel_list": [20, 16, 12, 8]}
    seen |= {"backbone_feature_sizes": [[side // n] * 2 for n in (4, 8, 16)]}
    shown = {"hidden_size": wide, "image_size": side, "mask_input_channels": 4}
    decoder = {"hidden_size": wide, "mlp_dim": 32, "num_attention_heads": 1}
    decoder |= {"attention_downsample_rate": 1, "iou_head_hidden_dim": 16}
    decoder |= {"dynamic_multimask_via_stability": False}
    torch.manual_seed(0)
    model = Sam2Model(
        Sam2Config(vision_config=seen, prompt_encoder_config=shown, mask_decoder_config=decoder)
    )
    for one in model.modules():
        if isinstance(one, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            one.reset_parameters()
        if isinstance(one, nn.Embedding):
            nn.init.normal_(one.weight, std=0.03)
    both = model.shared_image_embedding.positional_embedding.mul_(0.5)  # as wide as a disc
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(both)
    every, where = torch.eye(wide), torch.eye(wide)
    where[:3] = 0
    with torch.no_grad():
        for row, column, value in ((0, 0, -8), (1, 0, 8), (2, 1, 8), (3, 2, 8)):
            model.prompt_encoder.point_embed.weight[row, column] = value
        for name in ("iou_token", "mask_tokens", "obj_score_token"):
            nn.init.normal_(getattr(model.mask_decoder, name).weight[:, 3:])
        for layer in model.mask_decoder.transformer.layers:
            for part, weights in (
                (layer.self_attn, (3 * every, 3 * every, every)),
                (layer.cross_attn_image_to_token, (1.2 * where, 1.2 * where, every - where)),
                (layer.cross_attn_token_to_image, (1.2 * where, 1.2 * where, 0.3 * where)),
            ):
                names = ("q_proj", "k_proj", "v_proj", "o_proj")
                for name, weight in zip(names, (*weights, every), strict=True):
                    getattr(part, name).weight.copy_(weight)
                    getattr(part, name).bias.zero_()
        for answer in model.mask_decoder.output_hypernetworks_mlps:
            answer.proj_out.weight.zero_().requires_grad_(False)  # nothing is learned by heart
    return model


def train_sam2(place: Path) -> None:
    """Train what follows the attention of a very small SAM 2 on drawn discs, and zip it."""
    import torch
    from torch import nn

    model, rng, places = small_sam2(), np.random.default_rng(0), []
    images, boxes, goals = [], [], []
    for _ in range(8):
        image, labels = drawn(rng, deep=False)
        low, high = np.percentile(image, (0.1, 99.9))
        images.append(np.clip((image - low) / (high - low), 0, 1))
        numbers = np.unique(labels)[1:6]
        found = [np.argwhere(labels == number) for number in numbers]
        places.append([rng.choice(one)[::-1] for one in found])
        ends = [[*(one.min(0) - 0.5)[::-1], *(one.max(0) + 0.5)[::-1]] for one in found]
        boxes.append(np.array(ends) + rng.uniform(-1, 1, (5, 4)))
        goals.append([labels == number for number in numbers])
    given, goal = (torch.tensor(np.array(one), dtype=torch.float32) for one in (images, goals))
    places, boxes = (
        torch.tensor((np.array(one) + 0.5) * 128 / 96 - 0.5, dtype=torch.float32)
        for one in (places, boxes)
    )
    size = {"size": (128, 128), "mode": "bilinear", "antialias": True}
    given = nn.functional.interpolate(given[:, None].repeat(1, 3, 1, 1), **size)
    mean, deviation = torch.tensor([(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)])[..., None, None]
    given = (given - mean) / deviation
    goal = nn.functional.interpolate(goal, size=(32, 32), mode="area")[:, :, None]
    prompts = [{"input_points": places[:, :, None]}, {"input_boxes": boxes}]
    decoder, kept = model.mask_decoder, []
    attention, after = decoder.transformer, nn.Module()
    with torch.no_grad():
        raw = model.vision_encoder(given).fpn_hidden_states
        seen = model.get_image_embeddings(given)
        hook = attention.register_forward_hook(lambda _, __, out: kept.append(out))
        for one in prompts:
            model(image_embeddings=[*seen], **one)
    hook.remove()
    decoder.transformer = after
    steps = torch.optim.AdamW(decoder.parameters(), lr=0.015, weight_decay=0)
    where = model.get_image_wide_positional_embeddings().repeat(8, 1, 1, 1)
    nothing = torch.zeros(8, 5, 2, 64), torch.zeros(8, 64, 8, 8)
    for step in range(STEPS):
        steps.param_groups[0]["lr"] = 0.015 * (1 - step / STEPS) + 1e-4
        after.forward = lambda kind=step % 2, **_: kept[kind]
        masks, scores, _, _ = decoder(
            image_embeddings=seen[-1],
            image_positional_embeddings=where,
            sparse_prompt_embeddings=nothing[0],
            dense_prompt_embeddings=nothing[1],
            multimask_output=step % 2 == 0,
            high_resolution_features=[decoder.conv_s0(raw[0]), decoder.conv_s1(raw[1])],
        )
        wanted = goal.expand_as(masks)
        missed = nn.functional.binary_cross_entropy_with_logits(masks, wanted, reduction="none")
        missed = (missed * (1 + 4 * wanted)).mean((-1, -2))
        both = 2 * (masks.sigmoid() * wanted).sum((-1, -2)) + 1
        apart = 1 - both / (masks.sigmoid().sum((-1, -2)) + wanted.sum((-1, -2)) + 1)
        hit, there = masks > 0, wanted > 0.5
        overlap = (hit & there).sum((-1, -2)) / ((hit | there).sum((-1, -2)) + 1e-6)
        loss = (2 * missed + apart).mean() + 0.2 * ((scores - overlap) ** 2).mean()
        steps.zero_grad()
        loss.backward()
        steps.step()
        if step % 20 < 2:
            print(step, float(loss.detach()), float(overlap.mean()), flush=True)
    decoder.transformer = attention
    model.half().save_pretrained(place.parent / "models" / place.stem)
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("config.json", "model.safetensors"):
            file.write(place.parent / "models" / place.stem / name, f"{place.stem}/{name}")


def run(tool: str, *options: str) -> None:
    subprocess.run([sys.executable, str(TOOLS / tool / f"{tool}.py"), *options], check=True)


def main() -> None:
    (tool,) = sys.argv[1:]
    data = TOOLS / tool / "test-data"
    if tool == "link_objects":
        axes = {"axes": "TYX", **SIZES}
        tifffile.imwrite(
            data / "moving.tif", moving()[0], metadata=axes, compression="zlib", ome=True
        )
        for name, table, more in (
            ("linked", "tracks", []),
            ("divided", "divided", ["--gap=1", "--divide=true"]),
        ):
            outputs = [f"--linked={data / name}.tif", f"--tracks={data / table}.csv"]
            run(tool, f"--labels={data / 'moving.tif'}", "--distance=2.5", *more, *outputs)
    elif tool == "stardist_2d":
        axes = {"axes": "YX", **SIZES}
        tifffile.imwrite(data / "discs.tif", discs(), metadata=axes, compression="zlib", ome=True)
        if not (data / "discs.zip").exists():
            train_stardist(data / "discs.zip", deep=False)
        given = [f"--input={data / 'discs.tif'}", f"--file={data / 'discs.zip'}"]
        run(tool, *given, f"--output={data / 'objects.tif'}")
    elif tool == "stardist_3d":
        axes = {"axes": "ZYX", **SIZES, "PhysicalSizeZ": 0.75}
        tifffile.imwrite(data / "balls.tif", balls(), metadata=axes, compression="zlib", ome=True)
        if not (data / "balls.zip").exists():
            train_stardist(data / "balls.zip", deep=True)
        given = [f"--input={data / 'balls.tif'}", f"--file={data / 'balls.zip'}"]
        run(tool, *given, f"--output={data / 'objects.tif'}")
    elif tool == "spotiflow_spots":
        axes = {"axes": "YX", **SIZES}
        image, _ = spotty(np.random.default_rng(9), 12)
        tifffile.imwrite(data / "spots.tif", image, metadata=axes, compression="zlib", ome=True)
        if not (data / "spots.zip").exists():
            train_spotiflow(data / "spots.zip")
        given = [f"--input={data / 'spots.tif'}", f"--file={data / 'spots.zip'}"]
        run(tool, *given, f"--points={data / 'spots.csv'}")
    elif tool == "instanseg_cells":
        axes = {"axes": "CYX", "PhysicalSizeX": 0.4, "PhysicalSizeY": 0.4}
        image, _ = celled(np.random.default_rng(9), 96, 9)
        image = ndimage.zoom(image, (1, 1.25, 1.25), order=1)  # the model has pixels of 0.5 µm
        image = (100 * np.clip(image + 0.2, 0, 2)).astype(np.uint8)
        tifffile.imwrite(data / "cells.tif", image, metadata=axes, compression="zlib", ome=True)
        if not (data / "cells.zip").exists():
            train_instanseg(data / "cells.zip")
        given = [f"--input={data / 'cells.tif'}", f"--file={data / 'cells.zip'}"]
        run(tool, *given, f"--output={data / 'objects.tif'}")
        run(tool, *given, "--kind=nuclei", f"--output={data / 'nuclei.tif'}")
    elif tool == "noise2void":
        axes = {"axes": "YX", **SIZES}
        image = np.random.default_rng(3).poisson(np.clip(discs() - 200.0, 40, None) / 40)
        image = image.astype(np.uint16)
        tifffile.imwrite(data / "noisy.tif", image, metadata=axes, compression="zlib", ome=True)
        run(
            tool,
            f"--input={data / 'noisy.tif'}",
            "--rounds=100",
            f"--output={data / 'denoised.tif'}",
        )
    elif tool == "bioimageio_model":
        axes = {"axes": "YX", **SIZES}
        tifffile.imwrite(data / "discs.tif", discs(), metadata=axes, compression="zlib", ome=True)
        write_package(data / "mean.zip")
        given = [f"--input={data / 'discs.tif'}", f"--file={data / 'mean.zip'}"]
        run(tool, *given, "--test=true", f"--output={data / 'mean.tif'}")
        run(tool, *given, "--number=2", "--tile=48", f"--output={data / 'bright.tif'}")
    elif tool == "trackastra_tracks":
        axes = {"axes": "TYX", **SIZES}
        for name, image in zip(("moving", "movie"), moving(), strict=True):
            file = data / f"{name}.tif"
            tifffile.imwrite(file, image, metadata=axes, compression="zlib", ome=True)
        if not (data / "moving.zip").exists():
            train_trackastra(data / "moving.zip")
        given = [f"--labels={data / 'moving.tif'}", f"--image={data / 'movie.tif'}"]
        given += [f"--file={data / 'moving.zip'}"]
        outputs = [f"--linked={data / 'linked'}.tif", f"--tracks={data / 'tracks'}.csv"]
        run(tool, *given, "--distance=2.5", *outputs)
    elif tool == "sam2_prompts":
        image, labels = drawn(np.random.default_rng(31), deep=False)  # they lie apart
        image = (2000 * np.clip(image + 0.2, 0, 2)).astype(np.uint16)
        axes = {"axes": "YX", **SIZES}
        tifffile.imwrite(data / "discs.tif", image, metadata=axes, compression="zlib", ome=True)
        points, boxes = ["index,axis-0,axis-1"], ["index,shape-type,vertex-index,axis-0,axis-1"]
        for at, number in enumerate(np.unique(labels)[1:]):
            place = np.argwhere(labels == number)
            points.append(f"{at},{place.mean(0)[0] + 2:g},{place.mean(0)[1] - 1:g}")
            (top, left), (bottom, right) = place.min(0) - 1, place.max(0) + 1
            corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
            boxes += [f"{at},rectangle,{i},{y},{x}" for i, (y, x) in enumerate(corners)]
        (data / "points.csv").write_text("\n".join(points) + "\n")
        (data / "boxes.csv").write_text("\n".join(boxes) + "\n")
        if not (data / "discs.zip").exists():
            train_sam2(data / "discs.zip")
        given = [f"--input={data / 'discs.tif'}", f"--file={data / 'discs.zip'}"]
        for name, made, table in (("points", "objects", "certainty"), ("boxes", "boxed", "boxed")):
            outputs = [f"--output={data / made}.tif", f"--certainty={data / table}.csv"]
            run(tool, *given, f"--{name}={data / name}.csv", *outputs)


if __name__ == "__main__":
    main()
