"""Gold answers whose value a mutation changes are never right; rewritten ones are."""

from __future__ import annotations

import random
import re

import pytest

from ares.evaluation.grader import Grader
from ares.evaluation.grades import RIGHT, Question
from tests.robustness.spoil import LONG

TRIES = 50_000 if LONG else 400
#: Rewritings that keep the value and may all the same be called wrong (share).
MISSED = 0.002


def gold(rng: random.Random) -> tuple[str, str]:
    """A gold answer and its type, with digits that are drawn."""
    form, kind = rng.choice(
        [
            *((text, "number") for text in ("N", "-N", "N.D5", "N/M", r"\frac{N}{M}", "N cm^2")),
            *((text, "number") for text in (r"N\%", "1,NM", r"N^\circ", r"N\text{ m}", "N km/h")),
            *((text, "expression") for text in (r"N\sqrt{M}", r"\frac{N\pi}{M}", "2^{N}", "N!")),
            *((text, "expression") for text in ("Nx^2+Mx-3", "x^{N}+M", r"\frac{x+N}{x-M}")),
            *((text, "expression") for text in ("(N,M)", "[N,1M)", r"\{N,M\}", "x=N", "x>N")),
            *((text, "expression") for text in (r"\sqrt{x+N}", "N^x", r"\ln(x+M)", "e^{-Nx}")),
            *((text, "expression") for text in (r"N\sqrt{2}\text{ cm}", "f(x)=Nx+M", "x'+N")),
            *((text, "expression") for text in ("N-Mi", r"\sin(Nx)", "a_1+N", "N:M", "x^2=N")),
        ]
    )
    one, other = rng.sample(range(3, 10), 2)
    return form.replace("N", str(one)).replace("M", str(other)).replace("D", str(one)), kind


def changed_digit(text: str, rng: random.Random) -> str:
    """Another digit in one place."""
    places = [at for at, sign in enumerate(text) if sign.isdigit()]
    at = rng.choice(places)
    return text[:at] + str((int(text[at]) + rng.randint(1, 6)) % 9 + 1) + text[at + 1 :]


#: Each changes the value of every gold answer that it changes.
MUTATIONS = {
    "digit": changed_digit,
    "sign": lambda text, _: re.sub(r"^-?(?=[\d\\N])", lambda m: "" if m[0] else "-", text, count=1),
    "exponent": lambda text, _: re.sub(r"(?<=[x2]\^)(\d)", lambda m: str(int(m[1]) + 1), text),
    "operator": lambda text, _: re.sub(r"(?<=[\dx)}])\+", "-", text, count=1),
    "order": lambda text, _: re.sub(r"^\((\d),(\d)\)$", r"(\2,\1)", text),
    "prime": lambda text, _: re.sub(r"(?<![A-Za-z\\])x(?!')", "x'", text, count=1),
    "factorial": lambda text, _: re.sub(r"^(\d)$", r"\1!", text),
    "unit": lambda text, _: text.replace("cm^2", "cm^3").replace("km/h", "km"),
    "bracket": lambda text, _: re.sub(r"^\[(.*)\)$", r"(\1)", text),
    "relation": lambda text, _: re.sub("x>", r"x \\ge ", text),
}

#: Each keeps the value.
REWRITINGS = (
    lambda text: f"${text}$",
    lambda text: f"{text}.",
    lambda text: rf"\boldsymbol{{{text}}}",
    lambda text: rf"\displaystyle {text}",
    lambda text: text.replace(r"\frac", r"\dfrac"),
    lambda text: re.sub(r"([+=>])", r" \1 ", text),
    lambda text: text.replace("-", "−"),
    lambda text: text.replace("(", r"\left(").replace(")", r"\right)"),
    lambda text: re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text),
    lambda text: re.sub(r"^(\d+)/(\d+)$", r"\\frac{\1}{\2}", text),
    lambda text: re.sub(r"^([-\d.]+)$", r"x = \1", text),
    lambda text: re.sub(r"\\sqrt\{(\d)\}", r"\\sqrt\1", text),
    lambda text: text.replace(" cm^2", r"\text{ cm}^{2}").replace(r"^\circ", "°"),
    lambda text: text.replace(",", ", "),
)


@pytest.fixture(scope="module")
def grader():
    with Grader(time_limit_s=60.0) as grader:
        yield grader


def test_no_changed_value_is_right(grader) -> None:
    rng = random.Random(1)
    tried, passed = 0, []
    while tried < TRIES:
        text, kind = gold(rng)
        name, mutation = rng.choice([*MUTATIONS.items()])
        other = mutation(text, rng)
        if other == text:
            continue
        tried += 1
        if grader.grade(rf"\boxed{{{other}}}", Question(text, kind)).status == RIGHT:
            passed.append((name, text, other))
    assert passed == []


def test_nearly_every_rewriting_is_right(grader) -> None:
    rng = random.Random(2)
    missed = []
    for _ in range(TRIES):
        text, kind = gold(rng)
        other = rng.choice(REWRITINGS)(rng.choice(REWRITINGS)(text))
        if grader.grade(rf"\boxed{{{other}}}", Question(text, kind)).status != RIGHT:
            missed.append((text, other))
    assert len(missed) <= MISSED * TRIES, missed
