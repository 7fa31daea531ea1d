"""Where pictures stand in a message."""

from __future__ import annotations

import pytest
from PIL import Image

from ares.evaluation.prompts import messages

A, B = (Image.new("RGB", (2, 2), colour) for colour in ("red", "blue"))


def content(question, pictures, template="{question}"):
    found = messages(question, pictures, template)[-1]["content"]
    if isinstance(found, str):
        return found
    return [p["text"] if p["type"] == "text" else "ab"[p["image"] is B] for p in found]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which?", ["a", "b", "Which?"]),
        ("<image 2> or <image 1>?", ["b", " or ", "a", "?"]),
        ("<image_1><image_2>Which?", ["a", "b", "Which?"]),
        ("See <image2>.", ["a", "See ", "b", "."]),
        ("<image> or <image>?", ["a", " or ", "b", "?"]),
        ("<image 2>, then <image>", ["b", ", then ", "a"]),
        ("<image 1>: is <image 1> red?", ["b", "a", ": is <image 1> red?"]),
    ],
)
def test_pictures_stand_where_they_are_marked_or_first(question, expected):
    assert content(question, {1: A, 2: B}) == expected


@pytest.mark.parametrize("question", ["<image 3>?", "<image><image><image>"])
def test_a_marker_without_a_picture_is_an_error(question):
    with pytest.raises(ValueError, match="marks a picture with <image"):
        content(question, {1: A, 2: B})


def test_without_pictures_a_message_is_a_text_and_markers_mean_nothing():
    assert content("Write an <image> tag {x}.", {}, "{question}\n\nBriefly.") == (
        "Write an <image> tag {x}.\n\nBriefly."
    )


def test_the_template_surrounds_the_question():
    assert content("<image>?", {1: A}, "Look: {question} Think.") == ["Look: ", "a", "? Think."]
