"""All words of the small world, in the order of their token ids."""

from __future__ import annotations

from ares.data.world_settings import World

THINK_OPEN, THINK_CLOSE, BOX = "<think>", "</think>", "\\boxed{"
WORDS = ("user", "assistant", "numbers", "cards", "target", "left", "vs", "yes", "no", "none")
SIGNS = ("+", "-", "x", "=", ",", ".", "}")


def vocabulary(world: World) -> list[str]:
    """Every ordinary word: frame, signs, lexical words by slot, then the numbers.

    The lexical words follow the order of the world file, so the same world gives the same ids.
    """
    language = world.language
    lexical = [*language.fillers, *(w for words in language.markers.values() for w in words)]
    numbers = [str(value) for value in range(world.values[0], world.values[1] + 1)]
    return [THINK_OPEN, THINK_CLOSE, BOX, *WORDS, *SIGNS, *lexical, *numbers]
