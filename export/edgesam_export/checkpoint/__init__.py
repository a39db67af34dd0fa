"""Reading PyTorch checkpoints without PyTorch; knows files and tensors, no model and no graph.

A checkpoint is read as data. Its pickle runs in a small machine of our own that can build
containers and tensor descriptions and nothing else, so an untrusted file can at worst be refused.
"""

from edgesam_export.checkpoint.checkpoint import Checkpoint
from edgesam_export.checkpoint.reading import read_checkpoint

__all__ = ["Checkpoint", "read_checkpoint"]
