"""From rows to questions: every benchmark's own form, one's own files, and what can't be used."""

from __future__ import annotations

import json

import pytest

from ares.answers.grader import Grader
from ares.errors import UserError
from ares.evaluation.load import items
from ares.evaluation.registry import REGISTRY, load_registry
from ares.evaluation.sources import ItemError
from tests.evaluation import standins

THINK = (
    "\n\nThink first, between <think> and </think>. Then give the final answer, for a "
    "multiple-choice question its letter, in \\boxed{}."
)
R, G, B = standins.RED, standins.GREEN, standins.BLUE


def shown(item):
    """What the user's message shows: texts, and colours in place of pictures."""
    content = item.messages[-1]["content"]
    if isinstance(content, str):
        return content
    return [p["text"] if p["type"] == "text" else p["image"].getpixel((0, 0)) for p in content]


def asked(item):
    """The question as `ares.evaluation.run` and the grader see it."""
    q = item.question
    return (item.id, shown(item), q.gold, q.answer, q.choices)


def loaded(name, tmp_path, limit=None):
    training = name in load_registry(standins.TRAINING_DATA)
    file = standins.TRAINING_DATA if training else REGISTRY
    registry = load_registry(file, local={name: standins.write(name, tmp_path)})
    return items(registry[name], limit)


TEN = tuple(f"person {n}" for n in range(1, 11))
EXPECTED = {
    "MathVerse-V": [
        ("5", [R, "Answer the question that is shown in the picture. " + THINK], "B", "choice",
         ("30°", "45°", "60°", "90°")),
        ("6", [R, "Answer the question that is shown in the picture. " + THINK], "\\frac{1}{2}",
         "expression", ()),
    ],
    "MathVision": [
        ("1", ["Which number is in the square?\n", R,
               "\n\nA. 2\nB. 3\nC. 5\nD. 8\nE. 13" + THINK], "C", "choice",
         ("2", "3", "5", "8", "13")),
        ("2", ["How many dots are there? ", G, THINK], "7", "expression", ()),
    ],
    "MathVista": [
        ("1", [B, "Hint: A letter.\nQuestion: Is it?\nChoices:\n(A) Yes\n(B) No" + THINK], "A",
         "choice", ("Yes", "No")),
        ("2", [B, "Hint: One decimal.\nQuestion: How far?" + THINK], "1.2", "number", ()),
        ("3", [B, "Hint: Give a list.\nQuestion: Which three?" + THINK], "[0, 2, 0]",
         "expression", ()),
    ],
    "WeMath-S": [
        (f"0/{key}", [G, f"Question 0, {key}?\n\nA. 3\nB. 4\nC. No correct answer" + THINK], "B",
         "choice", ("3", "4", "No correct answer"))
        for key in ("2steps_1", "2steps_2", "2steps_multi", "3steps_1", "3steps_2", "3steps_3",
                    "3steps_multi")
    ],
    "LogicVista": [
        ("v1", [B, "Which figure comes next? Select from A, B, C and D." + THINK], "C", "choice",
         ()),
        ("v2", [B, "Which? (A) one (B) two (C) three" + THINK], "A, C", "choice",
         ("one", "two", "three")),
    ],
    "MMMU": [
        ("validation_Accounting_1",
         ["Compare ", R, " with ", G, ". Which is larger?\n\nA. ", B,
          "\nB. it's <image 1>" + THINK], "B", "choice", ("<image 3>", "it's <image 1>")),
        ("validation_Math_2", [R, " What is the ratio?" + THINK], "1.06", "expression", ()),
    ],
    "MMMU-Pro": [
        ("test_History_1",
         ["Who is on ", R, "?\n\nA. person 1\nB. person 2\nC. person 3\nD. person 4\nE. person 5\n"
          "F. person 6\nG. person 7\nH. person 8\nI. person 9\nJ. person 10" + THINK], "J",
         "choice", TEN),
    ],
    "CharXiv": [
        ("images/7.jpg", [G, "Which curve ends highest?" + THINK], "ours (w/o KL)", "text", ()),
        ("images/8.jpg", [G, "By how much do they differ at 3?" + THINK], "0.25", "number", ()),
    ],
    "MMStar": [
        ("0", [B, "What is it?\nOptions: A: a bird, B: a plane, C: nothing, D: a kite" + THINK],
         "D", "choice", ("a bird", "a plane", "nothing", "a kite")),
    ],
    "AIME24": [
        ("2024-I-1", "Find $2+2$." + THINK, "4", "number", ()),
        ("2024-II-3", "Find $10 \\cdot 20 + 4$." + THINK, "204", "number", ()),
    ],
    "AIME25": [
        ("0", "Find the sum of all bases $b>9$." + THINK, "070", "number", ()),
        ("1", "Find $n$." + THINK, "588", "number", ()),
    ],
    "MATH500": [
        ("test/precalculus/807.json", "Convert $(0,3)$ to polar coordinates." + THINK,
         "\\left( 3, \\frac{\\pi}{2} \\right)", "expression", ()),
    ],
    "MMLU-Pro": [
        ("70", "Which one is an animal?\n\nA. stone\nB. tree\nC. cat\nD. lamp\nE. cloud\nF. river\n"
               "G. car\nH. pen\nI. cup\nJ. hat" + THINK, "C", "choice",
         ("stone", "tree", "cat", "lamp", "cloud", "river", "car", "pen", "cup", "hat")),
    ],
    "BBEH": [
        ("0", "Which is true?\n(A) no (B) yes" + THINK, "(B)", "text", ()),
        ("1", "Sort: b a" + THINK, "a, b", "text", ()),
    ],
    "GPQA": [
        ("rec1", "Which is number 1?\n\nA. right 1\nB. wrong 2\nC. wrong 3\nD. wrong 1" + THINK,
         "A", "choice", ("right 1", "wrong 2", "wrong 3", "wrong 1")),
        ("rec2", "Which is number 2?\n\nA. wrong 1\nB. right 2\nC. wrong 3\nD. wrong 2" + THINK,
         "B", "choice", ("wrong 1", "right 2", "wrong 3", "wrong 2")),
    ],
    "GSM8K": [
        ("0", "Ann has 3 eggs and buys 4." + THINK, "7", "number", ()),
        ("1", "A car costs 1,200." + THINK, "1,200", "number", ()),
    ],
    "OlympiadBench": [
        ("OE_MM_maths_en_COMP/1", ["Find all x on ", R, "." + THINK], "2, -1", "expression", ()),
        ("OE_MM_physics_en_COMP/1", ["A ball falls.\n\nHow fast is it? ", R, THINK], "4.2",
         "expression", ()),
    ],
    "virl39k": [
        ("a-1", [R, "How many?" + THINK], "3", "expression", ()),
        ("a-2", [G, B, "Which?\nChoices:\n(A) left\n(B) right" + THINK], "B", "choice",
         ("left", "right")),
        ("a-3", "What is 1/2 + 1/4?" + THINK, "\\frac{3}{4}", "expression", ()),
    ],
    "openthoughts": [("1", "What is 6 * 7?" + THINK, "42", "expression", ())],
    "am-thinking-v1": [("0", "3 * 3?" + THINK, "9", "expression", ())],
}  # fmt: skip


