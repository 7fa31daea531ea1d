"""Answers that are kept: nothing asked twice, nothing lost, whatever happens to the process."""

import gc
import os
import random
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest
from PIL import Image

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.store import CachedBackend, Store
from ares.errors import UserError
from tests.backends.scenes import outcomes, questions, request


class Model:
    """A backend in this process: answers with the id, `at_a_time` requests at a time."""

    def __init__(self, name: str = "m", failing: Iterable[str] = (), at_a_time: int = 3) -> None:
        self.name, self.failing, self.at_a_time = name, set(failing), at_a_time
        self.asked: list[str] = []
        self.closed = False

    def identity(self) -> dict:
        return {"kind": "test", "model": self.name}

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Response | Failure]]:
        waiting: list[Request] = []
        try:
            for asked in requests:
                self.asked.append(asked.id)
                waiting.append(asked)
                if len(waiting) == self.at_a_time:
                    yield self._answer(waiting.pop(0))
            while waiting:
                yield self._answer(waiting.pop())
        finally:
            self.closed = True

    def _answer(self, asked: Request) -> tuple[Request, Response | Failure]:
        if asked.id in self.failing:
            return asked, Failure("oops", 2)
        return asked, Response(f"answer to {asked.id}", tokens=3)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.sqlite") as store:
        yield store


RESPONSE = Response(
    "5 😀 ünd",
    reasoning="2 + 3",
    finish="length",
    prompt_tokens=4,
    tokens=2,
    logprobs=[{"token": "5", "logprob": -0.1,
               "top_logprobs": [{"token": "5", "logprob": -0.1}]}],
    entropy=[0.25, 1e-9],
)  # fmt: skip


def test_responses_come_back_as_they_were_and_the_first_one_stays(store):
    assert store.put(b"key", RESPONSE) == RESPONSE
    assert store.put(b"key", Response("second")) == RESPONSE == store.get(b"key")
    assert store.get(b"other") is None
    assert b"key" in store and b"other" not in store and len(store) == 1
    asked, cached = request("q"), CachedBackend(Model(), store)
    results = list(cached.generate([asked, asked, request("q")]))
    assert [outcome.text for _, outcome in results] == ["answer to q"] * 3
    assert len(store) == 2
    assert cached.stored(asked) == Response("answer to q", tokens=3)
    assert cached.stored(request("another")) is None


def test_an_answer_is_in_the_file_before_anyone_sees_it(store):
    cached = CachedBackend(Model(), store)
    with Store(store.path) as other:
        for asked, _ in cached.generate(questions(5)):
            assert cached.key(asked) in other


def test_failures_are_not_kept(store):
    failed = outcomes(CachedBackend(Model(failing=["q1"]), store), questions(3))
    assert failed["q1"] == Failure("oops", 2) and len(store) == 2
    again = Model()
    assert outcomes(CachedBackend(again, store), questions(3))["q1"].text == "answer to q1"
    assert again.asked == ["q1"]


def picture(colour: int = 7) -> Image.Image:
    return Image.new("RGB", (4, 3), (colour, 2, 3))


def with_picture(shown: Image.Image, text: str = "q", **decoding) -> Request:
    parts = [{"type": "image", "image": shown}, {"type": "text", "text": text}]
    options = Decoding(**{"max_tokens": 50, **decoding})
    return Request("id", [{"role": "user", "content": parts}], options, 1)


MESSAGES = with_picture(picture()).messages
DECODING = {"max_tokens": 51, "temperature": 0.5, "top_p": 0.5, "top_k": 1, "top_logprobs": 1,
            "stop": ("x",)}  # fmt: skip
