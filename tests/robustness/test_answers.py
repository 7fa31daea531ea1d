"""The grader against hostile answers: it never raises, hangs or calls a wrong number right.

Values are known from plain arithmetic with fractions: expressions are made together with their
value, so an equal one must be right and another one must not be. And nothing of an answer is ever
evaluated: sympy turns texts into numbers through Python's `eval`, and whatever reaches it must be a
number, which an audit hook of the interpreter watches. The hook also sees files, processes and
sockets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ares.evaluation.grader import Grader
from ares.evaluation.grades import NO_ANSWER, RIGHT, UNGRADABLE, WRONG, Question
from ares.paths import ROOT
from tests.robustness.spoil import cases

#: Seconds for one comparison of hostile expressions by algebra, and what a case may take around
#: it on a busy machine (the worker may have to start again).
LIMIT_S, AROUND_S = 1.0, 60.0


@pytest.fixture(scope="module")
def hasty():
    """For hostile answers, of which some take for ever."""
    with Grader(time_limit_s=LIMIT_S) as grader:
        yield grader


@pytest.fixture(scope="module")
def grader():
    """For answers that must be decided, however busy the machine is."""
    with Grader(time_limit_s=60.0) as grader:
        yield grader


# ------------------------------------------------------------------------ values that are known


@st.composite
def known(draw, depth: int = 3) -> tuple[str, Fraction, int]:
    """LaTeX, its value, and how tightly it binds: 0 a sum, 1 a product, 2 a power, 3 an atom."""
    kind = draw(st.sampled_from("ndf+-*/F^m")) if depth else draw(st.sampled_from("ndf"))
    if kind == "n":
        number = draw(st.integers(0, 120))
        return str(number), Fraction(number), 3
    if kind == "d":
        whole, part = draw(st.integers(0, 20)), draw(st.integers(0, 99))
        return f"{whole}.{part:02}", Fraction(100 * whole + part, 100), 3
    if kind == "f":
        top, low = draw(st.integers(0, 20)), draw(st.integers(1, 20))
        name = draw(st.sampled_from(["frac", "dfrac", "tfrac"]))
        return rf"\{name}{{{top}}}{{{low}}}", Fraction(top, low), 3
    one, a, tight = draw(known(depth - 1))
    if kind == "m":
        return f"-{within(draw, one, tight, 1)}", -a, 0
    if kind == "^":
        power = draw(st.integers(1, 4))
        base = one if one.isdigit() else within(draw, one, 0, 1)
        return f"{base}^{{{power}}}", a**power, 2
    other, b, also = draw(known(depth - 1))
    if kind in "/F" and b == 0:
        return one, a, tight
    if kind == "F":
        return rf"\frac{{{one}}}{{{other}}}", a / b, 3
    if kind in "+-":
        sign = draw(st.sampled_from([f" {kind} ", kind] + ["−"] * (kind == "-")))
        return f"{one}{sign}{within(draw, other, also, 1)}", (a + b if kind == "+" else a - b), 0
    left, right = within(draw, one, tight, 1), within(draw, other, also, 3)
    if kind == "/":
        return f"{left}/{right}", a / b, 1
    return left + draw(st.sampled_from([r" \cdot ", r" \times ", "*", "×"])) + right, a * b, 1


def within(draw, text: str, tight: int, needed: int) -> str:
    if tight >= needed:
        return text
    return draw(st.sampled_from(["({})", r"\left({}\right)"])).format(text)


DRESS = ["{}", "${}$", r"\({}\)", "**{}**", "{}.", "x = {}", " {} ", r"\displaystyle {}"]
SPELLED = [
    "{0.numerator}/{0.denominator}",
    r"\frac{{{0.numerator}}}{{{0.denominator}}}",
    r"\dfrac{{{0.numerator}}}{{{0.denominator}}}",
]


def grade(grader: Grader, gold: str, answer: str, kind: str, choices: tuple[str, ...] = ()):
    start, limit = time.monotonic(), grader._worker.time_limit_s
    found = grader.grade(rf"<think> so </think> \boxed{{{answer}}}", Question(gold, kind, choices))
    assert time.monotonic() - start < limit + AROUND_S
    assert found.status in {RIGHT, WRONG, NO_ANSWER, UNGRADABLE}
    assert len(found.extracted) <= 500 and len(found.note) < 200
    return found


@cases(quick=20, long=2000)
@given(
    made=known(),
    spelled=st.sampled_from(SPELLED),
    dress=st.sampled_from(DRESS),
    shift=st.sampled_from(
        [Fraction(1), Fraction(-1), Fraction(1, 100), Fraction(10**6), Fraction(1, 10**9)]
    ),
    kind=st.sampled_from(["number", "expression"]),
    swapped=st.booleans(),
)
def test_equal_values_are_right_and_others_are_not(
    grader, made, spelled, dress, shift, kind, swapped
):
    text, value, _ = made
    assume(max(abs(value.numerator), value.denominator) < 10**25)
    # A decimal stands for what rounds to it: 1.41421 is the square root of 2.
    assume(shift != Fraction(1, 10**9) or "." not in text)
    same, other = spelled.format(value), spelled.format(value + shift)
    for gold, answer, status in ((same, text, RIGHT), (other, text, WRONG), (other, same, WRONG)):
        if swapped:
            gold, answer = answer, gold
        assert grade(grader, gold, dress.format(answer), kind).status == status


# ------------------------------------------------------------------------------ hostile answers

LATEX = (
    r"\frac \sqrt \sum_{i=1}^{n} \int_0^1 \lim_{x\to0} \binom { } ( ) [ ] | \left( \right) ^ _ ! %"
    r" \% = < > \le \ne \in \cup \{ \} + - * / \cdot \times \pm x y e i \pi \infty \text{ \mathrm{"
    r" \sin \log_ \begin{pmatrix} \end{pmatrix} & \\ 0 1 7 0.5 99999999 9^9^9 1e9 , ; ' $ ^\circ"
    r" f(x) \mathbb{R} \emptyset \boxed{ ½ ² √ ∞ <think> </think> <answer> __import__('os')"
    r" (lambda:0) x.__class__ {{7*7}} \input{/etc/passwd} cm km/h \overline{3} \vec \hat \det ,,"
    " 3= == \x00"
)
PIECES = [*LATEX.split(" "), " ", "\n", "\ud800", "\u202e", "\ufdfa", "٣", "answer is", "or", "and"]
VALID = [
    *(r"\frac{1}{2}", "x^2+2x+1", r"\sqrt{12}", r"\{1,2\}", "(0,1)", "x=5", "x>3", "3+4i", "|x|"),
    *(r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"2\sin x\cos x", r"\sum_{i=1}^{3} i", "5!"),
    *(r"(-\infty,3]", r"\log_2 8", r"\int_0^1 x dx", "y=2x+1", r"90^\circ", r"5\%", "10^{-20}"),
    *("f(x)=x^2", r"\binom{5}{2}", "1<x<2", r"x \in (0,1)", "101_2", "B", "London"),
]


@st.composite
def hostile(draw) -> str:
    """Pieces of LaTeX in any order, or an expression with some of them in it."""
    if draw(st.booleans()):
        return "".join(draw(st.lists(st.sampled_from(PIECES), max_size=12)))
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from(["", *PIECES]))
        text = text[:start] + piece + text[start + draw(st.integers(0, 3)) :]
    return text


KINDS = st.sampled_from(["number", "expression", "choice", "text", "countdown"])
#: Gold answers that no answer made of the pieces above can equal.
FAR = {
    "number": "73214",
    "expression": r"\sqrt{7301}+q",
    "choice": "D",
    "text": "zinc oxide",
    "countdown": "numbers 3 8 5 target 19",
}


@cases(quick=20, long=1200, seconds=30.0)
@given(gold=hostile(), answer=st.one_of(hostile(), st.text(max_size=60)), kind=KINDS)
def test_any_gold_and_answer_are_graded_and_no_hostile_answer_is_right(hasty, gold, answer, kind):
    grade(hasty, gold, answer, kind, ("London", "12", r"\frac{1}{2}", "0.5 cm"))
    assert grade(hasty, FAR[kind], answer, kind, ("a", "b", "c", "zinc")).status != RIGHT


# ------------------------------------------------------------------------ nothing is evaluated

MARK = "owned4711"
ATTACKS = (f"__import__('os').system('touch {MARK}')", f"open('{MARK}','w')")
AROUND = [
    *("{}", "(lambda: {})()", 'exec("{}")', 'eval("{}")', "1+{}", "5) or {} or (5", "x_{{{}}}"),
    *("5;import os;{}", "5\nimport os\n{}", r"\text{{{}}}", r"\mathrm{{{}}}", "f'{}'", "1e5{}"),
    *(r"\operatorname{{exec}}(\text{{{}}})", r"\frac{{{}}}{{1}}", r"\sqrt[{}]{{2}}"),
    *(r"\log_{{{}}} 8", "10^{{{}}}", "'''{}'''", "Symbol('x').subs('x', \"{}\")"),
    r"\variable{{{}}}",
]
INJECTED = [
    *(around.format(attack) for around in AROUND for attack in ATTACKS),
    f"x.__class__.__mro__[1].__subclasses__() + {MARK}",
    f"sympify('{MARK}')",
    f"\\input{{{MARK}}} \\write18{{touch {MARK}}} \\openout{MARK}",
    *(f"0x10 {MARK}", "1_000__class__", "12.5.__class__", "1,000,000.5", "٣٤٥", "1e5"),
    "0.1 + 2.5e-3 x",
]

WATCHED = """
import json, re, sys
from ares.evaluation.compare import decide
from ares.evaluation import algebra
algebra._read("1+x")
seen = {"compiled": [], "events": []}
hostile = json.loads(sys.stdin.read())
NUMBER = re.compile(r"(?:Integer|Float|Rational) \\(['\\d.eE+, -]*\\)")

