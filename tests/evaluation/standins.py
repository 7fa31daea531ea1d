"""Small stand-ins for the data of benchmarks: a few rows in each form that there is on the hub.

`write(name, folder)` returns what `load_registry(local={name: ...})` reads in its place: a file, or
a folder where the benchmark has several splits. Questions and answers are made up; the columns that
are read, their types, markers and file formats are those of the data sets.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
from datasets import Dataset, Features, Image, Value
from PIL import Image as Pictures

from ares.paths import CONFIG

Row = dict[str, Any]
#: Prompts of reinforcement learning and sources of the cold start, at the paper's scale.
TRAINING_DATA = CONFIG / "training-data.yaml"
RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


def png(colour: tuple[int, ...], size: tuple[int, int] = (8, 6), mode: str = "RGB") -> bytes:
    """An encoded picture of one colour."""
    file = io.BytesIO()
    Pictures.new(mode, size, colour).save(file, "PNG")
    return file.getvalue()


def picture(colour: tuple[int, ...]) -> Row:
    """A picture as a data set stores it."""
    return {"bytes": png(colour), "path": "picture.png"}


R, G, B = map(picture, (RED, GREEN, BLUE))


def write(name: str, folder: Path) -> Path:
    """Write the stand-in for one benchmark or training source into a folder of its own."""
    folder = Path(folder) / name
    for file, rows in STANDINS[name].items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        {".parquet": _parquet, ".jsonl": _jsonl, ".csv": _csv}[path.suffix](path, rows)
    if name == "virl39k":
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for picture_name, colour in (("a-1-0", RED), ("a-2-0", GREEN), ("a-2-1", BLUE)):
                archive.writestr(f"images/{picture_name}.png", png(colour))
    return path if len(STANDINS[name]) == 1 and "/" not in file else folder


def _parquet(path: Path, rows: list[Row]) -> None:
    names = dict.fromkeys(name for row in rows for name in row)
    full = [{name: row.get(name) for name in names} for row in rows]
    inferred = Dataset.from_list(full).features
    pictures = {n: Image() for n in names if any(isinstance(row[n], dict) for row in full)}
    empty = {n: Value("string") for n in names if all(row[n] is None for row in full)}
    Dataset.from_list(full, features=Features({**inferred, **empty, **pictures})).to_parquet(path)


def _jsonl(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _csv(path: Path, rows: list[Row]) -> None:
    pd.DataFrame(rows).to_csv(path, index=False)


def mathverse(place: int, version: str, kind: str, answer: str, words: str) -> Row:
    shown = "" if version == "Vision Only" else words
    return {"sample_index": str(place), "problem_index": str(place // 2), "image": R,
            "problem_version": version, "question": shown, "answer": answer,
            "question_type": kind, "question_for_eval": words}  # fmt: skip


def dynamath(variant: int) -> list[Row]:
    shared = {"subject": "arithmetic", "decoded_image": R}
    even = f"Is {variant} even? Choices: (A) yes (B) no"
    return [
        {"id": "1", "question": f"What is {variant} + 0.5?", "ground_truth": f"{variant + 0.5}",
         "answer_type": "float", **shared},
        {"id": "2", "question": even, "ground_truth": "BA"[variant % 2 == 0],
         "answer_type": "multiple choice", **shared},
    ]  # fmt: skip


ANGLE = "How large is angle 1?\nChoices:\nA:30°\nB:45°\nC:60°\nD:90°"
TURNS = [
    {"from": "human", "value": "3 * 3?"},
    {"from": "assistant", "value": "<think>It is 9.</think><answer>So \\boxed{9}.</answer>"},
]
PRODUCT = {"problem": "What is 6 * 7?", "deepseek_reasoning": "6 * 7 is 42.",
           "deepseek_solution": "It is \\boxed{42}.", "source": "numina_math"}  # fmt: skip
VIRL = {"PassRate_32BTrained": 0.5, "PassRate_7BBase": -1.0, "category": "Geometric",
        "source": "Processed"}  # fmt: skip
OLYMPIAD = {"id": 1, "answer_type": "Numerical", "image_1": R, "image_2": None}

#: By benchmark: the rows of its files.
STANDINS: dict[str, dict[str, list[Row]]] = {
    "MathVerse-V": {"testmini.parquet": [
        mathverse(4, "Text Dominant", "multi-choice", "B", ANGLE),
        mathverse(5, "Vision Only", "multi-choice", "B", ANGLE),
        mathverse(6, "Vision Only", "free-form", "\\frac{1}{2}", "Find the slope of line A."),
    ]},
    "MathVision": {"test.parquet": [
        {"id": "1", "question": "Which is it? <image1>", "answer": "B", "options": ["2", "3"],
         "decoded_image": R, "subject": "algebra", "level": 3},
        {"id": "2", "question": "How many dots? <image1>", "answer": "7", "options": [],
         "decoded_image": G, "subject": "algebra", "level": 3},
    ]},
    "MathVista": {"testmini.parquet": [
        {"pid": "1", "query": "Hint: A letter.\nQuestion: Is it?\nChoices:\n(A) Yes\n(B) No",
         "decoded_image": B, "answer": "Yes", "answer_type": "text", "choices": ["Yes", "No"],
         "question_type": "multi_choice", "precision": None},
        {"pid": "2", "query": "Hint: One decimal.\nQuestion: How far?", "decoded_image": B,
         "answer": "1.2", "answer_type": "float", "question_type": "free_form", "precision": 1.0},
        {"pid": "3", "query": "Hint: Give a list.\nQuestion: Which three?", "decoded_image": B,
         "answer": "[0, 2, 0]", "answer_type": "list", "question_type": "free_form"},
    ]},
    "DynaMath-W": {f"sample_variant{n}.parquet": dynamath(n) for n in range(1, 11)},
    # Problems of two steps and of three steps are numbered apart: both have an ID 0.
    "WeMath-S": {"testmini.parquet": [
        {"ID": "0", "question": f"Question 0, {n}steps_{step}?", "answer": "B", "image_path": G,
         "option": "A. 3; B. 4; C. No correct answer", "key": f"{n}steps_{step}"}
        for n in (2, 3) for step in (*range(1, n + 1), "multi")
    ]},
    "LogicVista": {"test.parquet": [
        {"id": "v1", "question": "Which comes next? Select from A, B, C and D.", "answer": "C",
         "image": B, "skill": "deductive"},
        {"id": "v2", "question": "Which? (A) one (B) two (C) three", "answer": "A, C", "image": B,
         "skill": "deductive"},
    ]},
    "MMMU-Pro": {"standard (10 options)/test.parquet": [
        {"id": "test_History_1", "question": "Who is on <image 1>?", "answer": "J", "image_1": R,
         "options": str([f"person {n}" for n in range(1, 11)]), "subject": "History"},
    ]},
    "CharXiv": {"validation.parquet": [
        {"image": G, "category": "cs", "figure_path": f"images/{kind}.jpg",
         "reasoning_q": "Which, and where?", "reasoning_a": answer, "reasoning_a_type": kind}
        for kind, answer in ((1, "ours (w/o KL)"), (4, "0.25"))
    ]},
    "MATH500": {"test.jsonl": [
        {"problem": "Convert $(0,3)$ to polar coordinates.", "subject": "Precalculus", "level": 2,
         "answer": "\\left( 3, \\frac{\\pi}{2} \\right)", "unique_id": "test/precalculus/807.json"},
    ]},
    "MMLU-Pro": {"test.parquet": [
        {"question_id": 70, "question": "Which is an animal?", "options": ["stone", "tree", "cat"],
         "answer": "C", "category": "biology"},
    ]},
    "MMMU": {"validation.parquet": [
        {"id": "validation_Accounting_1", "answer": "B", "question_type": "multiple-choice",
         "question": "Compare <image 1> with <image 2>. Which is larger?",
         "options": "['<image 3>', \"it's <image 1>\"]", "subfield": "Financial Accounting",
         "image_1": R, "image_2": G, "image_3": B, "image_4": None},
        {"id": "validation_Math_2", "answer": "['1.06', '1.1']", "question_type": "open",
         "question": "<image 1> What is the ratio?", "options": "[]", "subfield": "Algebra",
         "image_1": R},
    ]},
    "MMStar": {"val.parquet": [
        {"index": 0, "image": B, "answer": "D", "category": "coarse perception",
         "question": "What is it?\nOptions: A: a bird, B: a plane, C: nothing, D: a kite",
         "l2_category": "image scene and topic"},
    ]},
    "AIME24": {"train.parquet": [
        {"ID": "2024-I-1", "Problem": "Find $2+2$.", "Solution": "It is 4.", "Answer": 4},
        {"ID": "2024-II-3", "Problem": "Find $10 \\cdot 20 + 4$.", "Solution": "", "Answer": 204},
    ]},
    "AIME25": {"test.jsonl": [
        {"problem": "Find the sum of all bases $b>9$.", "answer": "070", "id": "0"},
        {"problem": "Find $n$.", "answer": "588", "id": "1"},
    ]},
    "BBEH": {"train.parquet": [
        {"task": "nycc", "input": "Which is true?\n(A) no (B) yes", "target": "(B)", "mini": 1},
        {"task": "word sorting", "input": "Sort: b a", "target": "a, b", "mini": 0},
    ]},
    "GPQA": {"gpqa_diamond/train.csv": [
        {"Record ID": f"rec{n}", "Question": f"Which is number {n}?",
         "Correct Answer": f"right {n}\n", "Incorrect Answer 1": "wrong 1",
         "Incorrect Answer 2": "wrong 2", "Incorrect Answer 3": "wrong 3",
         "High-level domain": "Physics"}
        for n in (1, 2)
    ]},
    "GSM8K": {"test.parquet": [
        {"question": "Ann has 3 eggs and buys 4.", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"},
        {"question": "A car costs 1,200.", "answer": "It is so.\n#### 1,200"},
    ]},
    "OlympiadBench": {
        "OE_MM_maths_en_COMP/train.parquet": [
            {**OLYMPIAD, "question": "Find all x on <image_1>.", "context": None, "error": None,
             "final_answer": ["$2$", "$-1$"], "unit": None},
        ],
        "OE_MM_physics_en_COMP/train.parquet": [
            {**OLYMPIAD, "question": "How fast is it? <image_1>", "context": "A ball falls.",
             "error": "1e-1", "final_answer": ["$4.2$"], "unit": "m/s"},
        ],
    },
    # Two rows with pictures in images.zip, one without a picture.
    "virl39k": {"39Krelease.parquet": [
        {"qid": "a-1", "question": "<image>How many?", "answer": "\\boxed{3}",
         "image": ["images/a-1-0.png"], **VIRL},
        {"qid": "a-2", "question": "<image><image>Which?\nChoices:\n(A) left\n(B) right",
         "answer": "\\boxed{B}", "image": ["images/a-2-0.png", "images/a-2-1.png"], **VIRL},
        {"qid": "a-3", "question": "What is 1/2 + 1/4?", "answer": "\\boxed{\\frac{3}{4}}",
         "image": [], **VIRL},
    ]},
    "openthoughts": {"train.parquet": [
        {**PRODUCT, "domain": "code", "ground_truth_solution": "print(42)"},
        {**PRODUCT, "domain": "math", "ground_truth_solution": "So \\boxed{42}."},
    ]},
    "am-thinking-v1": {"math.jsonl": [{"system": "", "conversations": TURNS}]},
}  # fmt: skip