OTHERS = {
    **{name: with_picture(picture(), **{name: value}) for name, value in DECODING.items()},
    "text": with_picture(picture(), "another text"),
    "pixels": with_picture(picture(8)),
    "size": with_picture(picture().resize((3, 4))),
    "mode": with_picture(picture().convert("L")),
    "seed": Request("id", MESSAGES, Decoding(50), seed=2),
    "messages": Request("id", [{"role": "system", "content": "go"}, *MESSAGES], Decoding(50), 1),
    "order": Request(
        "id", [{"role": "user", "content": MESSAGES[0]["content"][::-1]}], Decoding(50), 1
    ),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_whatever_decides_makes_another_key(store, other):
    cached = CachedBackend(Model(), store)
    assert cached.key(other) != cached.key(with_picture(picture()))


def test_the_key_is_of_the_model_and_the_pixels_not_of_the_id(store, tmp_path):
    here, there = CachedBackend(Model("m"), store), CachedBackend(Model("n"), store)
    asked = request("q")
    assert here.key(asked) != there.key(asked)
    assert here.key(asked) == here.key(Request("other", asked.messages, asked.decoding, asked.seed))
    cached, shown = CachedBackend(Model(), store), picture()
    shown.save(tmp_path / "small.png", compress_level=9, dpi=(300, 300))
    shown.quantize(4).save(tmp_path / "palette.png")
    keys = {
        cached.key(with_picture(Image.open(tmp_path / name)))
        for name in ("small.png", "palette.png")
    }
    assert keys == {cached.key(with_picture(shown))}


def test_keys_stay_from_version_to_version(store):
    """Another key for the same question would throw away what people have paid for."""
    assert CachedBackend(Model(), store).key(with_picture(picture())).hex() == (
        "d45059024565926c99d5e72bfae438ed3ea1d5e35c334ccd610ba9e024832d38"
    )


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_nothing_is_asked_twice(store, share):
    number, dice = 100, random.Random(0)
    before = [asked for asked in questions(number) if dice.random() < share]
    outcomes(CachedBackend(Model(), store), before)
    model = Model()
    found = outcomes(CachedBackend(model, store), questions(number))
    everything = {f"q{i}" for i in range(number)}
    assert {name: outcome.text for name, outcome in found.items()} == {
        name: f"answer to {name}" for name in everything
    }
    assert set(model.asked) == everything - {asked.id for asked in before}
    assert len(store) == number


def test_closing_early_closes_the_backend_and_keeps_what_was_seen(store):
    model = Model()
    results = CachedBackend(model, store).generate(questions(100))
    seen = [next(results)[0].id for _ in range(4)]
    results.close()
    gc.collect()
    assert model.closed and len(store) == len(seen) == 4
    assert len(model.asked) <= 7


def work(store: Store, first: int) -> None:
    for i in range(first, 200, 2):
        store.put(b"%d" % (i % 150), Response(str(i % 150)))


def work_alone(path: Path, first: int) -> None:
    with Store(path) as store:
        work(store, first)


def test_threads_share_a_store_and_processes_a_file(store):
    process = get_context("spawn").Process
    workers = [threading.Thread(target=work, args=(store, first)) for first in (0, 1)]
    workers += [process(target=work_alone, args=(store.path, first)) for first in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(store) == 150 and store.get(b"149") == Response("149")


def test_other_files_are_refused_and_left_alone(tmp_path):
    notes, other, newer = (tmp_path / name for name in ("notes.txt", "other.sqlite", "newer"))
    notes.write_text("not a database " * 100)
    Store(newer).close()
    for path, command in (
        (other, "CREATE TABLE responses (key BLOB PRIMARY KEY, response BLOB)"),
        (newer, "PRAGMA user_version = 99"),
    ):
        with sqlite3.connect(path) as database:
            database.execute(command)
        database.close()
    refused = {
        notes: r"notes\.txt: no store",
        other: "but no store of answers",
        newer: "version 99",
    }
    for path, message in refused.items():
        before = path.read_bytes()
        with pytest.raises(UserError, match=message):
            Store(path)
        assert path.read_bytes() == before
    assert {*tmp_path.iterdir()} == {*refused}


def filled(path: Path) -> Store:
    store = Store(path)
    for i in range(200):
        store.put(b"%d" % i, Response(random.Random(i).randbytes(2000).hex()))
    return store


@pytest.mark.parametrize("share", [0.02, 0.99, None])
def test_a_store_that_was_cut_or_has_flipped_bytes_is_told(tmp_path, share):
    path = tmp_path / "s"
    filled(path).close()
    if share is not None:
        os.truncate(path, int(path.stat().st_size * share))
    else:
        data = bytearray(path.read_bytes())
        for place in range(20_000, len(data), 1000):
            data[place] ^= 0xFF
        path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"), Store(path) as store:
        for i in range(200):
            if store.get(b"%d" % i) is None:
                store.put(b"%d" % i, Response("again"))


@pytest.mark.parametrize("blob", [b"junk", zlib.compress(b"{"), zlib.compress(b'{"colour": 1}')])
def test_an_answer_that_can_t_be_read_is_told(store, blob):
    store._database.execute("INSERT INTO responses VALUES (?, ?)", (b"key", blob))
    with pytest.raises(UserError, match="an answer can't be read"):
        store.get(b"key")


def test_where_a_store_can_be_and_where_none_and_a_full_disk(tmp_path, store):
    (tmp_path / "empty").touch()
    for path in (tmp_path / "empty", tmp_path / "a" / "b" / "s"):
        with Store(path) as made:
            made.put(b"key", RESPONSE)
        with Store(path) as made:
            assert made.get(b"key") == RESPONSE
    for path in (tmp_path, tmp_path / "empty" / "s"):
        with pytest.raises(UserError):
            Store(path)
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(UserError, match="can't be used: database or disk is full"):
        for i in range(100):
            store.put(b"%d" % i, Response(random.Random(i).randbytes(2000).hex()))