def text_of(source):
    return source.decode("utf-8", "replace") if isinstance(source, bytes) else str(source)

def hook(event, arguments):
    if event == "compile" and arguments[0] is not None:
        text = text_of(arguments[0])
        # A library that is imported late compiles its own files; their text is not the answer's.
        if arguments[1] in ("<string>", "<sympy>") or "owned4711" in text:
            seen["compiled"].append(text)
    elif event == "open" and any(mark in str(arguments[1]) for mark in "wax+"):
        seen["events"].append([event, str(arguments)])
    elif event.split(".")[0] in ("os", "subprocess", "socket", "shutil", "ctypes", "pty"):
        if event not in ("os.listdir", "os.scandir"):
            seen["events"].append([event, str(arguments)])

sys.addaudithook(hook)
for text in hostile:
    for pair in ((text, "5"), ("5", text), ("x+1", text), (text, text + "+0")):
        for letters in (True, False):
            reply = decide(*pair, letters, algebra.algebra)
            assert reply[0] in ("right", "wrong", "ungradable")
    algebra._read.cache_clear()
seen["numbers"] = [s for s in seen["compiled"] if NUMBER.fullmatch(s.strip())]
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_nothing_of_an_answer_is_evaluated_but_its_numbers(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        input=json.dumps(INJECTED), capture_output=True, text=True, cwd=tmp_path, timeout=250,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["events"] == []
    assert seen["numbers"], "the hook sees how sympy reads numbers"
    for source in seen["compiled"]:
        for word in (MARK, "__import__", "lambda", "exec", "system", "open"):
            assert word not in source, source
    assert not list(tmp_path.iterdir())
