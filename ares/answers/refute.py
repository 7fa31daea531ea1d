"""Tell by numbers that two sympy objects are not equal, where math-verify would say they are.

math-verify takes numbers for equal whose difference is below 1e-15 (10^{-20} and 10^{-21}), and
equations for equal that have no real solution (x^2+1=0 and x^2+2=0). Here values are compared by
their ratio, to 20 digits, and symbols get values too: expressions that differ there are not equal.
"""

from __future__ import annotations

from itertools import count
from typing import Any

#: Relative difference from which on two numbers, computed to 30 digits, are not the same.
_GAP = 1e-20
_DIGITS = 30
#: sympy computes a zero that it does not see, such as (2 - 2)^2, to something like 1e-279.
_NOTHING = 1e-100
#: Sets of values for the symbols.
_POINTS = 3


def exact(expression: Any) -> Any:
    """The same with decimals as fractions: 0.1 + 0.2 is 3/10."""
    from sympy import Float, Rational  # type: ignore[import-untyped]

    decimals = {number: Rational(str(number)) for number in expression.atoms(Float)}
    return expression.xreplace(decimals) if decimals else expression


def certainly_differ(one: Any, other: Any) -> bool:
    """Whether two sympy objects differ; False means that this can't be told here."""
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
        values = [Rational(7 * n + 3 + 5 * point, 11 + 2 * point) for n, _ in zip(count(), symbols)]
        chosen = dict(zip(symbols, values, strict=True))
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
