"""Verdicts on literal pairs of gold answer and response."""

import json
import threading
from pathlib import Path

import pytest

from ares.evaluation.grader import Grader
from ares.evaluation.grades import NO_ANSWER, RIGHT, UNGRADABLE, WRONG, Question


@pytest.fixture(scope="module")
def grader():
    with Grader(time_limit_s=60.0) as grader:
        yield grader


def boxed(text: str) -> str:
    return rf"<think> thought </think> The answer is \boxed{{{text}}}."


def status(grader: Grader, gold: str, answer: str, kind: str, choices: tuple[str, ...] = ()) -> str:
    return grader.grade(boxed(answer), Question(gold, kind, choices)).status


NUMBERS = ("15", "21", "12", "0.5")
CITIES = ("London", "Paris", "A city", "New York")

#: By type of answer, verdict and choices: answers to each gold answer. 50% is 0.5 and 50, as
#: math-verify has it; math-verify alone would make all tiny numbers one, and take the last number
#: of a text for its value.
VERDICTS = {
    ("number", RIGHT, ()): {
        "12": ["12", "12.0", "+12", "012", "$12$", r"\(12\)", "**12**", "12.", r"\text{12}",
            r"\mathbf{12}", "１２", "١٢", "12 cm", r"12\text{ cm}", r"12~\mathrm{cm}^2",
            "12 apples"], "-5": ["−5"], "0": ["-0"], "0.5": [".5", r"\dfrac{1}{2}", r"50\%"],
        "1/2": [r"\frac12"], r"\frac{1}{2}": ["1/2"], "1.5": [r"1\frac{1}{2}", "1 1/2", "1½"],
        "-0.5": [r"-\frac{1}{2}"], "-1/2": [r"\frac{-1}{2}"], "1/3": ["0.333333"], "7": ["14/2"],
        "1000": ["1,000", "1{,}000"], "1000000": ["1 000 000"],
        "1500": [r"1.5 \times 10^{3}", "1.5e3"], "0.001": ["10^{-3}"], "5000000": ["5 million"],
        "12 cm": ["12", "12 centimeters"], "12 m^2": ["12 square metres"],
        "12 km/h": ["12 kilometers per hour"],
        "5": [r"\$5", "x = 5", "2 + 3 = 5", r"\angle ABC = 5"], "5 dollars": ["$5.00"],
        "90": ["90°", r"90^\circ"], r"90^{\circ}": ["90 degrees"], "50%": ["0.5", "50"],
        "50": ["50 percent"], "x = 5": ["5"], r"\pm 2": ["2, -2"], "2, -2": [r"x = \pm 2"],
        "1, 2": ["2 and 1", r"x = 1 \text{ or } x = 2"], "2": ["1+1"], "25": ["5²"], "120": ["5!"],
        "3": [r"\log_2 8"], "6": [r"\sum_{i=1}^{3} i"], "1.414214": [r"\sqrt{2}"],
        r"2\sqrt{3}": [r"\sqrt{12}"], r"\frac{\pi}{2}": ["π/2"], "2√3": [r"2\sqrt 3"],
    },
    ("number", WRONG, ()): {
        "12": ["15", "21", "1 2", "1,2", "1.2", "120", "-12", "12 x", "12 or 13",
            "between 10 and 12", "not 12", "banana", "n/a"],
        "12 cm": ["12 m", "0.12 m", "12 cm^2", "12 apples"], r"30^\circ": ["30 rad"],
        "50": ["0.5"], "50%": ["5"], "5": ["5 million", "3 apples or 5"], "52": ["5²"],
        "5.5": ["1½"], "10": ["2x = 10"], "2": [r"\pm 2"], r"\pm 2": ["2"], "1/3": ["0.33"],
        "1.41": [r"\sqrt{2}"], "0": ["0.0000001"], "1000001": ["1000000"],
        "0.0000001": ["0.0000002", r"\sqrt{2}\cdot 10^{-8}"], "3": ["1 2"], "3,4": ["3"],
        "1,2,3": ["1,2"], "1, 2": ["12"], "x=5": ["y=5"],
        "1": [r"\frac{1}{", r"\frac{1}{0}", r"\infty"],
    },
    ("expression", RIGHT, ()): {
        "x^2+2x+1": ["(x+1)^2"], "a^2-b^2": ["(a-b)(a+b)"], "xy": ["yx"],
        "2x": ["((((((((((2x))))))))))", "{" * 20 + "2x" + "}" * 20],
        "y = 2x+1": ["2x+1", "2x-y+1=0"], "2x+1": ["y = 2x + 1"], "f(x) = x^2": ["x^2"],
        "yes": [r"\text{Yes}"], "[0,1)": [r"\left[0, 1\right)"], r"(-\infty, 3)": ["(-oo, 3)"],
        r"(0,1)\cup(2,3)": [r"(2,3) \cup (0,1)"], "x > 3": [r"(3, \infty)"],
        r"(3, \infty)": ["x > 3"], "(1,2)": ["(1, 2)", "1, 2"], r"(\frac12, 3)": ["(0.5, 3)"],
        r"\{1,2\}": [r"\{2,1\}", "2, 1"], r"\{\sqrt{2}, 1\}": [r"\{1, 2^{1/2}\}"],
        "(1,2), (3,4)": ["(3,4), (1,2)"], r"2 \pm \sqrt{3}": [r"2+\sqrt3, 2-\sqrt 3"],
        r"\emptyset": ["∅"], "3/10": ["0.1+0.2"], "-19/10": ["8 - 9.90"], "0": ["(2-2)^2"],
        "10^{-20}": [r"\frac{1}{10^{20}}"], "R^2-r^2": ["(R-r)(R+r)"], "V/2": ["v/2"],
        "x^2+1=0": ["2x^2+2=0"], "x=1, y=2": ["1, 2", "y=2, x=1"], "11_2": ["3_{10}"],
        "2516_8": ["2516"], "15": [r"3 \cdot 5"],
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}": [r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}"],
        "12": ["12 cm"],
    },
    ("expression", WRONG, ()): {
        "a^2-b^2": ["(a-b)(a-b)"], "2x": ["{" * 400 + "2x" + "}" * 400], "y = 2x+1": ["y = 2x-1"],
        "abc": ["cba"], "yes": ["esy"], "[0,1)": ["(0,1)", "[0,1]"], r"(0,1)\cup(2,3)": ["(0,3)"],
        r"x \ge 3": ["x > 3"], "(1,2)": ["(2,1)", "2, 1"],
        r"\{1,2\}": [r"\{1,3\}", r"\{1,2,3\}", "(1,2)"], "(1,2), (3,4)": ["(1,3), (2,4)"],
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}": [r"\begin{pmatrix}1&2\\4&3\end{pmatrix}"],
        "12m": ["12"],
        # Once wrong: differences below 1e-15 counted as none, capital letters were small ones,
        "10^{-20}": ["10^{-21}"], "e^{-50}": ["e^{-51}"], "R+r": ["2r"], "R^2-r^2": ["r^2-R^2"],
        r"\frac{\sqrt{2}}{10^{20}}": [r"\frac{\sqrt{3}}{10^{20}}"],
        r"\begin{pmatrix}10^{-20}\end{pmatrix}": [r"\begin{pmatrix}10^{-21}\end{pmatrix}"],
        r"\Delta - \delta": [r"\delta - \Delta"],
        # equations without a real solution were all alike, intervals pairs, 0 to a power was 1,
        "x^2+1=0": ["x^2+2=0"], "e^{x}=0": ["2^{x}=0"], "1<x<2": [r"\{1,2\}"],
        r"\{1, 2\}": ["1<x<2"], "1": ["(1 - 1)^{1}"],
        # bases and names were left out, and a double factorial taken for an emphasis.
        "2516_8": ["2516_7"], "101_2": ["101_{10}"], "x=1, y=2": ["2, 1"], "1, 2": ["y=2, x=1"],
        "5": ["5!!"],
    },
    ("choice", RIGHT, ()): {
        "B": ["B", "b", "(B)", "B.", r"\text{B}", r"\textbf{(B)}", "Option B", "B. anything"],
        "A,C": ["C, A"], "AC": ["A and C", "AC"],
    },
    ("choice", WRONG, ()): {
        "B": ["C", "A or B", "A, B", "(A) and (B)", "AB", "neither"], "AC": ["A", "ABC"],
    },
    ("choice", RIGHT, NUMBERS): {
        "C": ["12", "12.0", "C. 12", "(C) 12", "C 12"], "D": [r"\frac{1}{2}"], "12": ["C", "12"],
    },
    ("choice", WRONG, NUMBERS): {
        "C": ["21", "15", "C. 21", "B. 12", "13", "E"], "B": ["12"], "A": ["A. 12"],
        "12": ["B", "21"],
    },
    ("choice", RIGHT, CITIES): {
        "B": ["paris", "B: Paris"], "C": ["A city"], "D": ["new york."],
    },
    ("choice", WRONG, CITIES): {
        "A": ["A city"], "B": ["Berlin"],
    },
    ("text", RIGHT, ()): {
        "Eiffel Tower": ["the eiffel-tower."], "3 apples": ["3.0 apples"],
        "1,000 men": ["1000 men"], "Yes": [r"\text{yes}"],
    },
    ("text", WRONG, ()): {
        "C": ["C++"], "Paris": ["Paris, France"], "12": ["21"], "dog bites man": ["man bites dog"],
        "3 apples": ["-3 apples"], "5 > 3": ["5 < 3"], "a": ["the"],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "expected", "choices", "gold", "answer"),
    [
        (*case, gold, answer)
        for case, by_gold in VERDICTS.items()
        for gold, answers in by_gold.items()
        for answer in answers
    ],
)
def test_verdicts(grader, kind, expected, choices, gold, answer):
    assert status(grader, gold, answer, kind, choices) == expected


