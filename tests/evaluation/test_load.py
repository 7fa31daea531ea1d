"""From rows to questions: every benchmark's own form, one's own files, and what can't be used."""

import json

import pytest
from PIL import Image

from ares.backends.messages import messages
from ares.config import load_config
from ares.data.problems import choose_problems
from ares.data.world import messages as world_messages
from ares.data.world import picture, problem_of, write_countdown
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.evaluation.load import items, usable
from ares.evaluation.registry import REGISTRY, load_registry
from ares.evaluation.sources import ItemError
from ares.model.load import load_processor
from ares.paths import BASE_MODEL
from tests.configs import changed
from tests.evaluation import standins
from tests.evaluation.test_registry import PAPER

THINK = (
    "\n\nThink first, between <think> and </think>. Then give the final answer, for a "
    "multiple-choice question its letter, in \\boxed{}."
)
R, G, B = standins.RED, standins.GREEN, standins.BLUE


def seen(said):
    """What the user's message shows: texts, and colours in place of pictures."""
    content = said[-1]["content"]
    if isinstance(content, str):
        return content
    return [p["text"] if p["type"] == "text" else p["image"].getpixel((0, 0)) for p in content]


def asked(item):
    """The question as `ares.evaluation.run` and the grader see it."""
    q = item.question
    return (item.id, seen(item.messages), q.gold, q.answer, q.choices)


def loaded(name, tmp_path, limit=None):
    training = name in load_registry(standins.TRAINING_DATA)
    file = standins.TRAINING_DATA if training else REGISTRY
    registry = load_registry(file, local={name: standins.write(name, tmp_path)})
    return items(registry[name], limit)