def test_every_data_set_of_the_paper_has_a_stand_in():
    assert set(standins.STANDINS) == {*EXPECTED, "DynaMath-W"}
    assert set(standins.STANDINS) <= {*load_registry(), *load_registry(standins.TRAINING_DATA)}


@pytest.mark.parametrize("name", EXPECTED)
def test_rows_become_questions(name, tmp_path):
    assert [asked(item) for item in loaded(name, tmp_path)] == EXPECTED[name]


def test_variants_share_a_group(tmp_path):
    found = loaded("DynaMath-W", tmp_path)
    assert len(found) == 20
    assert [(item.id, item.group, item.variant) for item in found[:3]] == [
        ("1/sample_variant1", "1", "sample_variant1"),
        ("2/sample_variant1", "2", "sample_variant1"),
        ("1/sample_variant2", "1", "sample_variant2"),
    ]
    assert [item.question.gold for item in found if item.group == "2"] == ["B", "A"] * 5
    assert asked(found[1])[1:] == (
        [R, "Is 1 even? Choices: (A) yes (B) no" + THINK], "B", "choice", ("yes", "no"),
    )  # fmt: skip
    steps = loaded("WeMath-S", tmp_path)
    assert {item.group for item in steps} == {"0"} and steps[2].variant == "2steps_multi"
    (single, _) = loaded("AIME24", tmp_path)  # without variants each is its own group
    assert (single.benchmark, single.group, single.variant) == ("AIME24", "2024-I-1", "")


def test_tags_and_traces(tmp_path):
    assert loaded("OlympiadBench", tmp_path)[1].tags == {
        "subject": "OE_MM_physics_en_COMP",
        "unit": "m/s",
        "tolerance": "1e-1",
        "answer_type": "Numerical",
    }
    assert loaded("virl39k", tmp_path)[0].tags["pass_rate_7b"] == "-1.0"
    (thought,) = loaded("openthoughts", tmp_path)
    assert thought.tags["trace"] == "<think> 6 * 7 is 42. </think> It is \\boxed{42}."
    (turn,) = loaded("am-thinking-v1", tmp_path)
    assert turn.tags["trace"] == "<think>It is 9.</think><answer>So \\boxed{9}.</answer>"


