r"""Computer algebra in a process of its own: `python -m ares.answers.worker`.

Reads one JSON request per line, writes one JSON reply per line, ends with its input. sympy can take
any time and any memory over a harmless-looking answer (9^{9^{9^{9}}}), and neither a signal nor a
thread stops it everywhere; a process can be killed. Memory is limited here, time by the parent
(`ares.answers.algebra`), and by an alarm if the parent is gone.
"""

from __future__ import annotations

import json
import math
import re
import resource
import signal
import sys
from functools import lru_cache
from typing import Any

from ares.answers.compare import UnreadableAnswer, UnreadableGold, equal
from ares.answers.values import read, rounds_to

#: Address space of the worker.
MEMORY_BYTES = 2 << 30
#: Seconds per request that a worker without a parent may take.
ALARM_S = 120

_FUNCTIONS = "arcsin|arccos|arctan|sin|cos|tan|cot|ln|log|sqrt|pi|infty"
_FUNCTION = re.compile(rf"(?<![\\A-Za-z])({_FUNCTIONS})(?![A-Za-z])")
_ARITHMETIC = re.compile(r"[\d\s+\-*/^().]*\d[\d\s+\-*/^().]*")
_ROOT_CALL = re.compile(r"\\sqrt\s*\(([^()]*)\)")


def main() -> None:
    """Answer requests until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not break the line
    _read("1+x")  # load the grammar before the clock of a request runs
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        signal.alarm(ALARM_S)
        reply = decide(**json.loads(line))
        signal.alarm(0)
        print(json.dumps(reply), file=replies, flush=True)


def decide(gold: str, answer: str, letters: bool) -> dict[str, Any]:
    """{"equal": bool} or, where that can't be told, {"problem": what is wrong}; maybe a "note"."""
    try:
        return {"equal": equal(gold, answer, letters, algebra)}
    except UnreadableGold:
        return {"problem": "the gold answer can't be read"}
    except UnreadableAnswer:
        return {"equal": False, "note": "the answer can't be read"}
    except MemoryError:
        return {"problem": "out of memory"}
    except RecursionError:
        return {"problem": "nested too deeply"}


def algebra(gold: str, answer: str) -> bool:
    """math-verify's verdict on two plain texts that are no lists.

    Raises:
        UnreadableGold, UnreadableAnswer: math-verify reads one of them as no expression.
    """
    from math_verify import verify  # type: ignore[import-untyped]

    ours = _read(gold)
    if ours is None:
        raise UnreadableGold
    theirs = _read(answer)
    if theirs is None:
        raise UnreadableAnswer
    for text, other in ((gold, theirs), (answer, ours)):
        value = read(text)
        if value is not None and value.place is not None:
            number = _real(other)
            return number is not None and rounds_to(number, value)
    return bool(verify(ours, theirs, timeout_seconds=None, allow_set_relation_comp=True))


@lru_cache(maxsize=256)
def _read(text: str) -> Any:
    """The sympy object of a plain text, or None.

    As LaTeX; plain arithmetic also as an expression. math-verify would fall back to the last
    number of any text, which makes "3 apples or 5" a 5: such fallbacks are off.
    """
    from latex2sympy2_extended import NormalizationConfig  # type: ignore[import-untyped]
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    text = _ROOT_CALL.sub(r"\\sqrt{\1}", _FUNCTION.sub(r"\\\1", text))
    normal = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none"
    )
    latex = LatexExtractionConfig(boxed_match_priority=-1, normalization_config=normal)
    found = _parsed(parse, f"$${text}$$", [latex])
    if found is None and _ARITHMETIC.fullmatch(text):
        found = _parsed(parse, text, [ExprExtractionConfig()])
    return found


def _parsed(parse: Any, text: str, configs: list[Any]) -> Any:
    found = parse(text, configs, fallback_mode="no_fallback", parsing_timeout=None)
    return found[0] if found else None


def _real(expression: Any) -> float | None:
    """The value of a real constant, to about 15 digits."""
    from sympy import Expr  # type: ignore[import-untyped]

    if not isinstance(expression, Expr) or expression.free_symbols:
        return None
    value = expression.doit().evalf(15)
    number = float(value) if value.is_Float or value.is_Rational else math.nan
    return number if math.isfinite(number) else None


if __name__ == "__main__":
    main()