#: Data sets whose rows take more than one step to a question; all are graded below.
EXPECTED = {
    "MathVerse-V": [
        ("5", [R, "Answer the question that is shown in the picture. " + THINK], "B", "choice",
         ("30°", "45°", "60°", "90°")),
        ("6", [R, "Answer the question that is shown in the picture. " + THINK], "\\frac{1}{2}",
         "expression", ()),
    ],
    "MathVista": [
        ("1", [B, "Hint: A letter.\nQuestion: Is it?\nChoices:\n(A) Yes\n(B) No" + THINK], "A",
         "choice", ("Yes", "No")),
        ("2", [B, "Hint: One decimal.\nQuestion: How far?" + THINK], "1.2", "number", ()),
        ("3", [B, "Hint: Give a list.\nQuestion: Which three?" + THINK], "[0, 2, 0]",
         "expression", ()),
    ],
    "MMMU": [
        ("validation_Accounting_1",
         ["Compare ", R, " with ", G, ". Which is larger?\n\nA. ", B,
          "\nB. it's <image 1>" + THINK], "B", "choice", ("<image 3>", "it's <image 1>")),
        ("validation_Math_2", [R, " What is the ratio?" + THINK], "1.06", "expression", ()),
    ],
    "GPQA": [
        ("rec1", "Which is number 1?\n\nA. right 1\nB. wrong 2\nC. wrong 3\nD. wrong 1" + THINK,
         "A", "choice", ("right 1", "wrong 2", "wrong 3", "wrong 1")),
        ("rec2", "Which is number 2?\n\nA. wrong 1\nB. right 2\nC. wrong 3\nD. wrong 2" + THINK,
         "B", "choice", ("wrong 1", "right 2", "wrong 3", "wrong 2")),
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
}  # fmt: skip


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
    assert asked(steps[0]) == (
        "0/2steps_1", [G, "Question 0, 2steps_1?\n\nA. 3\nB. 4\nC. No correct answer" + THINK], "B",
        "choice", ("3", "4", "No correct answer"),
    )  # fmt: skip
    (single, _) = loaded("AIME24", tmp_path)  # without variants each is its own group
    assert (single.benchmark, single.group, single.variant) == ("AIME24", "2024-I-1", "")


def test_tags_traces_and_what_a_judge_reads(tmp_path):
    assert loaded("OlympiadBench", tmp_path)[1].tags == {
        "subject": "OE_MM_physics_en_COMP",
        "unit": "m/s",
        "answer_type": "Numerical",
    }
    assert loaded("virl39k", tmp_path)[0].tags["pass_rate_7b"] == "-1.0"
    (thought,) = loaded("openthoughts", tmp_path)
    assert thought.tags["trace"] == "<think> 6 * 7 is 42. </think> It is \\boxed{42}."
    (turn,) = loaded("am-thinking-v1", tmp_path)
    assert turn.tags["trace"] == "<think>It is 9.</think><answer>So \\boxed{9}.</answer>"
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


def test_a_limit_takes_whole_groups_and_does_not_follow_the_file(tmp_path):
    registry = load_registry(local={"DynaMath-W": standins.write("DynaMath-W", tmp_path)})
    few, more = (items(registry["DynaMath-W"], limit) for limit in (10, 19))
    assert [item.id for item in few] == [item.id for item in more]
    assert {item.group for item in few} == {"1"} and len(few) == 10
    assert len(items(registry["DynaMath-W"], 1)) == 10  # at least one group
    assert len(items(registry["DynaMath-W"], 20)) == 20
    x = own(tmp_path, [{"q": f"Question {n}", "a": str(n)} for n in range(100)])
    picked = [[int(item.id) for item in items(x, limit)] for limit in (5, 10)]
    assert picked[0] == [39, 49, 51, 55, 65]
    assert set(picked[0]) < set(picked[1]) and picked[1] == sorted(picked[1])
    with pytest.raises(UserError, match="limit 0: give 1 or more"):
        items(x, 0)


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
    assert [seen(item.messages) for item in found] == [[G, "What?"], "And?"]
    assert found[0].images[0].size == (8, 6)


def test_files_and_types_of_columns(tmp_path):
    text = json.dumps([{"q": "One?", "a": "1"}, {"q": "Two?", "a": "2"}])
    found = items(own(tmp_path, text, suffix="json"))
    assert [(item.id, item.question.gold) for item in found] == [("0", "1"), ("1", "2")]
    found = items(own(tmp_path, "q,a\nWhich agent?,007\nWhich country?,NA\n", suffix="csv"))
    assert [item.question.gold for item in found] == ["007", "NA"]
    found = items(own(tmp_path, [{"q": "Which agent?", "a": "007"}, {"q": "How many?", "a": 8}]))
    assert [item.question.gold for item in found] == ["007", "8"]
    with pytest.raises(UserError, match="column 'a' look like dates"):
        items(own(tmp_path, [{"q": "When?", "a": "2020-01-31"}]))
    found = items(own(tmp_path, [{"q": "One?", "a": ""}, {"q": "Two?", "a": "2"}]))
    assert len(found) == 2 and found[-1].question.gold == "2"


def test_choices_in_columns_letters_by_index_and_a_system_message(tmp_path):
    rows = [{"q": "Which?", "a": "b", "x": "one", "y": "two", "z": None},
            {"q": "Free?", "a": "seven", "x": None, "y": None, "z": None}]  # fmt: skip
    first, second = items(own(tmp_path, rows, "{question: q, answer: a, choices: [x, y, z]}"))
    assert asked(first) == ("0", "Which?\n\nA. one\nB. two", "B", "choice", ("one", "two"))
    assert asked(second) == ("1", "Free?", "seven", "text", ())
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
        ({"a": "E", "c": ["x", "y"]}, "choices: c", "", "'E' is none of its 2 choices"),
        ({"c": "x, y"}, "choices: c", "", "choices are no list: 'x, y'"),
        ({"a": "9", "c": ["8", "7"]}, "choices: c", "steps: {answer: [letter of text]}",
         "'9' is not one of the choices ['8', '7']"),
        ({"a": 5, "c": ["8", "7"]}, "choices: c", "steps: {answer: [letter of index]}",
         "names choice 5 of 2"),
        ({"a": "7"}, "", "steps: {answer: [boxed]}", "has no \\boxed{...} in '7'"),
        ({"c": "../own.png"}, "images: c", "", "'../own.png', which is outside the data set"),
        ({"c": "own.jsonl"}, "images: c", "", "has a picture that can't be decoded"),
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


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        (
            "{question: question, answer: a, tags: {t: t}}",
            "",
            "has no column 'question', 't'; it has",
        ),
        ("{question: q, answer: a, images: image_*}", "", r"has no column 'image_\*'"),
        ("{id: n, question: q, answer: a}", "", "1 ids stand for several rows, 'x' among them"),
        ("{question: q, answer: a}", "keep: {q: [none]}", "no rows in .* are kept"),
    ],
)
def test_columns_must_be_there_ids_tell_rows_apart_and_some_row_be_kept(
    tmp_path, columns, more, message
):
    rows = [{"q": "One?", "a": "1", "n": "x"}, {"q": "Two?", "a": "2", "n": "x"}]
    with pytest.raises(UserError, match=message):
        items(own(tmp_path, rows, columns, more))


