"""From prompts to masks: what the decoder is asked, what becomes of its answer. Knows no engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edgesam.calls import in_calls
from edgesam.embedding import Embedding
from edgesam.engines import Answer, Prompts
from edgesam.manifest import Manifest
from edgesam.mask import Mask
from edgesam.postprocess import finished_mask, make_mask, mask_frame
from edgesam.preprocess import decoder_inputs
from edgesam.prompt import Prompt
from edgesam.provenance import Provenance
from edgesam.selection import Selection
from edgesam_kernels.finish import MaskFrame

Ask = Callable[[Embedding, Prompts, Sequence[int], MaskFrame], Answer]


def answers(
    embedding: Embedding,
    prompts: Sequence[Prompt],
    selection: Selection,
    manifest: Manifest,
    provenance: Provenance,
    ask: Ask,
) -> Iterator[tuple[Mask, ...]]:
    """Of each prompt the masks that were selected, computed chunk by chunk as they are taken.

    Args:
        embedding: of the picture.
        prompts: checked.
        selection: which masks.
        manifest: of the model.
        provenance: for the masks.
        ask: a decoder call.
    """
    fit, profile, tokens = embedding.fit, manifest.profile, selection.tokens
    frame = mask_frame(manifest.low_resolution, fit, profile)
    known = embedding.place, provenance

    def some(chunk: list[Prompt]) -> list[tuple[Mask, ...]]:
        inputs = decoder_inputs(chunk, fit, profile, manifest.low_resolution)
        answer = ask(embedding, inputs, tokens, frame)

        def mask(row: int, i: int) -> Mask:
            low, score = answer.logits[row, i], answer.iou[row, tokens[i]]
            if answer.masks is None:
                return make_mask(low, score, fit, profile, *known)
            return finished_mask(answer.masks, row * len(tokens) + i, low, score, *known)

        chosen = selection.chosen(answer.logits, answer.iou, fit)
        return [tuple(mask(row, i) for i in outputs) for row, outputs in enumerate(chosen)]

    return in_calls(prompts, some)
