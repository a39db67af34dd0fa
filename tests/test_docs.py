"""The figures in the documents are those of bench/results, and links lead somewhere."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgesam.models import MODELS

# Measured with real weights; SAM's ViTs and MedSAM, whose weights cannot be had here, are not.
MEASURED = ("lite-medsam", "mobile-sam")

ROOT = Path(__file__).parent.parent
PASSPORTS = ROOT / "bench" / "edgesam_bench" / "passports"
README = (ROOT / "README.md").read_text("utf-8")
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "bench" / "results" / name).read_text("utf-8"))
    return found


@pytest.mark.parametrize("model", MEASURED)
def test_the_parity_table(model: str) -> None:
    report = results(f"parity-{model}.json")
    iou = report["mask_iou"]
    row = (
        f"| `{model}` | {report['pictures']['n']} | {report['embedding_error']['worst']:.1e} "
        f"| {iou['n']} | {iou['mean']:.6f} | {iou['p5']:.6f} | {iou['worst']:.6f} "
        f"| {(report['tiny'] or {'n': 0})['n']} / {report['empty']['n']} |"
    )
    assert row in README


@pytest.mark.parametrize("model", ["sam-vit-b", "sam-vit-l", "sam-vit-h", "medsam"])
def test_the_vit_table(model: str) -> None:
    report = results("parity-vit.json")["models"][model]
    recipes = report["recipes"]
    worst = [
        f"{recipes[recipe][f'{what}_error']['worst']:.1e}"
        for recipe in ("peaked", "gentle")
        for what in ("embedding", "logits")
    ]
    assert f"| `{model}` | {' | '.join(worst)} |" in README
    assert report["failures"] == []


def test_the_page_of_costs() -> None:
    from edgesam_bench.cost.table import markdown

    page = (ROOT / "docs" / "vit.md").read_text("utf-8")
    assert page == markdown(results("vit-cost.json"))


def test_the_page_of_speed() -> None:
    from edgesam_bench.speed.page import markdown

    reports = [results(f"speed-{model}.json") for model in MEASURED]
    assert (ROOT / "docs" / "speed.md").read_text("utf-8") == markdown(reports)
    assert not any(report["quick"] for report in reports)
    for model, report in zip(MEASURED, reports, strict=True):
        assert report["graphs"] == results(f"parity-{model}.json")["graphs"], "of other graphs"


def test_the_page_of_scenarios() -> None:
    from edgesam_bench.scenario.page import markdown

    reports = [results(f"scenario-{name}.json") for name in ("viewer", "cine", "batch")]
    assert (ROOT / "docs" / "scenarios.md").read_text("utf-8") == markdown(reports)
    assert not any(report["quick"] or report["failures"] for report in reports)


def test_int8_by_ones_own_pictures() -> None:
    passport = results("int8-calibrated-lite-medsam.json")
    found, tried = passport["mask_iou"], passport["tried"]
    chosen = max(one["nodes"] for one in tried if not one["failures"])
    words = " ".join((ROOT / "docs" / "performance.md").read_text("utf-8").split())
    assert f"of {len(tried)} sets that were tried {chosen} products" in words
    figures = f"mean {found['mean']:.3f}, 5th percentile {found['p5']:.3f}"
    judged = f"{passport['pictures']['n']} held-out pictures gave {found['n']} masks"
    assert f"{judged}, {figures}, worst {found['worst']:.3f}" in words
    fp32 = results("parity-lite-medsam.json")["graphs"]
    assert passport["reference"]["graphs"] == fp32, "of other graphs"


def test_the_automatic_masks() -> None:
    report = results("everything.json")
    found = report["all"]
    words = " ".join(README.split())
    assert (
        f"{found['pictures']} medical pictures, MobileSAM, the official defaults): the official "
        f"generator finds {found['official']} masks, edgesam {found['ours']}; "
        f"{found['same']:.1%} of them".replace("%", " %")
        in words
    )
    assert f"the worst with {found['worst']:.4f}, in {found['ratio']:.2f} × the time" in words
    assert report["failures"] == []


def test_the_models_that_were_measured_are_those_with_a_passport() -> None:
    assert set(MEASURED) <= set(MODELS)
    kinds = ("fp32", "fp16", "int8")
    names = {f"{model}.{variant}.json" for model in MEASURED for variant in kinds}
    assert {file.name for file in PASSPORTS.glob("*.json")} == names


@pytest.mark.parametrize("model", MEASURED)
def test_the_passport_is_the_parity_report(model: str) -> None:
    passport = json.loads((PASSPORTS / f"{model}.fp32.json").read_text("utf-8"))
    report = results(f"parity-{model}.json")
    assert passport["graphs"] == report["graphs"]
    assert passport["mask_iou"] == report["mask_iou"]
    assert report["failures"] == []


def test_the_fp16_table() -> None:
    for model in MEASURED:
        report = results(f"fp16-{model}.json")
        passport = json.loads((PASSPORTS / f"{model}.fp16.json").read_text("utf-8"))
        assert (passport["graphs"], report["failures"]) == (report["graphs"], [])
        figures = [
            f"{one['n']} | {one['mean']:.3f} | {one['p5']:.3f} | {one['worst']:.3f}"
            for one in (report["mask_iou"], report["by_prompt"]["box"])
        ]
        assert f"| `{model}` | {report['pictures']['n']} | {' | '.join(figures)} |" in PERFORMANCE


def test_the_int8_table() -> None:
    for model in MEASURED:
        report = results(f"int8-{model}.json")
        iou, boxes = report["mask_iou"], report["by_prompt"]["box"]
        row = " | ".join(
            f"{f['n']} | {f['mean']:.3f} | {f['p5']:.3f} | {f['worst']:.3f}" for f in (iou, boxes)
        )
        assert f"| `{model}` | {report['pictures']['n']} | {row} |" in PERFORMANCE
        shipped = (PASSPORTS / f"{model}.int8.json").exists()
        assert shipped == (not report["failures"]), "what fails the gate does not ship"


@pytest.mark.parametrize("model", MEASURED)
def test_the_overhead_table(model: str) -> None:
    figures = results("overhead.json")["models"][model]
    ratios = [
        f"{figures[name]['ratio']['median']:.2f}"
        for name in ("start_to_mask", "click", "peak_memory")
    ]
    row = f"| `{model}` | {' | '.join(ratios)} |"
    assert row in README
    assert row in PERFORMANCE


def test_the_accuracy_page_is_of_these_graphs() -> None:
    report = results("accuracy.json")
    page = (ROOT / "docs" / "accuracy.md").read_text("utf-8")
    for model in MEASURED:
        assert report["models"][model]["graphs"] == results(f"parity-{model}.json")["graphs"]
        assert f"{report['models'][model]['all']['mean']:.3f}" in page


def test_the_time_of_opening() -> None:
    found = results("opening.json")
    page = " ".join((ROOT / "docs" / "volumes.md").read_text("utf-8").split())
    assert (
        f"a series of {found['slices']} slices of 512 × 512 opens in {found['open_seconds']:.1f} s "
        f"and {found['peak_mib']:.0f} MiB" in page
    )


def test_the_alignment_table() -> None:
    page = (ROOT / "docs" / "volumes.md").read_text("utf-8")
    for organ, found in results("alignment.json")["organs"].items():
        figures = " | ".join(f"{found[name]:.3f}" for name in ("mean", "worst", "turned"))
        assert f"| {organ} | {found['slices']} | {figures} |" in page


def test_the_table_of_half() -> None:
    page = (ROOT / "docs" / "streaming.md").read_text("utf-8")
    report = results("half.json")
    assert set(report["models"]) == set(MEASURED)
    assert f"{report['pictures']} medical pictures of nine modalities" in page
    for model, kinds in report["models"].items():
        for kind, f in kinds.items():
            row = f"| `{model}` | {kind} | {f['n']} | {f['mean']:.5f} | {f['p5']:.5f} "
            same_as_boxes = model == "lite-medsam" and kind == "all"
            assert f"{row}| {f['worst']:.4f} |" in page or same_as_boxes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