#: Right answers as the stand-ins of these benchmarks ship them, with their types.
GOLDS = {
    "MathVision": [("B", "choice"), ("7", "expression")],
    "LogicVista": [("C", "choice"), ("A, C", "choice")],
    "MMMU-Pro": [("J", "choice")],
    "CharXiv": [("ours (w/o KL)", "text"), ("0.25", "number")],
    "MATH500": [(r"\left( 3, \frac{\pi}{2} \right)", "expression")],
    "MMLU-Pro": [("C", "choice")],
}


@pytest.mark.parametrize("name", GOLDS)
def test_right_answers_are_read_as_they_are_shipped(name, tmp_path):
    found = loaded(name, tmp_path)
    assert [(item.question.gold, item.question.answer) for item in found] == GOLDS[name]


@pytest.mark.parametrize("name", PAPER)
def test_the_right_answer_of_every_form_is_graded_right(name, tmp_path):
    with Grader() as grader:
        for item in loaded(name, tmp_path):
            response = f"<think> so </think> \\boxed{{{item.question.gold}}}"
            assert grader.grade(response, item.question).correct, item


#: Rows as benchmarks ship them that were stumbled over: columns, step of the choices, row, and the
#: gold answer with the choices that come of it.
AWKWARD = [
    ({"q": "Which?", "a": "3", "c": None}, "lettered", "3", ()),
    ({"q": "Which?", "a": "B", "c": "A. ①;B．②;C. ③"}, "lettered", "B", ("①", "②", "③")),
    ({"q": "Which?", "a": "F", "c": "A. 1; B. 2; C. 3; F. None"}, "lettered", "F",
     ("1", "2", "3", "", "", "None")),
    ({"q": "Which?", "a": "090^\\circ T", "c": ["045^\\circ T", "$090^\\circ T$"]}, "as they are",
     "B", ("045^\\circ T", "$090^\\circ T$")),
    ({"q": "Which?", "a": "b", "c": ["1", "2"]}, "as they are", "B", ("1", "2")),
]  # fmt: skip


@pytest.mark.parametrize(("row", "step", "gold", "choices"), AWKWARD)
def test_awkward_rows(tmp_path, row, step, gold, choices):
    more = f"steps: {{choices: {step}}}"
    entry = own(tmp_path, [row], "{question: q, answer: a, choices: c}", more)
    (item,) = items(entry.model_copy(update={"answer": "choice"}))
    assert (item.question.gold, item.question.choices) == (gold, choices)
    with Grader() as grader:
        assert grader.grade(rf"\boxed{{{gold}}}", item.question).correct
        assert not grader.grade(r"\boxed{A}", item.question).correct


def test_what_is_accepted_beside_the_gold_answer(tmp_path):
    def statuses(row, columns, more, *answers):
        columns = "{question: q, answer: a" + columns + "}"
        entry = own(tmp_path, [{"q": "How much?", **row}], columns, more)
        (item,) = items(entry.model_copy(update={"answer": "number"}))
        with Grader() as grader:
            return [grader.grade(rf"\boxed{{{a}}}", item.question).correct for a in answers]

    several = statuses(
        {"a": "['1.06', '1.1']"}, "", "steps: {answer: [either of list]}", "1.1", "1.2"
    )
    assert several == [True, False]
    assert statuses({"a": "4.2"}, "", "tolerance: 0.1", "4.25", "4.35") == [True, False]
    own_tolerance = {"a": "4.2, 1", "t": "1e-1"}, ", tolerance: t", "", "4.28, 1", "4.2, 1.2"
    assert statuses(*own_tolerance) == [True, False]
    assert statuses({"a": "1.2", "d": 1.0}, ", decimals: d", "", "1.23", "1.26") == [True, False]
    assert statuses({"a": "1.2", "d": None}, ", decimals: d", "", "1.23") == [False]