@pytest.mark.parametrize(
    ("gold", "response", "expected", "note"),
    [
        ("numbers 3 8 5 target 19", r"\boxed{ 8 x 3 = 24 , 24 - 5 = 19 }", RIGHT, ""),
        ("numbers 3 8 5 target 19", r"\boxed{ 8 + 3 = 11 }", WRONG, "numbers left over"),
        ("numbers 3 8 5 target 19", r"\boxed{19}", WRONG, "unreadable step"),
        ("numbers 3 8 5 target 19", "19", NO_ANSWER, "no boxed answer"),
        ("3 8 5 19", r"\boxed{19}", UNGRADABLE, "the gold answer '3 8 5 19' is no problem"),
    ],
)
def test_countdown(grader, gold, response, expected, note):
    grade = grader.grade(response, Question(gold, "countdown"))
    assert (grade.status, grade.note) == (expected, note)


@pytest.mark.parametrize(
    ("gold", "kind", "choices", "note"),
    [
        ("", "number", (), "the gold answer is empty"),
        ("1 2", "number", (), "the gold answer can't be read"),
        ("z", "choice", ("x", "y"), "the gold answer 'z' is none of the choices"),
        ("...", "text", (), "the gold answer '...' has no words"),
        ("7" * 2000, "number", (), "the gold answer has 2000 characters"),
    ],
)
def test_a_gold_that_cannot_be_read_is_reported(grader, gold, kind, choices, note):
    grade = grader.grade(boxed("12"), Question(gold, kind, choices))
    assert (grade.status, grade.note, grade.correct) == (UNGRADABLE, note, False)


