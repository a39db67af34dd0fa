"""All of a graph, or what lies before or behind one of its values. Compiles nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgesam.errors import BundleError


@dataclass(frozen=True)
class Part:
    """Where a part of a graph ends or begins.

    Attributes:
        until: its only output, None for the graph's own.
        after: its only input, None for the graph's own.
    """

    until: str | None = None
    after: str | None = None

    @property
    def facts(self) -> tuple[str, ...]:
        """What a compiled part depends on beside the graph."""
        ends = ("until", self.until), ("after", self.after)
        return tuple(f"{end} {name}" for end, name in ends if name is not None)

    def of(self, model: Any) -> Any:
        """The part of an ``ov.Model``, which must not be used afterwards.

        Raises:
            BundleError: the value is not there, or is not all that the rest needs.
        """
        cut = self.until or self.after
        if cut is None:
            return model
        import openvino

        values = (value for op in model.get_ordered_ops() for value in op.outputs())
        value = next((value for value in values if cut in value.get_names()), None)
        if value is None:
            raise BundleError(f"it has no value {cut!r} to be cut at; export the bundle again")
        try:
            if self.until is not None:
                return openvino.Model([value], model.get_parameters())
            begin = openvino.opset1.parameter(value.get_partial_shape(), value.get_element_type())
            users = value.get_target_inputs()
            begin.output(0).set_names({cut})
            for user in users:
                user.replace_source_output(begin.output(0))
            return openvino.Model(model.get_results(), [begin])
        except RuntimeError:
            raise BundleError(
                f"it cannot be cut at {cut!r}, because more than this value is needed behind it; "
                "export the bundle again"
            ) from None
