r"""Computer algebra in a process of its own: `python -m ares.evaluation.algebra`.

Reads one JSON request per line, writes one JSON reply per line, ends with its input. sympy can take
any time and any memory over a harmless-looking answer (9^{9^{9^{9}}}), and neither a signal nor a
thread stops it everywhere; a process can be killed. Memory is limited here, time by the parent
(`AlgebraWorker`), and by an alarm if the parent is gone.

The verdict is math-verify's, unless numbers show that two objects differ (`certainly_differ`):
math-verify takes numbers for equal whose difference is below 1e-15 (10^{-20} and 10^{-21}), and
equations for equal that have no real solution (x^2+1=0 and x^2+2=0). Here values are compared by
their ratio, to 20 digits, and symbols get values too.
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import ares
from ares.errors import UserError
from ares.evaluation.compare import UNREADABLE_ANSWER, UNREADABLE_GOLD, Unreadable, decide
from ares.evaluation.values import read, rounds_to

#: Address space of the process.
MEMORY_BYTES = 2 << 30
#: Seconds per request that the process may take without a parent.
ALARM_S = 120

#: Seconds that the start may take (importing sympy and the LaTeX grammar takes about one).
START_S = 120.0
#: Replies that are kept: samples of one question often end in the same answer.
REMEMBERED = 10_000

#: Relative difference from which on two numbers, computed to 30 digits, are not the same.
_GAP = 1e-20
_DIGITS = 30
#: sympy computes a zero that it does not see, such as (2 - 2)^2, to something like 1e-279.
_NOTHING = 1e-100
#: Sets of values for the symbols.
_POINTS = 3

_FUNCTIONS = "arcsin|arccos|arctan|sin|cos|tan|cot|ln|log|sqrt|pi|infty"
_FUNCTION = re.compile(rf"(?<![\\A-Za-z])({_FUNCTIONS})(?![A-Za-z])")
_LETTER_OR_COMMAND = re.compile(r"\\[A-Za-z]+|[A-Za-z]")
_ROOT_CALL = re.compile(r"\\sqrt\s*\(([^()]*)\)")


class NoReply(Exception):
    """The process was killed or died over a request; the message says why."""


class AlgebraWorker:
    """One process that runs this module, started when first asked.

    Safe to share between threads: requests wait for one another. A request that exceeds the time
    limit kills the process; the next one starts another.
    """

    def __init__(self, time_limit_s: float) -> None:
        self.time_limit_s = time_limit_s
        self._process: subprocess.Popen[str] | None = None
        self._known = lru_cache(REMEMBERED)(self._asked)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def decide(self, gold: str, answer: str, letters: bool) -> tuple[str, str]:
        """Status and note, as `decide` gives them.

        Raises:
            NoReply: it took longer than the limit, or the process died.
            UserError: the process does not start.
        """
        with self._lock:
            return self._known(gold, answer, letters)

    def _asked(self, *request: str | bool) -> tuple[str, str]:
        if self._process is None or self._process.poll() is not None:
            self._start()
        status, note = json.loads(self._exchange(json.dumps(request) + "\n", self.time_limit_s))
        return status, note

    def close(self) -> None:
        """End the process. The worker may be asked again."""
        with self._lock:
            self._kill()

    def _start(self) -> None:
        self._kill()
        package = str(Path(ares.__file__).parents[1])
        self._process = subprocess.Popen(
            # -P: a file in the current folder must not stand in for a library.
            [sys.executable, "-P", "-m", "ares.evaluation.algebra"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": package, "OMP_NUM_THREADS": "1"},
            text=True,
            errors="replace",
        )
        try:
            self._exchange("", START_S)
        except NoReply as failure:
            lines = self._kill().strip().splitlines() or [""]
            raise UserError(
                f"the process that compares expressions does not start ({failure}): {lines[-1]}; "
                "is math-verify installed?"
            ) from None

    def _exchange(self, request: str, limit_s: float) -> str:
        """Send a line, unless it is empty, and wait for one; kill the process at the limit."""
        process, start = self._process, time.monotonic()
        assert process is not None and process.stdin is not None and process.stdout is not None
        timer = threading.Timer(limit_s, process.kill)
        timer.start()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            reply = process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        except BaseException:
            # Also after an interrupt: a reply that comes late would answer the next request.
            self._kill()
            raise
        finally:
            timer.cancel()
        late = time.monotonic() - start >= limit_s
        if late or not reply.endswith("\n"):
            process.kill()
            process.wait()  # so that the next request sees that it is gone
            raise NoReply(f"took longer than {limit_s:g} s" if late else "the algebra process died")
        return reply

    def _kill(self) -> str:
        """End the process, if there is one; return what it complained about."""
        process, self._process = self._process, None
        if process is None:
            return ""
        process.kill()
        try:
            return process.communicate()[1]  # closes the pipes and reaps the process
        except BrokenPipeError:  # of a request that was never read
            process.wait()
            return ""


def main() -> None:
    """Answer requests until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not break the line
    _read("1+x")  # load the grammar before the clock of a request runs
    print('"ready"', file=replies, flush=True)
    # From now on nobody reads what libraries print, and a full pipe would stop this process.
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, until the process ends
    for line in sys.stdin:
        signal.alarm(ALARM_S)
        gold, answer, letters = json.loads(line)
        reply = decide(gold, answer, letters, algebra)
        signal.alarm(0)
        print(json.dumps(reply), file=replies, flush=True)


