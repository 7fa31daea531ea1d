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

from ares.answers.compare import UnreadableAnswer, UnreadableGold, decide
from ares.answers.refute import certainly_differ, exact
from ares.answers.values import read, rounds_to

#: Address space of the worker.
MEMORY_BYTES = 2 << 30
#: Seconds per request that a worker without a parent may take.
ALARM_S = 120

_FUNCTIONS = "arcsin|arccos|arctan|sin|cos|tan|cot|ln|log|sqrt|pi|infty"
_FUNCTION = re.compile(rf"(?<![\\A-Za-z])({_FUNCTIONS})(?![A-Za-z])")
_LETTER_OR_COMMAND = re.compile(r"\\[A-Za-z]+|[A-Za-z]")
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
        reply = decide(**json.loads(line), algebra=algebra)
        signal.alarm(0)
        print(json.dumps(reply), file=replies, flush=True)


def algebra(gold: str, answer: str) -> bool:
    """math-verify's verdict on two plain texts that are no lists.

    Raises:
        UnreadableGold, UnreadableAnswer: math-verify reads one of them as no expression.
    """
    from math_verify import verify  # type: ignore[import-untyped]

    fold = _one_case(gold) and _one_case(answer)
    ours = _read(gold, fold)
    if ours is None:
        raise UnreadableGold
    theirs = _read(answer, fold)
    if theirs is None:
        raise UnreadableAnswer
    for text, other in ((gold, theirs), (answer, ours)):
        value = read(text)
        if value is not None and value.place is not None:
            number = _real(other)
            return number is not None and rounds_to(number, value)
    if certainly_differ(ours, theirs):
        return False
    return bool(verify(ours, theirs, timeout_seconds=None, allow_set_relation_comp=True))


def _one_case(text: str) -> bool:
    """Whether no letter stands there both small and capital, as in R - r."""
    names = set(_LETTER_OR_COMMAND.findall(text))
    return len({name.lower() for name in names}) == len(names)


@lru_cache(maxsize=256)
def _read(text: str, fold: bool = True) -> Any:
    """The sympy object of a plain text, read as LaTeX; None if that can't be done.

    As math-verify reads it, but for its fall-backs: it would take the last number of any text
    ("3 apples or 5" is no 5), and hand arithmetic to Python's `eval`.

    Args:
        fold: whether capital letters are small ones.
    """
    from latex2sympy2_extended import (  # type: ignore[import-untyped]
        NormalizationConfig,
        latex2sympy,
        normalize_latex,
    )
    from latex2sympy2_extended.latex2sympy2 import (  # type: ignore[import-untyped]
        ConversionConfig,
    )
    from math_verify.grader import should_treat_as_complex  # type: ignore[import-untyped]

    text = _ROOT_CALL.sub(r"\\sqrt{\1}", _FUNCTION.sub(r"\\\1", text))
    normal = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none"
    )
    latex = normalize_latex(text, normal)
    config = ConversionConfig(lowercase_symbols=fold)
    real = not should_treat_as_complex(latex)
    try:
        found = latex2sympy(
            latex, is_real=real, normalization_config=None, conversion_config=config
        )
    except (MemoryError, RecursionError):
        raise
    except Exception:  # what the library raises for a text that it can't read
        return None
    return exact(found)


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
