"""Many prompts in decoder calls of a few. Knows how to join prompts, no engine and no mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from edgesam.preprocess import token_count
from edgesam.prompt import Prompt

PROMPTS_PER_CALL = 4  # more at once are no faster per prompt, and take 30 MB each

Answer = TypeVar("Answer")


def in_calls(
    prompts: Sequence[Prompt], ask: Callable[[list[Prompt]], list[Answer]]
) -> Iterator[Answer]:
    """The answers to all prompts in their order, computed as they are taken.

    Args:
        prompts: of one picture.
        ask: a decoder call; its prompts have equally many tokens.
    """
    for start in range(0, len(prompts), PROMPTS_PER_CALL):
        chunk = prompts[start : start + PROMPTS_PER_CALL]
        groups: dict[int, list[int]] = {}
        for index, prompt in enumerate(chunk):
            groups.setdefault(token_count(prompt), []).append(index)
        answers: dict[int, Answer] = {}
        for indices in groups.values():
            # No name holds the answers: one that was handed out is not kept.
            answers.update(zip(indices, ask([chunk[i] for i in indices]), strict=True))
        yield from (answers.pop(i) for i in range(len(chunk)))
