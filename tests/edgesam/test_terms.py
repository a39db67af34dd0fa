"""Names become DICOM's coded terms, or stay what they are."""

from __future__ import annotations

import pytest

from edgesam import Code, Label
from edgesam.formats.dicom.terms import with_terms

# SNOMED CT, as PS3.16 CID 7192 and CID 7159 list them.
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
KIDNEY = Code("64033007", "SCT", "Kidney")


@pytest.mark.parametrize(
    ("name", "value", "category"),
    [
        ("liver", "10200004", "91723000"),
        ("Liver ", "10200004", "91723000"),
        ("LEFT VENTRICLE", "87878005", "91723000"),
        ("neoplasm", "108369006", "49755003"),
    ],
)
def test_a_name_that_is_a_term(name: str, value: str, category: str) -> None:
    label = with_terms(Label(name))
    assert (label.type.value, label.category.value) == (value, category)
    assert label.name == name


def test_the_side_stays_in_the_name() -> None:
    label = with_terms(Label("left kidney"))
    assert label.name == "left kidney"
    assert label.type == KIDNEY
    assert label.category.value == ANATOMY.value


@pytest.mark.parametrize("name", ["object 1", "", "!", "class", "left thing", "__class__"])
def test_a_name_that_is_none(name: str) -> None:
    assert with_terms(Label(name)) == Label(name)


def test_a_type_of_one_s_own_is_kept() -> None:
    own = Label("liver", ANATOMY, KIDNEY)
    assert with_terms(own) == own
