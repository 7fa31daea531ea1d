"""Answers that are kept: nothing asked twice, nothing lost, whatever happens to the process."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
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


def test_a_response_comes_back_as_it_was(store):
    assert store.put(b"key", RESPONSE) == RESPONSE
    assert store.get(b"key") == RESPONSE
    assert store.get(b"other") is None
    assert b"key" in store and b"other" not in store and len(store) == 1


def test_the_first_answer_stays(store):
    store.put(b"key", Response("first"))
    assert store.put(b"key", Response("second")) == Response("first")
    assert store.get(b"key") == Response("first")


def test_nothing_is_asked_twice(store):
    first = outcomes(CachedBackend(Model(), store), questions(10))
    model = Model()
    assert outcomes(CachedBackend(model, store), questions(12)) == {
        **first,
        "q10": Response("answer to q10", tokens=3),
        "q11": Response("answer to q11", tokens=3),
    }
    assert model.asked == ["q10", "q11"]


def test_an_answer_is_in_the_file_before_anyone_sees_it(store):
    kept = CachedBackend(Model(), store)
    with Store(store.path) as other:
        for asked, _ in kept.generate(questions(5)):
            assert kept.key(asked) in other


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


@pytest.mark.parametrize(
    "other",
    [
        with_picture(picture(), "another text"),
        with_picture(picture(8)),
        with_picture(picture().resize((3, 4))),
        with_picture(picture().convert("L")),
        with_picture(picture(), max_tokens=51),
        with_picture(picture(), temperature=0.5),
        with_picture(picture(), top_p=0.5),
        with_picture(picture(), top_k=1),
        with_picture(picture(), top_logprobs=1),
        with_picture(picture(), stop=("x",)),
        Request("id", MESSAGES, Decoding(50), seed=2),
        Request("id", [{"role": "system", "content": "brief"}, *MESSAGES], Decoding(50), 1),
        Request("id", [{"role": "user", "content": MESSAGES[0]["content"][::-1]}], Decoding(50), 1),
    ],
    ids=["text", "pixels", "size", "mode", "max_tokens", "temperature", "top_p", "top_k",
         "top_logprobs", "stop", "seed", "messages", "order"],
)  # fmt: skip
def test_whatever_decides_makes_another_key(store, other):
    kept = CachedBackend(Model(), store)
    assert kept.key(other) != kept.key(with_picture(picture()))


def test_another_model_is_another_key_and_an_id_is_not(store):
    here, there = CachedBackend(Model("m"), store), CachedBackend(Model("n"), store)
    asked = request("q")
    assert here.key(asked) != there.key(asked)
    assert here.key(asked) == here.key(Request("other", asked.messages, asked.decoding, asked.seed))


def test_a_picture_is_known_by_its_pixels(store, tmp_path):
    kept, shown = CachedBackend(Model(), store), picture()
    shown.save(tmp_path / "small.png", compress_level=9, dpi=(300, 300))
    shown.quantize(4).save(tmp_path / "palette.png")
    keys = {
        kept.key(with_picture(Image.open(tmp_path / name))) for name in ("small.png", "palette.png")
    }
    assert keys == {kept.key(with_picture(shown))}


def test_keys_stay_from_version_to_version(store):
    """Another key for the same question would throw away what people have paid for."""
    assert CachedBackend(Model(), store).key(with_picture(picture())).hex() == (
        "d45059024565926c99d5e72bfae438ed3ea1d5e35c334ccd610ba9e024832d38"
    )


def test_what_is_stored_can_be_read_by_request(store):
    kept = CachedBackend(Model(), store)
    outcomes(kept, questions(1))
    assert kept.stored(request("q0")) == Response("answer to q0", tokens=3)
    assert kept.stored(request("q1")) is None


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
    asked = request("q")
    results = list(CachedBackend(Model(), store).generate([asked, asked, request("q")]))
    assert [outcome.text for _, outcome in results] == ["answer to q"] * 3
    assert len(store) == 1


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


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(UserError, match=r"notes\.txt: no store of answers"):
        Store(path)
    assert path.read_text() == "not a database " * 100


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE responses (key BLOB PRIMARY KEY, response BLOB)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match="a database, but no store of answers"):
        Store(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["other.sqlite"]


def test_a_store_of_another_version_is_refused(tmp_path):
    Store(tmp_path / "s").close()
    database = sqlite3.connect(tmp_path / "s")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(UserError, match="a store of version 99, this is version 1"):
        Store(tmp_path / "s")


def filled(path: Path) -> Store:
    store = Store(path)
    for i in range(200):
        store.put(b"%d" % i, Response(random.Random(i).randbytes(2000).hex()))
    return store


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_store_that_was_cut_is_told(tmp_path, share):
    path = tmp_path / "s"
    filled(path).close()
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(UserError, match="damaged"), Store(path) as store:
        for i in range(200):
            if store.get(b"%d" % i) is None:
                store.put(b"%d" % i, Response("again"))


def test_a_store_with_flipped_bytes_is_told(tmp_path):
    path = tmp_path / "s"
    filled(path).close()
    data = bytearray(path.read_bytes())
    for place in range(20_000, len(data), 1000):
        data[place] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"), Store(path) as store:
        for i in range(200):
            store.get(b"%d" % i)


@pytest.mark.parametrize("blob", [b"", b"junk", zlib.compress(b"[1]"), zlib.compress(b"{"),
                                  zlib.compress(b'{"text": "a", "colour": "red"}')])  # fmt: skip
def test_an_answer_that_can_t_be_read_is_told(store, blob):
    store._database.execute("INSERT INTO responses VALUES (?, ?)", (b"key", blob))
    with pytest.raises(UserError, match="an answer can't be read"):
        store.get(b"key")


def test_places_where_no_store_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "s"):
        with pytest.raises(UserError):
            Store(path)


def test_an_empty_file_becomes_a_store_and_folders_are_made(tmp_path):
    (tmp_path / "empty").touch()
    for path in (tmp_path / "empty", tmp_path / "a" / "b" / "s"):
        with Store(path) as store:
            store.put(b"key", RESPONSE)
        with Store(path) as store:
            assert store.get(b"key") == RESPONSE


def test_a_full_disk_is_told(store):
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(UserError, match="can't be used: database or disk is full"):
        for i in range(100):
            store.put(b"%d" % i, Response(random.Random(i).randbytes(2000).hex()))


# Processes


def client(stub: Stub, path: Path, number: int, parallel: int) -> subprocess.Popen:
    script = ROOT / "tests/backends/killed_client.py"
    return subprocess.Popen(
        [sys.executable, str(script), stub.url, str(path), str(number), str(parallel)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def settled(stub: Stub) -> None:
    """Wait until the stub has noticed that nobody waits for it any more."""
    deadline = time.monotonic() + 20
    while stub.under_way and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stub.under_way == 0


def test_killed_in_the_middle_only_what_was_under_way_is_asked_again(tmp_path):
    number, parallel, path = 150, 5, tmp_path / "s"
    everything = {f"q{i}#1" for i in range(number)}
    stored: set[str] = set()
    interrupted = 0
    with Stub(delay_s=0.02) as stub:
        for answers in (20, 70, 110):
            before = stub.asked.copy()
            process = client(stub, path, number, parallel)
            while stub.answered.total() < answers:
                assert process.poll() is None
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            told = {f"{line.split()[0]}#1" for line in process.communicate()[0].splitlines()}
            settled(stub)
            sent = set(stub.asked - before)
            assert (stub.asked - before).total() == len(sent)
            assert sent.isdisjoint(stored), "a stored answer was asked for again"
            kept = stored_names(path, stub, number)
            assert stored | told <= kept, "an answer was lost"
            # The only ones that will be asked again; the client bounds them.
            assert len(sent - kept) <= 2 * parallel
            stored, interrupted = kept, interrupted + len(sent - kept)
        before = stub.asked.copy()
        with Store(path) as store:
            found = outcomes(
                CachedBackend(backend_of(stub, parallel=parallel), store), questions(number)
            )
        assert interrupted and stub.asked - before == dict.fromkeys(everything - stored, 1)
    assert {name: outcome.text for name, outcome in found.items()} == {
        f"q{i}": f"answer to q{i}#1" for i in range(number)
    }


def stored_names(path: Path, stub: Stub, number: int) -> set[str]:
    """The questions that have an answer in the file, as the stub calls them."""
    with Store(path) as store:
        kept = CachedBackend(backend_of(stub), store)
        return {f"{asked.id}#1" for asked in questions(number) if kept.key(asked) in store}


def test_several_processes_share_a_file(tmp_path):
    with Stub() as stub:
        clients = [client(stub, tmp_path / "s", 60, 3) for _ in range(3)]
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
