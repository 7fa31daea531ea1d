"""Answers that are kept: nothing asked twice, nothing lost, whatever happens to the process."""

from __future__ import annotations

import gc
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.store import CachedBackend, Store
from ares.errors import UserError
from ares.paths import ROOT
from tests.backends.scenes import backend_of, outcomes, questions, request
from tests.backends.stub import Stub, name_of, status


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


def test_a_response_comes_back_as_it_was_and_the_first_one_stays(store):
    assert store.put(b"key", RESPONSE) == RESPONSE
    assert store.put(b"key", Response("second")) == RESPONSE == store.get(b"key")
    assert store.get(b"other") is None
    assert b"key" in store and b"other" not in store and len(store) == 1


def test_nothing_is_asked_twice(store):
    first = outcomes(CachedBackend(Model(), store), questions(10))
    model = Model()
    found = outcomes(CachedBackend(model, store), questions(12))
    assert found == {**first, **{q: Response(f"answer to {q}", tokens=3) for q in ("q10", "q11")}}
    assert model.asked == ["q10", "q11"]


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
OTHERS = {
    "text": with_picture(picture(), "another text"),
    "pixels": with_picture(picture(8)),
    "size": with_picture(picture().resize((3, 4))),
    "mode": with_picture(picture().convert("L")),
    "max_tokens": with_picture(picture(), max_tokens=51),
    "temperature": with_picture(picture(), temperature=0.5),
    "top_p": with_picture(picture(), top_p=0.5),
    "top_k": with_picture(picture(), top_k=1),
    "top_logprobs": with_picture(picture(), top_logprobs=1),
    "stop": with_picture(picture(), stop=("x",)),
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


def test_another_model_is_another_key_and_an_id_is_not(store):
    here, there = CachedBackend(Model("m"), store), CachedBackend(Model("n"), store)
    asked = request("q")
    assert here.key(asked) != there.key(asked)
    assert here.key(asked) == here.key(Request("other", asked.messages, asked.decoding, asked.seed))


def test_a_picture_is_known_by_its_pixels(store, tmp_path):
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


class Made(Sequence[Request]):
    """Requests that are made when they are read, and how many of them live."""

    def __init__(self, number: int) -> None:
        self.number, self.alive, self.most = number, weakref.WeakSet(), 0

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Request:
        if index >= self.number:
            raise IndexError
        made = request(f"q{index}")
        self.alive.add(made)
        self.most = max(self.most, len(self.alive))
        return made


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.97, 1.0])
def test_any_mixture_of_kept_and_missing(store, share):
    number, dice = 400, random.Random(share)
    before = [asked for asked in questions(number) if dice.random() < share]
    outcomes(CachedBackend(Model(), store), before)
    model, made = Model(), Made(number)
    results = CachedBackend(model, store).generate(made)
    seen = [asked.id for asked, outcome in results if outcome.text == f"answer to {asked.id}"]
    assert sorted(seen) == sorted(f"q{i}" for i in range(number))
    assert sorted(model.asked) == sorted(
        {f"q{i}" for i in range(number)} - {asked.id for asked in before}
    )
    assert len(store) == number
    assert made.most <= 8  # those under way


def test_the_same_request_twice(store):
    asked, cached = request("q"), CachedBackend(Model(), store)
    results = list(cached.generate([asked, asked, request("q")]))
    assert [outcome.text for _, outcome in results] == ["answer to q"] * 3
    assert len(store) == 1
    assert cached.stored(asked) == Response("answer to q", tokens=3)
    assert cached.stored(request("another")) is None


def test_closing_early_closes_the_backend_and_keeps_what_was_seen(store):
    model = Model()
    results = CachedBackend(model, store).generate(questions(100))
    seen = [next(results)[0].id for _ in range(4)]
    results.close()
    gc.collect()
    assert model.closed and len(store) == len(seen) == 4
    assert len(model.asked) <= 7


