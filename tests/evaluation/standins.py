"""Small stand-ins for the data of every benchmark: a few rows in the form that it has on the hub.

`write(name, folder)` returns what `load_registry(local={name: ...})` reads in its place: a file, or
a folder where the benchmark has several splits. Questions and answers are made up; columns, types,
markers and file formats are those of the data sets, columns that nothing reads included.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures

RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


def png(colour: tuple[int, ...], size: tuple[int, int] = (8, 6), mode: str = "RGB") -> bytes:
    """An encoded picture of one colour."""
    file = io.BytesIO()
    Pictures.new(mode, size, colour).save(file, "PNG")
    return file.getvalue()


def picture(colour: tuple[int, ...], **options: Any) -> dict[str, Any]:
    """A picture as a data set stores it."""
    return {"bytes": png(colour, **options), "path": "picture.png"}


def write(name: str, folder: Path) -> Path:
    """Write the stand-in for one benchmark or training source into a folder of its own."""
    folder = Path(folder) / name
    folder.mkdir(parents=True)
    return MAKERS[name](folder)


def write_all(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Stand-ins for several, ready for `load_registry(local=...)`."""
    return {name: write(name, folder) for name in names}


def _parquet(path: Path, rows: list[dict[str, Any]], types: Mapping[str, Any]) -> Path:
    """Rows with the given types; columns without one hold text."""
    features = {name: types.get(name, Value("string")) for name in rows[0]}
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows, features=Features(features)).to_parquet(path)
    return path


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def mathverse(folder: Path) -> Path:
    def row(index: int, version: str, kind: str, answer: str, words: str) -> dict[str, Any]:
        return {
            "sample_index": str(index),
            "problem_index": str(index // 2),
            "problem_version": version,
            "question": "" if version == "Vision Only" else words,
            "image": picture(RED),
            "answer": answer,
            "question_type": kind,
            "metadata": {"split": "testmini", "source": "GeoQA"},
            "query_wo": words,
            "query_cot": words,
            "question_for_eval": words,
        }

    choice = "How large is angle 1?\nChoices:\nA:30°\nB:45°\nC:60°\nD:90°"
    rows = [
        row(4, "Text Dominant", "multi-choice", "B", choice),
        row(5, "Vision Only", "multi-choice", "B", choice),
        row(6, "Vision Only", "free-form", "\\frac{1}{2}", "Find the slope of line A."),
    ]
    meta = {"split": Value("string"), "source": Value("string")}
    return _parquet(folder / "testmini.parquet", rows, {"image": Image(), "metadata": meta})


def mathvision(folder: Path) -> Path:
    shared = {"solution": "", "level": 3, "subject": "algebra", "image": "images/1.jpg"}
    rows = [
        {
            "id": "1",
            "question": "Which number is in the square?\n<image1>",
            "options": ["2", "3", "5", "8", "13"],
            "decoded_image": picture(RED),
            "answer": "C",
            **shared,
        },
        {
            "id": "2",
            "question": "How many dots are there? <image1>",
            "options": [],
            "decoded_image": picture(GREEN),
            "answer": "7",
            **shared,
        },
    ]
    types = {"options": List(Value("string")), "decoded_image": Image(), "level": Value("int64")}
    return _parquet(folder / "test.parquet", rows, types)


def mathvista(folder: Path) -> Path:
    def row(pid: str, kind: str, answer: str, query: str, **more: Any) -> dict[str, Any]:
        shared = {"image": "images/1.jpg", "choices": None, "unit": None, "precision": None}
        return {
            "pid": pid,
            "question": query.split("Question: ")[1].split("\n")[0],
            "decoded_image": picture(BLUE),
            "answer": answer,
            "question_type": "multi_choice" if "choices" in more else "free_form",
            "answer_type": kind,
            "metadata": {"source": "IQTest", "split": "testmini"},
            "query": query,
            **(shared | more),
        }

    rows = [
        row("1", "text", "Yes", "Hint: A letter.\nQuestion: Is it?\nChoices:\n(A) Yes\n(B) No",
            choices=["Yes", "No"]),
        row("2", "float", "1.2", "Hint: One decimal.\nQuestion: How far?", precision=1.0, unit="m"),
        row("3", "list", "[0, 2, 0]", "Hint: Give a list.\nQuestion: Which three?"),
    ]  # fmt: skip
    meta = {"source": Value("string"), "split": Value("string")}
    types = {"choices": List(Value("string")), "decoded_image": Image(), "metadata": meta,
             "precision": Value("float64")}  # fmt: skip
    return _parquet(folder / "testmini.parquet", rows, types)


def dynamath(folder: Path) -> Path:
    for variant in range(1, 11):
        shared = {
            "image": f"images/{variant}.png",
            "subject": "arithmetic",
            "decoded_image": picture(RED),
        }
        rows = [
            {
                "id": "1",
                "question": f"What is {variant} + 0.5?",
                "ground_truth": f"{variant + 0.5}",
                "answer_type": "float",
                **shared,
            },
            {
                "id": "2",
                "question": f"Is {variant} even? Choices: (A) yes (B) no",
                "ground_truth": "A" if variant % 2 == 0 else "B",
                "answer_type": "multiple choice",
                **shared,
            },
        ]
        _parquet(folder / f"sample_variant{variant}.parquet", rows, {"decoded_image": Image()})
    return folder


def wemath(folder: Path) -> Path:
    def row(number: str, key: str, option: str, answer: str) -> dict[str, Any]:
        return {
            "ID": number,
            "split": "testmini",
            "knowledge concept": "Area",
            "question": f"Question {number}, {key}?",
            "option": option,
            "answer": answer,
            "image_path": picture(GREEN),
            "key": key,
            "question number": "1",
            "knowledge concept description": "",
        }

    options = "A. 3; B. 4; C. No correct answer"
    # Problems of two steps and of three steps are numbered apart: both have an ID 0.
    keys = [f"{n}steps_{step}" for n in (2, 3) for step in (*range(1, n + 1), "multi")]
    rows = [row("0", key, options, "B") for key in keys]
    return _parquet(folder / "testmini.parquet", rows, {"image_path": Image()})


def logicvista(folder: Path) -> Path:
    shared = {"image": picture(BLUE), "reasoning": "", "skill": "deductive", "imagesource": ""}
    ask = "Which figure comes next? Select from A, B, C and D."
    rows = [
        {"id": "v1", "question": ask, "answer": "C", **shared},
        {"id": "v2", "question": "Which? (A) one (B) two (C) three", "answer": "A, C", **shared},
    ]
    return _parquet(folder / "test.parquet", rows, {"image": Image()})


def mmmu(folder: Path) -> Path:
    rows = [
        {
            "id": "validation_Accounting_1",
            "question": "Compare <image 1> with <image 2>. Which is larger?",
            "options": "['<image 3>', \"it's <image 1>\"]",
            "explanation": "",
            **{f"image_{n}": picture(c) for n, c in ((1, RED), (2, GREEN), (3, BLUE))},
            **{f"image_{n}": None for n in range(4, 8)},
            "img_type": "['Tables']",
            "answer": "B",
            "topic_difficulty": "Medium",
            "question_type": "multiple-choice",
            "subfield": "Financial Accounting",
        },
        {
            "id": "validation_Math_2",
            "question": "<image 1> What is the ratio?",
            "options": "[]",
            "explanation": "",
            "image_1": picture(RED),
            **{f"image_{n}": None for n in range(2, 8)},
            "img_type": "['Plots']",
            "answer": "['1.06', '1.1']",
            "topic_difficulty": "Hard",
            "question_type": "open",
            "subfield": "Algebra",
        },
    ]
    return _parquet(
        folder / "validation.parquet", rows, {f"image_{n}": Image() for n in range(1, 8)}
    )


def mmmu_pro(folder: Path) -> Path:
    rows = [
        {
            "id": "test_History_1",
            "question": "Who is on <image 1>?",
            "options": str([f"person {n}" for n in range(1, 11)]),
            "explanation": "",
            "image_1": picture(RED),
            **{f"image_{n}": None for n in range(2, 8)},
            "img_type": "['Paintings']",
            "answer": "J",
            "topic_difficulty": "Easy",
            "subject": "History",
        }
    ]
    types = {f"image_{n}": Image() for n in range(1, 8)}
    folder = folder / "standard (10 options)"
    _parquet(folder / "test.parquet", rows, types)
    return folder.parent


def charxiv(folder: Path) -> Path:
    def row(number: int, question: str, answer: str, kind: int) -> dict[str, Any]:
        return {
            "image": picture(GREEN),
            "category": "cs",
            "year": "20",
            "original_figure_path": "",
            "original_id": str(number),
            "figure_path": f"images/{number}.jpg",
            "num_subplots": 1,
            "descriptive_q1": 3,
            "reasoning_q": question,
            "reasoning_q_source": 1,
            "reasoning_a": answer,
            "reasoning_a_type": kind,
        }

    rows = [
        row(7, "Which curve ends highest?", "ours (w/o KL)", 1),
        row(8, "By how much do they differ at 3?", "0.25", 4),
    ]
    numbers = ("num_subplots", "descriptive_q1", "reasoning_q_source", "reasoning_a_type")
    types = {"image": Image(), **dict.fromkeys(numbers, Value("int64"))}
    return _parquet(folder / "validation.parquet", rows, types)


def mmstar(folder: Path) -> Path:
    rows = [
        {
            "index": 0,
            "question": "What is it?\nOptions: A: a bird, B: a plane, C: nothing, D: a kite",
            "image": picture(BLUE),
            "answer": "D",
            "category": "coarse perception",
            "l2_category": "image scene and topic",
            "meta_info": {"source": "MMBench", "split": "val"},
        }
    ]
    meta = {"source": Value("string"), "split": Value("string")}
    types = {"index": Value("int64"), "image": Image(), "meta_info": meta}
    return _parquet(folder / "val.parquet", rows, types)


def aime24(folder: Path) -> Path:
    rows = [
        {"ID": "2024-I-1", "Problem": "Find $2+2$.", "Solution": "It is 4.", "Answer": 4},
        {"ID": "2024-II-3", "Problem": "Find $10 \\cdot 20 + 4$.", "Solution": "", "Answer": 204},
    ]
    return _parquet(folder / "train.parquet", rows, {"Answer": Value("int64")})


def aime25(folder: Path) -> Path:
    return _jsonl(
        folder / "test.jsonl",
        [
            {"problem": "Find the sum of all bases $b>9$.", "answer": "070", "id": "0"},
            {"problem": "Find $n$.", "answer": "588", "id": "1"},
        ],
    )


def math500(folder: Path) -> Path:
    row = {
        "problem": "Convert $(0,3)$ to polar coordinates.",
        "solution": "So \\boxed{\\left( 3, \\frac{\\pi}{2} \\right)}.",
        "answer": "\\left( 3, \\frac{\\pi}{2} \\right)",
        "subject": "Precalculus",
        "level": 2,
        "unique_id": "test/precalculus/807.json",
    }
    return _jsonl(folder / "test.jsonl", [row])


def mmlu_pro(folder: Path) -> Path:
    rows = [
        {
            "question_id": 70,
            "question": "Which one is an animal?",
            "options": [
                "stone",
                "tree",
                "cat",
                "lamp",
                "cloud",
                "river",
                "car",
                "pen",
                "cup",
                "hat",
            ],
            "answer": "C",
            "answer_index": 2,
            "cot_content": "",
            "category": "biology",
            "src": "ori_mmlu-biology",
        }
    ]
    types = {"question_id": Value("int64"), "options": List(Value("string")),
             "answer_index": Value("int64")}  # fmt: skip
    return _parquet(folder / "test.parquet", rows, types)


def bbeh(folder: Path) -> Path:
    rows = [
        {"task": "nycc", "input": "Which is true?\n(A) no (B) yes", "target": "(B)", "mini": 1},
        {"task": "word sorting", "input": "Sort: b a", "target": "a, b", "mini": 0},
    ]
    return _parquet(folder / "train.parquet", rows, {"mini": Value("int64")})


def gpqa(folder: Path) -> Path:
    rows = [
        {
            "Record ID": f"rec{number}",
            "Question": f"Which is number {number}?",
            "Correct Answer": f"right {number}\n",
            **{f"Incorrect Answer {n}": f"wrong {n}" for n in (1, 2, 3)},
            "Explanation": "",
            "High-level domain": "Physics",
        }
        for number in (1, 2)
    ]
    header = list(rows[0])
    lines = [header, *([row[name] for name in header] for row in rows)]
    text = "\n".join(",".join(f'"{value}"' for value in line) for line in lines)
    folder = folder / "gpqa_diamond"
    folder.mkdir()
    (folder / "train.csv").write_text(text + "\n", encoding="utf-8")
    return folder.parent


def gsm8k(folder: Path) -> Path:
    rows = [
        {"question": "Ann has 3 eggs and buys 4.", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"},
        {"question": "A car costs 1,200.", "answer": "It is so.\n#### 1,200"},
    ]
    return _parquet(folder / "test.parquet", rows, {})


def olympiadbench(folder: Path) -> Path:
    def row(number: int, **more: Any) -> dict[str, Any]:
        return {
            "id": number,
            "question": "Find all x on <image_1>.",
            "solution": [""],
            "final_answer": ["$2$", "$-1$"],
            "context": None,
            "image_1": picture(RED),
            "image_2": None,
            "modality": "Multimodal",
            "difficulty": "Competition",
            "is_multiple_answer": True,
            "unit": None,
            "answer_type": "Numerical",
            "error": None,
            "question_type": "Open-ended",
            "subfield": "Algebra",
            "subject": "Math",
            "language": "English",
            **more,
        }

    types = {"id": Value("int64"), "solution": List(Value("string")),
             "final_answer": List(Value("string")), "image_1": Image(), "image_2": Image(),
             "is_multiple_answer": Value("bool")}  # fmt: skip
    physics = row(1, context="A ball falls.", question="How fast is it? <image_1>",
                  final_answer=["$4.2$"], unit="m/s", error="1e-1", subject="Physics",
                  is_multiple_answer=False)  # fmt: skip
    _parquet(folder / "OE_MM_maths_en_COMP" / "train.parquet", [row(1)], types)
    _parquet(folder / "OE_MM_physics_en_COMP" / "train.parquet", [physics], types)
    return folder


def virl39k(folder: Path) -> Path:
    """Two rows with pictures in images.zip, one without a picture."""

    def row(qid: str, question: str, answer: str, images: list[str]) -> dict[str, Any]:
        return {
            "question": question,
            "answer": answer,
            "PassRate_32BTrained": 0.5,
            "PassRate_7BBase": -1.0,
            "category": "(GradeSchool) Geometric",
            "source": "Processed",
            "qid": qid,
            "image": images,
        }

    rows = [
        row("a-1", "<image>How many?", "\\boxed{3}", ["images/a-1-0.png"]),
        row("a-2", "<image><image>Which?\nChoices:\n(A) left\n(B) right", "\\boxed{B}",
            ["images/a-2-0.png", "images/a-2-1.png"]),
        row("a-3", "What is 1/2 + 1/4?", "\\boxed{\\frac{3}{4}}", []),
    ]  # fmt: skip
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for name, colour in (("a-1-0", RED), ("a-2-0", GREEN), ("a-2-1", BLUE)):
            archive.writestr(f"images/{name}.png", png(colour))
    rates = dict.fromkeys(("PassRate_32BTrained", "PassRate_7BBase"), Value("float64"))
    return _parquet(folder / "39Krelease.parquet", rows, {"image": List(Value("string")), **rates})


def openthoughts(folder: Path) -> Path:
    def row(domain: str, solution: str) -> dict[str, Any]:
        return {
            "problem": "What is 6 * 7?",
            "deepseek_reasoning": "6 * 7 is 42.",
            "deepseek_solution": "It is \\boxed{42}.",
            "ground_truth_solution": solution,
            "domain": domain,
            "source": "numina_math",
            "test_cases": "",
            "starter_code": "",
        }

    rows = [row("code", "print(42)"), row("math", "So \\boxed{42}.")]
    return _parquet(folder / "train.parquet", rows, {})


def am_thinking(folder: Path) -> Path:
    trace = "<think>It is 9.</think><answer>So \\boxed{9}.</answer>"
    turns = [{"from": "human", "value": "3 * 3?"}, {"from": "assistant", "value": trace}]
    return _jsonl(folder / "math.jsonl", [{"system": "", "conversations": turns}])


MAKERS: dict[str, Callable[[Path], Path]] = {
    "MathVerse-V": mathverse,
    "MathVision": mathvision,
    "MathVista": mathvista,
    "DynaMath-W": dynamath,
    "WeMath-S": wemath,
    "LogicVista": logicvista,
    "MMMU": mmmu,
    "MMMU-Pro": mmmu_pro,
    "CharXiv": charxiv,
    "MMStar": mmstar,
    "AIME24": aime24,
    "AIME25": aime25,
    "MATH500": math500,
    "MMLU-Pro": mmlu_pro,
    "BBEH": bbeh,
    "GPQA": gpqa,
    "GSM8K": gsm8k,
    "OlympiadBench": olympiadbench,
    "virl39k": virl39k,
    "openthoughts": openthoughts,
    "am-thinking-v1": am_thinking,
}