def test_what_a_judge_reads(tmp_path):
    texts = [item.question.text for item in loaded("MathVerse-V", tmp_path)]
    assert texts == [
        "How large is angle 1?\nChoices:\nA:30°\nB:45°\nC:60°\nD:90°",
        "Find the slope of line A.",
    ]
    (item, *_) = loaded("GPQA", tmp_path)
    assert item.question.text == (
        "Which is number 1?\n\nA. right 1\nB. wrong 2\nC. wrong 3\nD. wrong 1"
    )


def test_choices_are_shuffled_alike_from_another_file_and_under_another_name(tmp_path):
    standins.write("GPQA", tmp_path)
    own = registry_file(tmp_path, "g: {like: GPQA, path: GPQA/gpqa_diamond/train.csv}")
    found = items(load_registry(REGISTRY, own)["g"])
    assert [item.question.choices for item in found] == [case[-1] for case in EXPECTED["GPQA"]]


def test_a_limit_takes_whole_groups_and_a_larger_one_contains_it(tmp_path):
    registry = load_registry(local={"DynaMath-W": standins.write("DynaMath-W", tmp_path)})
    few, more = (items(registry["DynaMath-W"], limit) for limit in (10, 19))
    assert [item.id for item in few] == [item.id for item in more]
    assert {item.group for item in few} == {"1"} and len(few) == 10
    assert len(items(registry["DynaMath-W"], 1)) == 10  # at least one group
    assert len(items(registry["DynaMath-W"], 20)) == 20


def test_a_limit_does_not_follow_the_file(tmp_path):
    x = own(tmp_path, [{"q": f"Question {n}", "a": str(n)} for n in range(100)])
    picked = [[int(item.id) for item in items(x, limit)] for limit in (5, 10)]
    assert picked[0] == [39, 49, 51, 55, 65]
    assert set(picked[0]) < set(picked[1]) and picked[1] == sorted(picked[1])
    with pytest.raises(UserError, match="limit 0: give 1 or more"):
        items(x, 0)


# ---- one's own files ---------------------------------------------------------------------------


def registry_file(tmp_path, entries):
    file = tmp_path / "own.yaml"
    file.write_text("benchmarks:\n  " + entries.strip("\n"), encoding="utf-8")
    return file


def own(tmp_path, rows, columns="{question: q, answer: a}", more="", suffix="jsonl"):
    """A benchmark of one's own in a file beside its registry."""
    file = tmp_path / f"own.{suffix}"
    if suffix == "jsonl":
        standins._jsonl(file, rows)
    elif isinstance(rows, str):
        file.write_text(rows, encoding="utf-8")
    entry = f"""own:
    path: own.{suffix}
    columns: {columns}
    answer: text
    prompt: "{{question}}"
    {more}"""
    return load_registry(registry_file(tmp_path, entry))["own"]


def test_pictures_beside_the_file(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.png").write_bytes(standins.png(G))
    rows = [{"q": "What?", "a": "x", "p": "pictures/a.png"}, {"q": "And?", "a": "y", "p": None}]
    found = items(own(tmp_path, rows, "{question: q, answer: a, images: p}"))
    assert [shown(item) for item in found] == [[G, "What?"], "And?"]
    assert found[0].images[0].size == (8, 6)


def test_json_csv_and_columns_of_texts_and_numbers(tmp_path):
    text = json.dumps([{"q": "One?", "a": "1"}, {"q": "Two?", "a": "2"}])
    found = items(own(tmp_path, text, suffix="json"))
    assert [(item.id, item.question.gold) for item in found] == [("0", "1"), ("1", "2")]
    found = items(own(tmp_path, "q,a\nWhich agent?,007\nWhich country?,NA\n", suffix="csv"))
    assert [item.question.gold for item in found] == ["007", "NA"]
    found = items(own(tmp_path, [{"q": "Which agent?", "a": "007"}, {"q": "How many?", "a": 8}]))
    assert [item.question.gold for item in found] == ["007", "8"]


def test_texts_that_were_taken_for_dates_are_refused(tmp_path):
    with pytest.raises(UserError, match="column 'a' look like dates"):
        items(own(tmp_path, [{"q": "When?", "a": "2020-01-31"}]))


def test_choices_in_columns_of_their_own(tmp_path):
    rows = [{"q": "Which?", "a": "b", "x": "one", "y": "two", "z": None},
            {"q": "Free?", "a": "seven", "x": None, "y": None, "z": None}]  # fmt: skip
    first, second = items(own(tmp_path, rows, "{question: q, answer: a, choices: [x, y, z]}"))
    assert asked(first) == ("0", "Which?\n\nA. one\nB. two", "B", "choice", ("one", "two"))
    assert asked(second) == ("1", "Free?", "seven", "text", ())


def test_a_letter_by_its_index_and_a_system_message(tmp_path):
    rows = [{"q": "Which?", "a": 1, "c": ["one", "two"]}]
    more = "steps: {answer: [letter of index]}"
    (item,) = items(own(tmp_path, rows, "{question: q, answer: a, choices: c}", more))
    assert (item.question.gold, item.question.choices) == ("B", ("one", "two"))
    (item,) = items(own(tmp_path, [{"q": "Who?", "a": "I"}], more="system: Be brief."))
    assert item.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who?"},
    ]