def test_rows_that_cannot_be_used_are_set_aside(tmp_path):
    rows = [{"q": "One?", "a": "1"}, {"q": "Two?", "a": ""}, {"q": "Three?", "a": "3"}]
    found, aside = usable(items(own(tmp_path, rows)))
    assert [item.id for item in found] == ["0", "2"]
    assert aside == ["benchmark own, item 1: has no right answer"]
    with pytest.raises(UserError, match=r"not one row can be used; .*item 0: has no right"):
        usable(items(own(tmp_path, rows[1:2])))


PICTURES = {number: Image.new("RGB", (2, 2), colour) for number, colour in ((1, R), (2, B))}


def content(question, pictures=PICTURES, template="{question}"):
    return seen(messages(question, pictures, template))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which?", [R, B, "Which?"]),
        ("<image 2> or <image 1>?", [B, " or ", R, "?"]),
        ("<image_1><image_2>Which?", [R, B, "Which?"]),
        ("See <image2>.", [R, "See ", B, "."]),
        ("<image> or <image>?", [R, " or ", B, "?"]),
        ("<image 2>, then <image>", [B, ", then ", R]),
        ("<image 1>: is <image 1> red?", [B, R, ": is <image 1> red?"]),
        ("<image1> <image3>?", [B, R, " <image3>?"]),
        ("<image><image><image>?", [R, B, "<image>?"]),
    ],
)
def test_pictures_stand_where_they_are_marked_or_first(question, expected):
    assert content(question) == expected


def test_templates_surround_questions():
    assert (
        content("An <image> tag {x}.", {}, "{question} Briefly.") == "An <image> tag {x}. Briefly."
    )
    one = {1: PICTURES[1]}
    assert content("<image>?", one, "Look: {question} Think.") == ["Look: ", R, "? Think."]


LEVELS = ["easy", "medium", "hard"]


@pytest.fixture
def registry(tmp_path):
    return load_registry(write_countdown(tmp_path / "world", load_world(), LEVELS, 2, seed=1))


def test_the_problems_are_those_of_the_small_worlds_evaluation_and_levels_are_known(
    registry, tmp_path
):
    changes = {"seed": 1, "evaluation.per_level": 2, "problems.levels": LEVELS}
    config = changed(load_config("smoke"), changes)
    table = choose_problems(config, "evaluation").query("presentation == 'text'")
    found = items(registry["countdown-text"])
    assert [item.id for item in found] == table["problem_id"].tolist()
    assert [item.tags["level"] for item in found] == table["level"].tolist()
    assert [item.question.gold for item in found] == [
        f"numbers {' '.join(map(str, numbers))} target {target}"
        for numbers, target in zip(table["numbers"], table["target"], strict=True)
    ]
    assert {item.question.answer for item in found} == {"countdown"}
    with pytest.raises(UserError, match="unknown level 'heroic'"):
        write_countdown(tmp_path, load_world(), ["heroic"], 1, 1)


@pytest.mark.parametrize("presentation", ["text", "image"])
def test_the_model_reads_what_the_small_world_shows_it(registry, presentation):
    name = {"text": "countdown-text", "image": "countdown-cards"}[presentation]
    processor = load_processor(BASE_MODEL)

    def encoded(said, pictures):
        text = processor.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        return processor(text=[text], images=pictures or None, return_tensors="pt")

    for item in items(registry[name]):
        problem, values = problem_of(item.question.gold)
        own = world_messages(problem, presentation, values)
        shown = [picture(problem, 1)] if presentation == "image" else []
        assert item.messages[0]["content"] == own[0]["content"][0]["text"]
        ours, theirs = encoded(item.messages, item.images), encoded(own, shown)
        assert ours.keys() == theirs.keys()
        assert all((ours[key] == theirs[key]).all() for key in ours)
