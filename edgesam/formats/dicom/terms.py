"""DICOM's coded terms for what people call things, by pydicom's copy of PS3.16; invents none."""

from __future__ import annotations

from dataclasses import replace

from edgesam.labels import Code, Label

# Context groups of segmented property types, and the category that each belongs to.
_GROUPS = (
    ("cid7192", "AnatomicalStructure"),
    ("cid7159", "MorphologicallyAbnormalStructure"),
    ("cid7166", "Tissue"),
    ("cid7193", "PhysicalObject"),
)
_SIDES = ("left ", "right ")


def with_terms(label: Label) -> Label:
    """The label with the type and category that its name stands for, if DICOM has such a term.

    ``liver``, ``left ventricle`` and ``neoplasm`` are terms; of ``left kidney`` the type is Kidney,
    and the side stays in the name. A label that has a type of its own keeps it.
    """
    if label.type != Label("").type:
        return label
    name = label.name.strip().lower()
    for spoken in (name, *(name[len(side) :] for side in _SIDES if name.startswith(side))):
        found = _term(spoken)
        if found is not None:
            return replace(label, category=found[0], type=found[1])
    return label


def _term(name: str) -> tuple[Code, Code] | None:
    """Category and type."""
    from pydicom.sr.codedict import codes

    keyword = "".join(word.capitalize() for word in name.replace("-", " ").split())
    for group, category in _GROUPS:
        concepts = getattr(codes, group)
        if keyword in dir(concepts):
            concept = getattr(concepts, keyword)
            of = getattr(codes.SCT, category)
            return (
                Code(of.value, of.scheme_designator, of.meaning),
                Code(concept.value, concept.scheme_designator, concept.meaning),
            )
    return None