@pytest.mark.parametrize(
    ("row", "columns", "more", "message"),
    [
        ({"a": "  "}, "", "", "item 0: has no right answer"),
        ({"q": None}, "", "", "item 0: has no question"),
        ({"a": "E", "c": ["x", "y"]}, "choices: c", "", "'E' is none of its 2 choices"),
        ({"c": "x, y"}, "choices: c", "", "choices are no list: 'x, y'"),
        ({"c": [None, "y"]}, "choices: c", "", "choice A is empty"),
        ({"c": "[x"}, "choices: c", "steps: {choices: python list}", "is no list: '[x'"),
        ({"a": "9", "c": ["8", "7"]}, "choices: c", "steps: {answer: [letter of text]}",
         "'9' is not one of the choices ['8', '7']"),
        ({"a": 5, "c": ["8", "7"]}, "choices: c", "steps: {answer: [letter of index]}",
         "names choice 5 of 2"),
        ({"a": "7"}, "", "steps: {answer: ['after ####']}", "has no '####' in '7'"),
        ({"a": "7"}, "", "steps: {answer: [boxed]}", "has no \\boxed{...} in '7'"),
        ({"q": "See <image 2>", "c": "own.png"}, "images: c", "", "<image 2> that is not there"),
        ({"c": "none.png"}, "images: c", "", "names the picture 'none.png', which is not in"),
        ({"c": "../own.png"}, "images: c", "", "'../own.png', which is outside the data set"),
        ({"c": "/etc/passwd"}, "images: c", "", "'/etc/passwd', which is outside the data set"),
        ({"c": "own.jsonl"}, "images: c", "", "has a picture that can't be decoded"),
        ({"c": 7}, "images: c", "", "holds int where a picture should be"),
        ({"c": "odd"}, "tags: {kind: c}", "answer_by: {column: c, types: {even: text}}",
         "column 'c' holds 'odd', which 'answer_by' does not name (even)"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used_are_named(tmp_path, row, columns, more, message):
    (tmp_path / "own.png").write_bytes(standins.png(R))
    columns = "{question: q, answer: a" + (f", {columns}}}" if columns else "}")
    found = items(own(tmp_path, [{"q": "What?", "a": "A", **row}], columns, more))
    with pytest.raises(ItemError) as caught:
        found[0]
    assert "benchmark own, item 0: " in str(caught.value) and message in str(caught.value)


def test_one_bad_row_leaves_the_others(tmp_path):
    found = items(own(tmp_path, [{"q": "One?", "a": ""}, {"q": "Two?", "a": "2"}]))
    assert len(found) == 2 and found[-1].question.gold == "2"


def test_missing_columns_are_named_with_those_there_are(tmp_path):
    columns = "{question: question, answer: a, images: p, tags: {topic: t}}"
    with pytest.raises(UserError) as caught:
        items(own(tmp_path, [{"q": "What?", "a": "1"}], columns))
    assert "has no column 'question', 'p', 't'; it has q, a;" in str(caught.value)
    with pytest.raises(UserError, match=r"has no column 'image_\*'"):
        items(own(tmp_path, [{"q": "?", "a": "1"}], "{question: q, answer: a, images: image_*}"))


def test_ids_must_tell_rows_apart_and_some_row_be_kept(tmp_path):
    rows = [{"q": "One?", "a": "1", "n": "x"}, {"q": "Two?", "a": "2", "n": "x"}]
    with pytest.raises(UserError, match="1 ids stand for several rows, 'x' among them"):
        items(own(tmp_path, rows, "{id: n, question: q, answer: a}"))
    with pytest.raises(UserError, match=r"no rows in .* are kept"):
        items(own(tmp_path, rows, more="keep: {q: [none]}"))


def test_the_right_answer_of_every_benchmark_is_graded_right(tmp_path):
    names = set(standins.STANDINS) & set(load_registry())
    registry = load_registry(local=standins.write_all(tmp_path, names))
    found = [item for name in sorted(names) for item in items(registry[name])]
    responses = [f"<think> so </think> \\boxed{{{item.question.gold}}}" for item in found]
    with Grader() as grader:
        grades = grader.grade_many(zip(responses, [item.question for item in found], strict=True))
        bad = [(i.benchmark, i.id, g) for i, g in zip(found, grades, strict=True) if not g.correct]
    assert bad == []
