"""`ares grade`: the verdicts on responses that are there already."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from typer import Argument

from ares.cli.options import option


def grade(
    file: Annotated[
        Path, Argument(metavar="FILE", help="JSON Lines: id, response, gold, type; - reads stdin")
    ],
    time_limit: Annotated[float, option("seconds for one comparison by algebra", "S")] = 5.0,
) -> None:
    """Grade responses by rules: one JSON line each with id, status, extracted answer and why.

    A line may also have choices (list of texts), accepted (list of further right answers) and
    tolerance (by which a number may differ). The type is number, expression, choice, text or
    countdown.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
    from typing_extensions import TypedDict

    from ares.errors import UserError
    from ares.evaluation.grader import Grader
    from ares.evaluation.grades import Answer, Question

    @with_config(ConfigDict(extra="ignore", coerce_numbers_to_str=True))
    class Line(TypedDict, total=False):
        id: str
        response: str
        gold: str
        type: Answer
        choices: list[str]
        accepted: list[str]
        tolerance: float

    form = TypeAdapter(Line)
    if str(file) == "-":
        lines = iter(sys.stdin)
    else:
        try:
            lines = iter(file.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: can't be read ({error})") from None
    with Grader(time_limit) as grader:
        for number, text in enumerate(lines, 1):
            if not text.strip():
                continue
            try:
                line = form.validate_json(text)
                question = Question(
                    line["gold"],
                    line["type"],
                    tuple(line.get("choices", ())),
                    accepted=tuple(line.get("accepted", ())),
                    tolerance=line.get("tolerance", 0.0),
                )
                response = line["response"]
            except KeyError as error:
                raise UserError(f"{file}, line {number}: has no {error}") from None
            except ValidationError as error:
                found = error.errors()[0]
                place = ".".join(map(str, found["loc"]))
                raise UserError(f"{file}, line {number}: {place}: {found['msg']}") from None
            verdict = grader.grade(response, question)
            told = {"status": verdict.status, "extracted": verdict.extracted, "why": verdict.note}
            print(json.dumps({"id": line.get("id", str(number)), **told}, ensure_ascii=False))
