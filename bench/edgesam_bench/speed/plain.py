"""The user's way, as contenders: exported graphs, an engine's default options.

Of edgesam it takes only the import of OpenVINO without its telemetry.

python -m edgesam_bench.speed.plain PICTURE GRAPHS MODEL ENGINE THREADS [--once]

ENGINE is ``onnxruntime-plain``, ``openvino-plain`` (both as they come) or ``openvino-plain-f32``.
The graphs are those of ``bench/reference/export_plain.py``; preparing a picture is written as
segment-anything's and LiteMedSAM's own scripts have it, with Pillow and numpy.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgesam_bench.speed import worker
from edgesam_bench.speed.prompts import Box

Arrays = dict[str, NDArray[Any]]


class Graph(Protocol):
    """A graph in an engine."""

    def __call__(self, inputs: Arrays) -> NDArray[np.float32]:
        """Its first output."""


class Plain(worker.Program):
    """See :class:`edgesam_bench.speed.worker.Program`.

    Args:
        picture: a file that Pillow reads.
        graphs: folder of ``encoder.onnx`` and ``decoder.onnx``.
        model: whose preparation it takes, ``lite-medsam`` or another for SAM's.
        engine: see the module.
        threads: None leaves it to the engine.
    """

    def __init__(
        self, picture: Path, graphs: Path, model: str, engine: str, threads: int | None
    ) -> None:
        self._file, self._graphs, self._threads = picture, graphs, threads
        self._lite = model == "lite-medsam"
        self._side = 256 if self._lite else 1024
        self._engine = engine

    def load(self) -> dict[str, Any]:
        opened = _openvino if self._engine.startswith("openvino") else _onnxruntime
        f32 = self._engine.endswith("-f32")
        (self._encoder, self._decoder), about = opened(self._graphs, self._threads, f32)
        self._picture = Image.open(self._file).convert("RGB")
        # For a box, which is two points, the export takes the best judged of the three masks.
        return {**about, "selects": "best"}

    @property
    def size(self) -> tuple[int, int]:
        return self._picture.height, self._picture.width

    def encode(self) -> None:
        self._embedding = self._encoder({"image": self._prepared()})

    def click(self, corners: Box) -> NDArray[np.bool_]:
        height, width = self.size
        coords = np.array(corners, np.float32).reshape(1, 2, 2) * self._scale
        masks = self._decoder(
            {
                "image_embeddings": self._embedding,
                "point_coords": np.trunc(coords) if self._lite else coords,
                "point_labels": np.array([[2, 3]], np.float32),
                "mask_input": np.zeros((1, 1, 256, 256), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
                "orig_im_size": np.array([height, width], np.float32),
            }
        )
        mask: NDArray[np.bool_] = masks[0, 0] > 0
        return mask

    def batch(self, boxes: Sequence[Box]) -> object:
        # The export has no axis for prompts: they are asked one after the other.
        return [self.click(corners) for corners in boxes]

    def _prepared(self) -> NDArray[np.float32]:
        height, width = self.size
        self._scale = np.float32(self._side / max(height, width))
        columns, rows = (int(side * self._scale + 0.5) for side in (width, height))
        if self._lite:
            small = self._picture.resize((columns, rows), Image.Resampling.BOX)
            pixels = np.asarray(small, np.float32)
            pixels = (pixels - pixels.min()) / max(np.ptp(pixels), np.float32(1e-8))
        else:
            large = self._picture.resize((columns, rows), Image.Resampling.BILINEAR)
            pixels = np.array(large, np.float32)
            pixels -= np.array([123.675, 116.28, 103.53], np.float32)
            pixels /= np.array([58.395, 57.12, 57.375], np.float32)
        square = np.zeros((1, 3, self._side, self._side), np.float32)
        square[0, :, :rows, :columns] = pixels.transpose(2, 0, 1)
        return square


def _onnxruntime(
    folder: Path,
    threads: int | None,
    f32: bool,  # noqa: ARG001  it computes what is written
) -> tuple[list[Graph], dict[str, Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads

    def opened(path: Path) -> Graph:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        first = session.get_outputs()[0].name
        return lambda inputs: session.run([first], inputs)[0]

    graphs = [opened(folder / f"{role}.onnx") for role in ("encoder", "decoder")]
    return graphs, {"version": onnxruntime.__version__, "precision": "f32"}


def _openvino(folder: Path, threads: int | None, f32: bool) -> tuple[list[Graph], dict[str, Any]]:
    from edgesam.engines.openvino.graph import import_openvino

    openvino = import_openvino()  # without its telemetry
    core = openvino.Core()
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"} if f32 else {}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    precisions = []

    def opened(path: Path) -> Graph:
        compiled = core.compile_model(path, "CPU", options)
        precisions.append(str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string()))
        return lambda inputs: compiled(inputs)[0]

    graphs = [opened(folder / f"{role}.onnx") for role in ("encoder", "decoder")]
    version = openvino.get_version().partition("-")[0]
    return graphs, {"version": version, "precision": ", ".join(sorted(set(precisions)))}


def main() -> int:
    """Command line."""
    picture, graphs, model, engine, threads, *more = sys.argv[1:]
    number = None if threads == "default" else int(threads)
    return worker.main(Plain(Path(picture), Path(graphs), model, engine, number), more)


if __name__ == "__main__":
    sys.exit(main())
