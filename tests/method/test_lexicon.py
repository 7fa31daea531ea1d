"""The lexicon as data, its loader, and matching."""

import pytest
import torch

from ares.errors import UserError
from ares.method.lexicon import CATEGORIES, Lexicon, load_lexicon, normalize_token, token_match

REQUIRED = (
    "try suppose consider perhaps maybe let assume then next instead alternatively but rather wait "
    "however actually so therefore hence thus check verify confirm because since first guess"
)
AMBIGUOUS = "okay well right look see fine hmm alright good now just or"


def test_our_list_has_the_six_categories_and_each_word_once():
    ours = load_lexicon()
    assert tuple(ours.categories) == CATEGORIES
    assert all(len(words) >= 10 for words in ours.categories.values())
    words = [word for own in ours.categories.values() for word in own]
    assert len(words) == len(set(words))
    assert all(normalize_token(word) == word for word in words)


def test_our_list_holds_clear_triggers_in_any_spelling_and_no_ambiguous_words():
    ours = load_lexicon()
    assert all(word in ours for word in REQUIRED.split())
    assert not any(word in ours for word in AMBIGUOUS.split())
    assert ours.category_of["because"] == "cause"
    lexicon = Lexicon({"conclude": ("so",)})
    assert all(token in lexicon for token in ("so", " So", "ĠSO", "▁so", "\nso "))
    assert not any(token in lexicon for token in ("so,", "soo", "s", "", "Ġ"))


def test_token_match_uses_ids_under_the_mask_only():
    trigger_V = Lexicon({"x": ("so",)}).vocabulary_mask([" so", "7", None])
    assert trigger_V.tolist() == [True, False, False]
    ids = torch.tensor([[0, 1, 0, -100]])
    mask = torch.tensor([[True, True, False, False]])
    assert token_match(ids, trigger_V, mask).tolist() == [[True, False, False, False]]
    assert token_match(
        torch.zeros(2, 0, dtype=torch.int64), trigger_V, torch.zeros(2, 0)
    ).shape == (2, 0)


def test_a_list_of_the_users_own(tmp_path):
    plain = tmp_path / "mine.txt"
    plain.write_text("# mine\nEureka\n\nbut  # contrast\n", encoding="utf-8")
    assert load_lexicon(plain).categories == {"user": ("Eureka", "but")}
    assert "Ġeureka" in load_lexicon(plain)
    as_json = tmp_path / "mine.json"
    as_json.write_text('{"joy": ["eureka"]}', encoding="utf-8")
    assert load_lexicon(as_json).category_of == {"eureka": "joy"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": ["x"', "Invalid JSON"),
        ('{"a": [1]}', "expected"),
        ('{"a": ["x"], "b": [" X"]}', "repeated: 'x'"),
        ('{"a": []}', "needs words"),
        (None, "can't read"),
    ],
)
def test_a_list_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_lexicon(path)
