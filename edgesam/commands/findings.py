"""What ``edgesam doctor`` found, and how it is told; looks at nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: what was looked at.
        state: ``note`` is worth knowing and no fault.
        text: what was found, and what to do about a problem; one line.
    """

    check: str
    state: Literal["ok", "note", "problem"]
    text: str


def tell(found: Iterable[Finding], *, as_json: bool, **more: Any) -> int:
    """Prints the findings, as they come if a person reads them; 1 if one of them is a problem.

    Args:
        found: in order.
        as_json: one JSON object at the end, with whatever else is given.
    """
    findings: list[Finding] = []
    for finding in found:
        findings.append(finding)
        if not as_json:
            print(f"{finding.state:7}  {finding.check}: {finding.text}", flush=True)
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        print(json.dumps({"ok": not problems, **more, "findings": findings}, default=asdict))
    else:
        count = f"{problems} problem{'s' if problems > 1 else ''}"
        print(f"\n{count} found." if problems else "\nNo problem found.")
    return 1 if problems else 0
