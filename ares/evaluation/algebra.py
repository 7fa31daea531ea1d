r"""Computer algebra in a process of its own: `python -m ares.evaluation.algebra`.

Reads one JSON request per line, writes one JSON reply per line, ends with its input. sympy can take
any time and any memory over a harmless-looking answer (9^{9^{9^{9}}}), and neither a signal nor a
thread stops it everywhere; a process can be killed. Memory is limited here, time by the parent
(`AlgebraWorker`), and by an alarm if the parent is gone.

The verdict is math-verify's, unless numbers show that two objects differ (`certainly_differ`):
math-verify takes numbers for equal whose difference is below 1e-15 (10^{-20} and 10^{-21}), and
equations for equal that have no real solution (x^2+1=0 and x^2+2=0). Here values are compared by
their ratio, to 20 digits, and symbols get values too. Expressions that agree at all points where
both are real are the same (`surely_equal`): math-verify does not take quantities for positive, and
so finds that the root of L/g is not the quotient of the roots. Where i is a letter of either side
and no index or variable stands beside it, it is the imaginary unit. Primes, transposes and
derivatives, which the parser drops, become names of their own.
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
#: What the parser drops, and the name that takes its place.
_MARKS = {
    r"([A-Za-z])\s*\^\s*\{?\s*\\prime\s*\}?": r"\1'",
    r"([A-Za-z])'{3}": r"\1_{ppp}",
    r"([A-Za-z])'{2}": r"\1_{pp}",
    r"([A-Za-z])'": r"\1_{p}",
    r"\\dot\s*\{?\s*([A-Za-z])\s*\}?": r"\1_{dot}",
    r"(?<![A-Za-z\\])([A-Z])\s*\^\s*\{?\s*(?:T|\\top|\\intercal)\s*\}?(?![A-Za-z])": r"\1_{T}",
    r"\\frac\s*\{\s*d\s*(?:\^\s*\{?(\d)\}?)?\s*([a-zA-Z])\s*\}\s*\{\s*d\s*([a-z])[^{}]*\}": (
        r"D_{\2\3\1}"
    ),
}
_MARK = [(re.compile(pattern), name) for pattern, name in _MARKS.items()]
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\s*\{?\s*\\circ\s*\}?")
_ANGLED = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
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

    gold, answer = _marked(gold), _marked(answer)
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
    ours, theirs = _with_i(ours, theirs)
    if certainly_differ(ours, theirs):
        return False
    if surely_equal(ours, theirs):
        return True
    equal = verify(ours, theirs, timeout_seconds=None, allow_set_relation_comp=True)
    return bool(equal) or same_solutions(ours, theirs)


def _marked(text: str) -> str:
    """With names for what the parser drops, and degrees inside functions as radians.

    >>> _marked("f'(x)"), _marked(r"\\frac{dy}{dx}"), _marked(r"\\sin 30^\\circ")
    ('f_{p}(x)', 'D_{yx}', '\\\\sin (\\\\frac{30 \\\\pi}{180})')
    """
    for pattern, name in _MARK:
        text = pattern.sub(lambda found, name=name: found.expand(name) if found[0] else "", text)
    return _DEGREES.sub(r"(\\frac{\1 \\pi}{180})", text) if _ANGLED.search(text) else text


def _with_i(one: Any, other: Any) -> tuple[Any, Any]:
    """Both with i as the imaginary unit, where no index or coordinate is among their letters."""
    from sympy import I, Symbol

    names = {str(symbol) for side in (one, other) for symbol in getattr(side, "free_symbols", ())}
    if "i" not in names or names & {"j", "k", "n"}:
        return one, other
    unit = {s: I for s in one.free_symbols | other.free_symbols if str(s) == "i"}
    unit[Symbol("i")] = I
    return one.subs(unit), other.subs(unit)


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
        values = _values(one, other)
        if not values and not one.free_symbols | other.free_symbols:
            ours, theirs = one.doit(), other.doit()  # too small or too large for digits
            return bool(ours.is_Rational and theirs.is_Rational and ours != theirs)
        return any(_far(*pair) for pair in values)
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


def surely_equal(one: Any, other: Any) -> bool:
    """Whether two expressions with symbols agree at all points where both are real."""
    from sympy import Expr

    if not (isinstance(one, Expr) and isinstance(other, Expr)):
        return False
    if not one.free_symbols | other.free_symbols:
        return False
    positive, mixed = _values(one, other), _values(one, other, signs=True)
    real = [pair for pair in mixed if all(abs(v.as_real_imag()[1]) == 0 for v in pair)]
    if len(positive) < _POINTS or any(_far(*pair) for pair in positive + real):
        return False
    gap = (one - other).expand()  # x + 10^{-30} is not x
    return not (gap.is_Rational and gap != 0)


def same_solutions(one: Any, other: Any) -> bool:
    """Whether two relations in one and the same symbol have the same real solutions."""
    from sympy import ConditionSet, Reals, solveset
    from sympy.core.relational import Relational

    symbols = one.free_symbols | other.free_symbols if isinstance(one, Relational) else ()
    if len(symbols) != 1 or not isinstance(other, Relational):
        return False
    try:
        found = [solveset(side, *symbols, Reals) for side in (one, other)]
    except (NotImplementedError, ValueError, TypeError):  # what it raises for what it can't solve
        return False
    return not any(side.has(ConditionSet) for side in found) and bool(found[0] == found[1])


def _values(one: Any, other: Any, signs: bool = False) -> list[tuple[Any, Any]]:
    """Values of both at some points, where both have one that is certain.

    Args:
        signs: whether some of the symbols are negative.
    """
    from sympy import Rational

    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    found = []
    for point in range(_POINTS if symbols else 1):
        # Positive, no two alike, and of a kind that no answer is built around.
        low = 11 + 2 * point
        chosen = {
            s: Rational(7 * n + 3 + 5 * point, low) * (-1) ** (signs * (n + point + 1))
            for n, s in enumerate(symbols)
        }
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