@pytest.mark.parametrize("response", ["", "   ", "<think> so", "<think> x </think> hmm, well now"])
@pytest.mark.parametrize("kind", ["number", "expression"])
def test_no_answer(grader, response, kind):
    assert grader.grade(response, Question("5", kind)).status == NO_ANSWER


def test_the_last_box_counts_and_the_grade_shows_it(grader):
    assert grader.grade(r"\boxed{1} \boxed{2}", Question("2", "number")).status == RIGHT
    grade = grader.grade(r"\boxed{13} \boxed{12 cm}", Question("13", "number"))
    assert (grade.extracted, grade.by, grade.correct) == ("12 cm", "rule", False)
    long = grader.grade(boxed("x" * 2000), Question("13", "number"))
    assert (long.status, len(long.extracted)) == (WRONG, 500)


def test_many_are_graded_in_order_and_lazily_and_unknown_types_refused(grader):
    asked = []

    def pairs():
        for number in range(1000):
            asked.append(number)
            yield boxed(str(number)), Question(str(number - number % 2), "number")

    grades = grader.grade_many(pairs())
    assert [next(grades).status for _ in range(4)] == [RIGHT, WRONG, RIGHT, WRONG]
    assert len(asked) == 4


def test_grades_from_threads(grader):
    found: dict[int, list[str]] = {}

    def work(thread: int) -> None:
        found[thread] = [
            status(grader, rf"\sqrt{{{n}}}", rf"\sqrt{{{4 * n}}}/2 + {n % 2}", "expression")
            for n in range(10 * thread + 2, 10 * thread + 8)
        ]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: [RIGHT, WRONG] * 3 for i in range(4)}


LINES = Path(__file__).with_name("reported.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("case", [*map(json.loads, LINES)])
def test_reported_answers(grader, case):
    """Answers of models, and golds of data sets, that graders elsewhere or this one got wrong."""
    response = case.get("response") or boxed(case["boxed"])
    question = Question(case["gold"], case["type"], tuple(case.get("choices", ())))
    assert grader.grade(response, question).status == case["status"]