def algebra(gold: str, answer: str) -> bool:
    """math-verify's verdict on two plain texts that are no lists.

    Raises:
        Unreadable: math-verify reads one of them as no expression.
    """
    from math_verify import verify  # type: ignore[import-untyped]

    fold = _one_case(gold) and _one_case(answer)
    ours = _read(gold, fold)
    if ours is None:
        raise Unreadable(*UNREADABLE_GOLD)
    theirs = _read(answer, fold)
    if theirs is None:
        raise Unreadable(*UNREADABLE_ANSWER)
    for text, other, is_gold in ((gold, theirs, True), (answer, ours, False)):
        value = read(text, letters=False)
        if value is not None and value.place is not None:
            number = _real(other)
            return number is not None and rounds_to(number, value, is_gold)
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
    real, config = not should_treat_as_complex(latex), ConversionConfig(lowercase_symbols=fold)
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


def exact(expression: Any) -> Any:
    """The same with decimals as fractions: 0.1 + 0.2 is 3/10."""
    from sympy import Float, Rational

    decimals = {number: Rational(str(number)) for number in expression.atoms(Float)}
    return expression.xreplace(decimals) if decimals else expression


def certainly_differ(one: Any, other: Any) -> bool:
    """Whether two sympy objects differ; False means that it can't be decided here."""
    from sympy import And, Eq, Expr, FiniteSet, MatrixBase, Tuple
    from sympy.core.relational import Relational  # type: ignore[import-untyped]

    if isinstance(one, Expr) and isinstance(other, Expr):
        return any(_far(*pair) for pair in _values(one, other))
    if isinstance(one, MatrixBase) and isinstance(other, MatrixBase):
        pairs = zip(one.flat(), other.flat(), strict=False)
        return one.shape != other.shape or any(certainly_differ(*pair) for pair in pairs)
    if isinstance(one, Relational) and isinstance(other, Relational):
        if not all(isinstance(side, Expr) for side in (*one.args, *other.args)):
            return False
        if _are_multiples(one.lhs - one.rhs, other.lhs - other.rhs):
            return False
        # Not the same up to a factor: what is left to decide are the solutions, if there are any.
        return not (isinstance(one, Eq) and isinstance(other, Eq)) or not _solutions(one)
    # 1 < x < 2 is no {1, 2}: math-verify takes the interval for a pair.
    lists = [isinstance(side, FiniteSet | Tuple) for side in (one, other)]
    ranges = [isinstance(side, And) and not side.has(Eq) for side in (one, other)]
    return any(lists) and any(ranges)


def _values(one: Any, other: Any) -> list[tuple[Any, Any]]:
    """Values of both at some points, where both have one that is certain."""
    from sympy import Rational

    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    found = []
    for point in range(_POINTS if symbols else 1):
        # Positive, no two alike, and of a kind that no answer is built around.
        low = 11 + 2 * point
        chosen = {s: Rational(7 * n + 3 + 5 * point, low) for n, s in enumerate(symbols)}
        pair = tuple(_number(expression.subs(chosen)) for expression in (one, other))
        if None not in pair:
            found.append(pair)
    return found


def _number(expression: Any) -> Any:
    """The value to many digits; None if there is none, or not a digit of it is certain."""
    value = expression.evalf(_DIGITS)
    parts = value.as_real_imag()
    if not all(part.is_Float or part.is_Rational for part in parts):
        return None
    uncertain = any(part.is_Float and (part._prec <= 1 or abs(part) < _NOTHING) for part in parts)
    return None if uncertain else value


def _far(one: Any, other: Any) -> bool:
    return bool(abs(one - other) > _GAP * max(abs(one), abs(other)))


def _are_multiples(one: Any, other: Any) -> bool:
    """Whether the ratio of two expressions is the same at all points."""
    ratios = [a / b for a, b in _values(one, other) if a != 0 and b != 0]
    return bool(ratios) and not any(_far(ratio, ratios[0]) for ratio in ratios[1:])


def _solutions(equation: Any) -> list[Any]:
    from sympy import solve

    try:
        return solve(equation, dict=True)
    except NotImplementedError:
        return []


if __name__ == "__main__":
    main()
