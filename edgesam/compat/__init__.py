"""segment-anything's own interface over edgesam: numpy in, numpy out. Knows no engine and no file.

    from edgesam.compat import SamPredictor, SamAutomaticMaskGenerator, sam_model_registry

replaces ``from segment_anything import ...`` in a program that exists. Names, arguments, defaults,
shapes, numbers and what is accepted are those of facebookresearch/segment-anything; with a bundle
whose profile is not SAM's, resizing, prompts and masks follow that profile, so that the same calls
are right for it. Where it differs, it does so on purpose:

- Results are numpy arrays where the official code gives tensors (``predict_torch``,
  ``get_image_embedding``, the model called directly, the ``_torch`` transforms): leave out
  ``.cpu().numpy()``. Arguments may be anything that ``numpy.asarray`` takes, CPU tensors included.
- ``checkpoint`` may also be a bundle's folder or a known model's name; a ``.pth`` file runs through
  the bundle that was exported from exactly it. What it is decides, not the registry's key. Without
  a checkpoint the known model of that key is loaded: there are no random weights.
- ``device`` is a string; ``to`` reloads the engine there, or raises.
- A wrong shape or a missing part is a ValueError that says so, where the official code asserts or
  breaks inside PyTorch. So are point labels other than 1, 0 and -1, which would mean nothing.
- A kind of prompt that the weights were not trained for is a PromptError.
- ``set_torch_image`` rounds to whole grey levels, which is what ``transform.apply_image`` gives,
  and needs them between 0 and 255.
- The generator cleans small regions and writes COCO's RLE without opencv and pycocotools.
"""

from edgesam.compat.generator import SamAutomaticMaskGenerator
from edgesam.compat.model import SamModel
from edgesam.compat.predictor import SamPredictor
from edgesam.compat.registry import (
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    build_sam_vit_t,
    sam_model_registry,
)
from edgesam.compat.transforms import ResizeLongestSide

__all__ = [
    "ResizeLongestSide",
    "SamAutomaticMaskGenerator",
    "SamModel",
    "SamPredictor",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "sam_model_registry",
]
