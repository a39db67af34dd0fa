"""Writes a model's graphs as people export them: segment-anything's own export, nothing of ours.

    python bench/reference/export_plain.py --model mobile-sam --checkpoint FILE --out FOLDER

``encoder.onnx`` is the official image encoder by PyTorch's exporter, ``decoder.onnx`` the official
``SamOnnxModel`` with ``return_single_mask``, which gives the mask at the picture's size; both with
the options of segment-anything's ``export_onnx_model.py``, at opset 17. What ``edgesam bench``
times as ``onnxruntime-plain`` and ``openvino-plain``. Needs the package onnx beside PyTorch's.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import paths  # noqa: F401  makes edgesam_bench importable without installing it
import torch
from official import OFFICIAL
from weights import load_weights

from segment_anything.utils.onnx import SamOnnxModel  # isort: skip  after the stand-ins

OPSET = 17


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, choices=sorted(OFFICIAL))
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path, help="a folder that exists")
    arguments = parser.parse_args()
    official = OFFICIAL[arguments.model]
    network = load_weights(official.build(), arguments.checkpoint)
    warnings.filterwarnings("ignore")  # the tracer's, about sizes that are meant to be constant
    square = torch.randn(1, 3, official.side, official.side)
    encoder = network.image_encoder
    _export(encoder, {"image": square}, ["image_embeddings"], {}, arguments.out / "encoder.onnx")
    network.mask_threshold = 0.0  # LiteMedSAM's class has none; SamOnnxModel does not use it here
    embedding = torch.randn(1, 256, *network.prompt_encoder.image_embedding_size)
    low = [4 * side for side in network.prompt_encoder.image_embedding_size]
    inputs = {
        "image_embeddings": embedding,
        "point_coords": torch.randint(0, official.side, (1, 2, 2)).float(),
        "point_labels": torch.tensor([[2.0, 3.0]]),
        "mask_input": torch.zeros(1, 1, *low),
        "has_mask_input": torch.zeros(1),
        "orig_im_size": torch.tensor([512.0, 512.0]),
    }
    _export(
        SamOnnxModel(network, return_single_mask=True).eval(),
        inputs,
        ["masks", "iou_predictions", "low_res_masks"],
        {"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}},
        arguments.out / "decoder.onnx",
    )
    return 0


def _export(
    module: torch.nn.Module,
    inputs: dict[str, torch.Tensor],
    outputs: list[str],
    free: dict[str, dict[int, str]],
    path: Path,
) -> None:
    """By the exporter that traces, which is the one that segment-anything was written for."""
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        path,
        input_names=list(inputs),
        output_names=outputs,
        dynamic_axes=free,
        opset_version=OPSET,
        dynamo=False,
    )


if __name__ == "__main__":
    sys.exit(main())
