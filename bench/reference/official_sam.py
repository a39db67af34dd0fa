"""SAM's ViT-B, L and H through segment-anything's SamPredictor; knows no file of ours.

A fourth, small network of the same classes is for tests that have no time for a real one: a block
with windows, which the grid's side is no multiple of, and one without, on pictures of 128 pixels.
"""

from __future__ import annotations

from functools import partial

import stand_ins
import torch
from official_predictor import OfficialPredictor

stand_ins.install()

from segment_anything import SamPredictor, sam_model_registry  # noqa: E402  after the stand-ins
from segment_anything.modeling import (  # noqa: E402
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)


class OfficialSam(OfficialPredictor):
    """See :class:`OfficialPredictor`. A subclass names one of the registry's sizes."""

    packages = ("segment-anything",)
    recipe = "segment_anything.SamPredictor"
    predictor = SamPredictor
    size: str

    @classmethod
    def build(cls) -> torch.nn.Module:
        """The official network, as it is before it has its weights."""
        return sam_model_registry[cls.size]()


class OfficialSamVitB(OfficialSam):
    name = "sam-vit-b"
    size = "vit_b"


class OfficialSamVitL(OfficialSam):
    name = "sam-vit-l"
    size = "vit_l"


class OfficialSamVitH(OfficialSam):
    name = "sam-vit-h"
    size = "vit_h"


class OfficialSamVitTest(OfficialSam):
    """The small one: its grid of 8 x 8 tokens is padded to 9 x 9 for windows of 3 x 3."""

    name = "sam-vit-test"
    side = 128

    @classmethod
    def build(cls) -> torch.nn.Module:
        """As ``_build_sam`` does, with smaller numbers for the encoder."""
        grid = cls.side // 16
        return Sam(
            image_encoder=ImageEncoderViT(
                img_size=cls.side,
                patch_size=16,
                embed_dim=64,
                depth=2,
                num_heads=2,
                mlp_ratio=4,
                out_chans=256,
                qkv_bias=True,
                norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
                use_rel_pos=True,
                window_size=3,
                global_attn_indexes=(1,),
            ),
            prompt_encoder=PromptEncoder(
                embed_dim=256,
                image_embedding_size=(grid, grid),
                input_image_size=(cls.side, cls.side),
                mask_in_chans=16,
            ),
            mask_decoder=MaskDecoder(
                num_multimask_outputs=3,
                transformer=TwoWayTransformer(
                    depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8
                ),
                transformer_dim=256,
                iou_head_depth=3,
                iou_head_hidden_dim=256,
            ),
        )
