"""Time `fit_net2vec` for all concepts of a layer against Net2Vec's published shape in PyTorch.

``python benchmarks/bench_concepts.py --photos FOLDER [--quick]`` prints one JSON line per contender, then one with the
ratios.  FOLDER holds ``instances.json`` and ``images`` in COCO's form; with ``--quick`` the data are made up.  Every
contender learns from the same two thirds of the photos; the set IoU is that of the last third, a mean over concepts.

    paper    `fit_net2vec`, the published form: thresholded inputs, SGD
    raw      `fit_net2vec`, the default: raw inputs, AdamW
    torch    one concept after the other: activations thresholded, every channel upsampled, weighed and summed by a
             convolution, the loss and autograd, SGD; initial weights and minibatches are those of "paper"

`first_s` includes compilation, `runs_s` holds the calls after it.  `cosine` is the least of two vectors of a concept,
"paper" and "torch": the same steps were made.
Letters: n photos, k concepts, c channels, h x w grid cells, H x W pixels of the masks.
"""

import argparse
import importlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import machine

import loce_jax
from loce_jax.concepts.segmentation.minibatches import minibatches
from loce_jax.concepts.segmentation.net2vec import fit_net2vec
from loce_jax.concepts.segmentation.net2vec_options import Net2VecOptions
from loce_jax.concepts.segmentation.published_net2vec import initial_weights
from loce_jax.concepts.segmentation.quantiles import channel_thresholds
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.data import open_coco
from loce_jax.feature_spaces.gathering import gather

SIZE = (100, 100)
NETWORK, LAYER = "efficientnet-lite0", "_blocks.10"


def made_up():
    """Activations [n h w c] and masks [n k H W] of half-spaces, each in some of the photos."""
    rng = np.random.default_rng(0)
    activations = np.maximum(rng.normal(size=(30, 7, 7, 16)), 0).astype(np.float32)
    small = np.einsum("nhwc,kc->nkhw", activations, rng.normal(size=(5, 16))) > 1
    small &= rng.random((30, 5, 1, 1)) < 0.5
    return activations, small.repeat(4, axis=2).repeat(4, axis=3)


def photos(folder: Path):
    """Activations and masks of a folder of photos."""
    dataset = open_coco(folder / "instances.json", folder / "images")
    found = gather(loce_jax.load_network(NETWORK), [LAYER], dataset, size=SIZE)
    return found.activations[LAYER], found.masks


def in_torch(activations, masks, epochs: int) -> ConceptVectors:
    """Net2Vec from its description (Fong & Vedaldi, CVPR 2018), one concept at a time."""
    import torch  # noqa: PLC0415 - optional
    from torch.nn.functional import conv2d, interpolate  # noqa: PLC0415

    k, c = masks.shape[1], activations.shape[-1]
    thresholds = channel_thresholds(activations)
    inputs = torch.from_numpy((activations > thresholds).astype(np.float32)).permute(0, 3, 1, 2).contiguous()
    targets = torch.from_numpy(masks)
    images, concepts = np.nonzero(masks.any(axis=(2, 3)))
    steps = np.concatenate(list(minibatches(concepts, batch_size=16, epochs=epochs, seed=0)))
    vectors = initial_weights(k, c, 0)
    for concept in np.unique(concepts):
        weights = torch.nn.Parameter(torch.from_numpy(vectors[concept][None, :, None, None].copy()))
        optimizer = torch.optim.SGD([weights], lr=1e-4, momentum=0.9)
        alpha = float(1 - masks[images[concepts == concept], concept].mean())
        for step in steps:
            batch = images[[pair for pair in step if pair >= 0 and concepts[pair] == concept]]
            if not len(batch):
                continue
            large = interpolate(inputs[batch], size=masks.shape[2:], mode="bilinear", align_corners=False)
            segmented, target = torch.sigmoid(conv2d(large, weights))[:, 0], targets[batch, concept].float()
            agreement = alpha * segmented * target + (1 - alpha) * (1 - segmented) * (1 - target)
            optimizer.zero_grad()
            (-agreement.sum(dim=(1, 2)).mean()).backward()
            optimizer.step()
        vectors[concept] = weights.detach().numpy()[0, :, 0, 0]
    status = np.where(np.isin(np.arange(k), concepts), 0, 2)
    return ConceptVectors(tuple(map(str, range(k))), vectors, np.zeros(k), status, "torch", thresholds)


def timed(fit: Callable[[], ConceptVectors]) -> tuple[float, ConceptVectors]:
    """Seconds of a fit, and what it found."""
    start = time.perf_counter()
    found = fit()
    return time.perf_counter() - start, found


def set_iou(found: ConceptVectors, activations, masks) -> float:
    """The mean over concepts of the set IoU over the photos that show them."""
    both, either = np.zeros((2, masks.shape[1]))
    for image, own in zip(activations, masks, strict=True):
        shown = own.any(axis=(1, 2))
        segmented = np.asarray(found.maps(image, own.shape[1:])) > 0.5
        both += np.where(shown, (segmented & own).sum(axis=(1, 2)), 0)
        either += np.where(shown, (segmented | own).sum(axis=(1, 2)), 0)
    measured = (either > 0) & found.ok
    return float((both[measured] / either[measured]).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder with instances.json and images")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3, help="of loce_jax, after the first")
    parser.add_argument("--quick", action="store_true", help="made-up data and few epochs, as a test")
    flags = parser.parse_args()
    if not flags.quick and flags.photos is None:
        parser.error("--photos is needed, or --quick")
    epochs = 2 if flags.quick else flags.epochs
    activations, masks = made_up() if flags.quick else photos(flags.photos)
    held_out = np.arange(len(activations)) % 3 == 0
    learned = activations[~held_out], masks[~held_out]
    contenders = {
        "paper": lambda: fit_net2vec(*learned, options=Net2VecOptions("paper", epochs=epochs)),
        "raw": lambda: fit_net2vec(*learned, options=Net2VecOptions(epochs=epochs)),
        "torch": lambda: in_torch(*learned, epochs),
    }
    importlib.import_module("torch")  # takes seconds, which are not the contender's
    pairs, seconds, vectors, ious = int(learned[1].any(axis=(2, 3)).sum()), {}, {}, {}
    for name, fit in contenders.items():
        results = [timed(fit) for _ in range(1 if name == "torch" else 1 + flags.runs)]
        times, found = [elapsed for elapsed, _ in results], results[-1][1]
        vectors[name], ious[name] = found, set_iou(found, activations[held_out], masks[held_out])
        seconds[name] = float(np.median(times[1:] or times))
        row = {"contender": name, "grid": "x".join(map(str, activations.shape[1:])), "photos": len(learned[0])}
        row |= {"concepts": int(found.ok.sum()), "pairs": pairs, "epochs": epochs, "first_s": round(times[0], 3)}
        row |= {"runs_s": [round(one, 3) for one in times[1:]], "held_out_iou": round(ious[name], 4)}
        row |= {"ms_per_pair_and_epoch": round(1e3 * seconds[name] / pairs / epochs, 3)}
        print(json.dumps(row | {"load": os.getloadavg()[0]} | machine()), flush=True)
    ours, theirs = (vectors[name].vectors[vectors["paper"].ok] for name in ("paper", "torch"))
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    ratios = {f"torch_over_{name}": round(seconds["torch"] / seconds[name], 1) for name in ("paper", "raw")}
    print(
        json.dumps(
            ratios | {f"iou_{name}": round(iou, 4) for name, iou in ious.items()} | {"cosine": float(cosines.min())}
        )
    )


if __name__ == "__main__":
    main()
