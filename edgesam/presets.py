"""Windows for CT by what they show, and where their numbers were read; knows numbers only.

docs/windows.md is the same table for people, with what other sources say; a test holds the two
together.
"""

from __future__ import annotations

from typing import NamedTuple


class Preset(NamedTuple):
    """Level and width in Hounsfield units.

    Attributes:
        level: the centre.
        width: from black to white.
        source: where these very numbers were read.
    """

    level: float
    width: float
    source: str


_MEDSAM = "MedSAM, pre_CT_MR.py"
_RADIOPAEDIA = "Radiopaedia, Windowing (CT)"

#: Institutions differ; these are common values. "abdomen" and "soft-tissue" are what MedSAM's
#: weights were trained on.
PRESETS: dict[str, Preset] = {
    "abdomen": Preset(40, 400, _MEDSAM),
    "soft-tissue": Preset(40, 400, _MEDSAM),
    "liver": Preset(30, 150, _RADIOPAEDIA),
    "lung": Preset(-600, 1500, _RADIOPAEDIA),
    "mediastinum": Preset(50, 350, _RADIOPAEDIA),
    "bone": Preset(400, 1800, _RADIOPAEDIA),
    "spine": Preset(50, 250, _RADIOPAEDIA),
    "temporal-bone": Preset(600, 2800, _RADIOPAEDIA),
    "brain": Preset(40, 80, _RADIOPAEDIA),
    "stroke": Preset(40, 40, _RADIOPAEDIA),
    "subdural": Preset(80, 200, "RSNA haemorrhage notebooks"),
    "cta": Preset(170, 600, "ctviewer"),
}
