"""The same work through edgesam, as a program that embeds it.

python embedded.py IMAGE BUNDLE
"""

from __future__ import annotations

import sys

import edgesam
from edgesam_bench.overhead.task import Box, report

image_path, bundle = sys.argv[1:]
sam = edgesam.load(bundle)
embedding = sam.embed(edgesam.read(image_path))


def segment(box: Box) -> int:
    return sam.segment(embedding, edgesam.Prompt.box(*box)).area


report(segment)