def test_threads_share_a_store(store):
    def work(first: int) -> None:
        for i in range(first, 200, 2):
            store.put(b"%d" % (i % 150), Response(str(i % 150)))

    workers = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(store) == 150 and store.get(b"149") == Response("149")


# Files


def test_other_files_are_refused_and_left_alone(tmp_path):
    notes, other = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    notes.write_text("not a database " * 100)
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE responses (key BLOB PRIMARY KEY, response BLOB)")
    database.close()
    for path, message in ((notes, r"notes\.txt: no store"), (other, "but no store of answers")):
        before = path.read_bytes()
        with pytest.raises(UserError, match=message):
            Store(path)
        assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"notes.txt", "other.sqlite"}


def test_a_store_of_another_version_is_refused(tmp_path):
    Store(tmp_path / "s").close()
    database = sqlite3.connect(tmp_path / "s")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(UserError, match="version 99"):
        Store(tmp_path / "s")


def filled(path: Path) -> Store:
    store = Store(path)
    for i in range(200):
        store.put(b"%d" % i, Response(random.Random(i).randbytes(2000).hex()))
    return store


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99, None])
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


@pytest.mark.parametrize("blob", [b"", b"junk", zlib.compress(b"[1]"), zlib.compress(b"{"),
                                  zlib.compress(b'{"text": "a", "colour": "red"}')])  # fmt: skip
def test_an_answer_that_can_t_be_read_is_told(store, blob):
    store._database.execute("INSERT INTO responses VALUES (?, ?)", (b"key", blob))
    with pytest.raises(UserError, match="an answer can't be read"):
        store.get(b"key")


def test_where_a_store_can_be_and_where_none(tmp_path):
    (tmp_path / "empty").touch()
    for path in (tmp_path / "empty", tmp_path / "a" / "b" / "s"):
        with Store(path) as store:
            store.put(b"key", RESPONSE)
        with Store(path) as store:
            assert store.get(b"key") == RESPONSE
    for path in (tmp_path, tmp_path / "empty" / "s"):
        with pytest.raises(UserError):
            Store(path)


def test_a_full_disk_is_told(store):
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(UserError, match="can't be used: database or disk is full"):
        for i in range(100):
            store.put(b"%d" % i, Response(random.Random(i).randbytes(2000).hex()))


# Processes


CLIENT = """
import sys
from ares.backends.server import ServerBackend
from ares.backends.store import CachedBackend, Store
from tests.backends.scenes import questions

with Store(sys.argv[2]) as store:
    backend = CachedBackend(ServerBackend(sys.argv[1], "stub", parallel=3), store)
    for asked, outcome in backend.generate(questions(60)):
        print(asked.id, outcome.text, flush=True)
"""


def test_several_processes_share_a_file(tmp_path):
    with Stub() as stub:
        clients = [
            subprocess.Popen(
                [sys.executable, "-c", CLIENT, stub.url, str(tmp_path / "s")],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        told = [process.communicate(timeout=120)[0].splitlines() for process in clients]
        assert [process.returncode for process in clients] == [0, 0, 0]
        assert {len(lines) for lines in told} == {60}
        with Store(tmp_path / "s") as store:
            assert len(store) == 60
            assert len(outcomes(CachedBackend(backend_of(stub), store), questions(60))) == 60
        assert stub.asked.total() <= 180


def test_the_files_hold_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with Stub(api_key="sk-very-secret") as stub, Store(tmp_path / "s") as store:
        stub.trouble = lambda body, time: (
            status(500, "Bearer sk-very-secret") if time == 1 or name_of(body) == "q3#1" else None
        )
        found = outcomes(CachedBackend(backend_of(stub), store), questions(5))
        assert isinstance(found["q3"], Failure) and len(store) == 4
        rows = store._database.execute("SELECT response FROM responses")
        blobs = [zlib.decompress(blob) for (blob,) in rows]
        shutil.copytree(tmp_path, tmp_path / "copy")
    files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 2 and len(blobs) == 4
    assert not any(b"secret" in data for data in [*files, *blobs])
