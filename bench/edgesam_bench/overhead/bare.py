"""The peer: numpy, Pillow and onnxruntime, as short as people write it. Does not import edgesam.

python bare.py IMAGE ENCODER IMAGE_SIDE DECODER {mobile-sam|lite-medsam}
"""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime
from PIL import Image

from edgesam_bench.overhead.task import Box, report

image_path, encoder_path, side_path, decoder_path, model = sys.argv[1:]
square = 1024 if model == "mobile-sam" else 256

encoder = onnxruntime.InferenceSession(encoder_path, providers=["CPUExecutionProvider"])
image_side = onnxruntime.InferenceSession(side_path, providers=["CPUExecutionProvider"])
decoder = onnxruntime.InferenceSession(decoder_path, providers=["CPUExecutionProvider"])

picture = Image.open(image_path).convert("RGB")
width, height = picture.size
scale = square / max(width, height)
columns, rows = int(width * scale + 0.5), int(height * scale + 0.5)
if model == "mobile-sam":
    pixels = np.array(picture.resize((columns, rows), Image.Resampling.BILINEAR), np.float32)
    pixels -= np.array([123.675, 116.28, 103.53], np.float32)
    pixels /= np.array([58.395, 57.12, 57.375], np.float32)
else:
    pixels = np.asarray(picture.resize((columns, rows), Image.Resampling.BOX), np.float32)
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
square_input = np.zeros((1, 3, square, square), np.float32)
square_input[0, :, :rows, :columns] = pixels.transpose(2, 0, 1)
embedding = encoder.run(None, {"image": square_input})[0]
nothing = {
    "mask_input": np.zeros((1, 1, 256, 256), np.float32),
    "has_mask_input": np.zeros(1, np.float32),
}
names = [output.name for output in image_side.get_outputs()]
answers = image_side.run(None, {"image_embeddings": embedding, **nothing})
side = dict(zip(names, answers, strict=True))


def segment(box: Box) -> int:
    logits, _ = decoder.run(
        None,
        {
            **side,
            "point_coords": np.array(box, np.float32).reshape(1, 2, 2) * np.float32(scale),
            "point_labels": np.array([[2, 3]], np.int32),
            "mask_tokens": np.zeros(1, np.int64),
        },
    )
    low = Image.fromarray(logits[0, 0])
    if square != 256:
        low = low.resize((square, square), Image.Resampling.BILINEAR)
    low = low.crop((0, 0, columns, rows)).resize((width, height), Image.Resampling.BILINEAR)
    return int(np.count_nonzero(np.asarray(low) > 0))


report(segment)
