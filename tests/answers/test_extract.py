"""Where the final answer of a response is found."""

import time

import pytest

from ares.data.responses import last_boxed
from ares.evaluation.extract import extract


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{ a } \boxed{ b }", " b "),
        (r"\boxed{1} then \boxed{2", "1"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed {7}", "7"),
        (r"\boxed{3 \boxed{4} 5}", "4"),
        (r"{ \boxed{5} \boxed{ {6 }", "5"),
        (r"\boxed{}", ""),
        (r"\boxed 5", None),
        (r"\boxed{\boxed{\boxed{", None),
        ("", None),
    ],
)
def test_last_boxed(text, expected):
    assert last_boxed(text) == expected


@pytest.mark.parametrize(
    ("response", "answer", "expected"),
    [
        (r"<think> \boxed{1} </think> It is \boxed{2}.", "number", "2"),
        (r"\boxed{1}, no: \boxed{2}", "number", "2"),
        (r"<think> a </think> b </think> \boxed{3}", "number", "3"),
        (r"The answer is 4. \boxed{5}", "number", "5"),
        (r"<think> so \boxed{12} </think> As shown above.", "number", "12"),
        # tags and phrases
        ("<think> x </think> <answer> B </answer>", "choice", "B"),
        ("Answer: 12", "number", "12"),
        ("**Answer:** 12 cm", "number", "12 cm"),
        ("The answer is 3.5. That is all", "number", "3.5"),
        ("The answer is: $x = 5$", "expression", "$x = 5$"),
        ("## Final Answer:\n\n12\n", "number", "12"),
        ("The correct option is C because it is red", "choice", "C"),
        ("The answer is (B) 12", "choice", "(B) 12"),
        # a lone letter
        ("B", "choice", "B"),
        ("We compare.\nC. 12 metres", "choice", "C. 12 metres"),
        ("So (D) must hold", "choice", "D"),
        # nothing but the answer
        ("12 cm", "number", "12 cm"),
        ("$x+1$", "expression", "$x+1$"),
        ("Paris", "text", "Paris"),
    ],
)
def test_the_answer_is_found(response, answer, expected):
    assert extract(response, answer)[0] == expected


@pytest.mark.parametrize(
    ("response", "answer", "note"),
    [
        ("", "number", "empty response"),
        (r"<think> maybe \boxed{5}, wait", "number", "cut inside the thought"),
        (r"\boxed{4} <think> again", "number", "cut inside the thought"),
        (r"<think> a </think> \boxed{ }", "number", "the box is empty"),
        ("<think> a </think>", "number", "no answer found"),
        ("I am not sure about 5 or 6 here", "number", "no answer found"),
        ("A train leaves at noon and (B) or (C) may be right,\n" * 3, "choice", "no answer found"),
        ("A. red\nB. blue\nI can't tell which of the two of them it should be", "choice", None),
    ],
)
def test_no_answer_is_made_up(response, answer, note):
    found, why = extract(response, answer)
    assert not found
    assert note is None or why == note


def test_time_grows_linearly():
    def seconds(n: int) -> float:
        text = (r"\boxed{" + "{ answer: (A) \n") * n
        start = time.process_time()
        for _ in range(3):
            extract(text, "choice")
        return time.process_time() - start

    seconds(100)
    assert seconds(40_000) < 40 * max(seconds(4_000), 0.01)
