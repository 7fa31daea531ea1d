"""Every format of a trace file, as literal lines: the same two tokens, the same entropies."""

from __future__ import annotations

import gzip
import io
import json
import math
import sys

import numpy as np
import pytest

from ares.errors import UserError
from ares.traces import read
from ares.traces.read import read_traces

HALF, QUARTER, EIGHTH = math.log(0.5), math.log(0.25), math.log(0.125)
#: " Wait" with .5, .25 and a rest of .25; "," with .5, .25 and, sampled, .125, and a rest of .125.
ENTROPY = [1.5 * math.log(2), 1.75 * math.log(2)]
UNLISTED = [0.25, 0.125]


def record(token: str, logprob: float, **top: float) -> dict:
    listed = [{"token": name, "logprob": value} for name, value in top.items()]
    return {"token": token, "logprob": logprob, "top_logprobs": listed}


CONTENT = [
    record(" Wait", HALF, **{" Wait": HALF, " So": QUARTER}),
    record(",", EIGHTH, **{".": HALF, "!": QUARTER}),
]
TOPS = [{" Wait": HALF, " So": QUARTER}, {".": HALF, "!": QUARTER}]
CHOICE = {
    "message": {"role": "assistant", "content": " Wait,"},
    "logprobs": {"content": CONTENT},
    "finish_reason": "stop",
}
LEGACY = {
    "tokens": [" Wait", ","],
    "token_logprobs": [HALF, EIGHTH],
    "top_logprobs": [TOPS[0], TOPS[1] | {",": EIGHTH}],
    "text_offset": [0, 5],
}


def entry(logprob: float, rank: int, token: str) -> dict:
    return {"logprob": logprob, "rank": rank, "decoded_token": token}


OFFLINE = {
    "request_id": "7",
    "prompt": "2 + 3?",
    "outputs": [
        {
            "text": " Wait,",
            "token_ids": [11, 12],
            "finish_reason": "length",
            "logprobs": [
                {"11": entry(HALF, 1, " Wait"), "5": entry(QUARTER, 2, " So")},
                {
                    "12": entry(EIGHTH, 9, ","),
                    "6": entry(HALF, 1, "."),
                    "7": entry(QUARTER, 2, "!"),
                },
            ],
        }
    ],
}
FORMATS = {
    "ours": {"id": "q", "text": " Wait,", "logprobs": {"content": CONTENT}, "entropy": None},
    "plain, tables": {
        "tokens": [" Wait", ","],
        "token_logprobs": [HALF, EIGHTH],
        "top_logprobs": TOPS,
    },
    "plain, pairs": {
        "text": " Wait,",
        "tokens": [" Wait", ","],
        "token_logprobs": [HALF, EIGHTH],
        "top_logprobs": [[[" Wait", HALF], [" So", QUARTER]], [[".", HALF], ["!", QUARTER]]],
    },
    "plain, numbers": {
        "tokens": [" Wait", ","],
        "token_logprobs": [HALF, EIGHTH],
        "top_logprobs": [[HALF, QUARTER], [HALF, QUARTER]],
    },
    "chat completion": {"object": "chat.completion", "choices": [CHOICE]},
    "choice": CHOICE,
    "batch": {"custom_id": "b", "response": {"status_code": 200, "body": {"choices": [CHOICE]}}},
    "legacy completion": {"choices": [{"text": " Wait,", "logprobs": LEGACY}]},
    "legacy choice": {"text": " Wait,", "logprobs": LEGACY},
    "vllm offline": OFFLINE,
}


def written(tmp_path, *lines):
    path = tmp_path / "traces.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def read_one(tmp_path, line):
    (trace,) = read_traces(written(tmp_path, line))
    return trace


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_tokens_and_entropies(tmp_path, name):
    trace = read_one(tmp_path, FORMATS[name])
    assert trace.tokens == [" Wait", ","]
    assert trace.entropy.dtype == np.float32
    assert trace.entropy == pytest.approx(ENTROPY, abs=1e-6)
    assert trace.unlisted == pytest.approx(UNLISTED, abs=1e-6)
    assert trace.top_k == 2


def test_one_file_may_mix_formats(tmp_path):
    traces = list(read_traces(written(tmp_path, *FORMATS.values())))
    assert len(traces) == len(FORMATS)
    assert all(trace.entropy == pytest.approx(ENTROPY, abs=1e-6) for trace in traces)


def test_what_the_line_says_beside_the_tokens(tmp_path):
    extras = {
        "id": "q3", "sample": 5, "benchmark": "AIME", "prompt": "2 + 3?", "correct": False,
        "difficulty": "hard", "extracted": "5", "gold": "6", "finish": "length",
    }  # fmt: skip
    trace = read_one(tmp_path, FORMATS["ours"] | extras)
    assert (trace.id, trace.problem, trace.benchmark) == ("q3#5", "AIME/q3", "AIME")
    assert (trace.correct, trace.difficulty, trace.finish) == (False, "hard", "length")
    assert (trace.prompt, trace.answer, trace.gold) == ("2 + 3?", "5", "6")
    bare = read_one(tmp_path, CHOICE)
    assert (bare.id, bare.correct, bare.difficulty, bare.finish) == ("line 1", None, "", "stop")
    offline = read_one(tmp_path, OFFLINE)
    assert (offline.id, offline.prompt, offline.finish) == ("7", "2 + 3?", "length")


def test_several_choices_are_several_traces_of_one_problem(tmp_path):
    traces = list(read_traces(written(tmp_path, {"id": "q", "choices": [CHOICE, CHOICE]})))
    assert [trace.id for trace in traces] == ["q#0", "q#1"]
    assert [trace.problem for trace in traces] == ["/q", "/q"]


def test_given_entropies_are_taken_as_they_are(tmp_path):
    trace = read_one(tmp_path, {"tokens": ["a", "b"], "entropy": [0.25, 2]})
    assert trace.entropy.tolist() == [0.25, 2.0]
    assert trace.top_k is None and trace.unlisted.tolist() == [0, 0]
    both = read_one(tmp_path, FORMATS["ours"] | {"entropy": [0.25, 2.0]})
    assert both.entropy.tolist() == [0.25, 2.0] and both.top_k is None
    assert both.alternatives(1) == [(".", HALF), ("!", QUARTER), (",", EIGHTH)]


def test_a_response_without_tokens_is_a_trace(tmp_path):
    trace = read_one(tmp_path, {"text": "", "logprobs": {"content": []}})
    assert trace.tokens == [] and trace.entropy.shape == (0,)


def test_the_sampled_token_is_counted_once(tmp_path):
    listed = record("a", QUARTER, b=HALF, a=QUARTER)
    added = record("a", QUARTER, b=HALF)
    first, second = (
        read_one(tmp_path, {"logprobs": {"content": [one]}}) for one in (listed, added)
    )
    assert first.entropy.tolist() == second.entropy.tolist()
    assert (first.top_k, second.top_k) == (2, 1)


def test_what_could_not_be_decoded_is_told_apart_by_its_probability(tmp_path):
    # Two tokens that are no text by themselves: both read U+FFFD, the sampled one is not listed.
    one = record("\ufffd", EIGHTH, **{"\ufffd": HALF})
    trace = read_one(tmp_path, {"logprobs": {"content": [one]}})
    assert trace.alternatives(0) == [("\ufffd", HALF), ("\ufffd", EIGHTH)]


def test_a_servers_minus_9999_is_probability_zero(tmp_path):
    one = record("a", 0.0, a=0.0, b=-9999.0)
    trace = read_one(tmp_path, {"logprobs": {"content": [one]}})
    assert trace.entropy.tolist() == [0.0]


@pytest.mark.parametrize(
    ("tokens", "text", "expected"),
    [
        (["ĠWait", ",", "Ċ", "cafÃ©"], None, [" Wait", ",", "\n", "café"]),
        (["ĠðŁĺ", "Ģ", "<|im_end|>"], None, [" ", "😀", "<|im_end|>"]),
        (["▁so", "<0xE2>", "<0x82>", "<0xAC>"], None, [" so", "<0xE2>", "<0x82>", "€"]),
        (["Ġ", "aħ"], "Ġaħ", ["Ġ", "aħ"]),
        (["guess", "22", "<|im_end|>"], "guess 22", ["guess", " 22", "<|im_end|>"]),
        (["a", "\ud800"], None, ["a", "\ufffd"]),
    ],
)
def test_tokens_read_as_text(tmp_path, tokens, text, expected):
    line = {"tokens": tokens, "text": text, "entropy": [0.5] * len(tokens)}
    assert read_one(tmp_path, line).tokens == expected


def test_bytes_of_the_server_put_split_characters_together(tmp_path):
    content = [
        record("\\xf0\\x9f", HALF, a=HALF) | {"bytes": [0xF0, 0x9F]},
        record("\\x98\\x80", HALF, a=HALF) | {"bytes": [0x98, 0x80]},
    ]
    trace = read_one(tmp_path, {"logprobs": {"content": content}})
    assert trace.tokens == ["<0xF0><0x9F>", "😀"]


def test_compressed_and_standard_input_are_read_alike(tmp_path, monkeypatch):
    text = json.dumps(FORMATS["ours"]).encode() + b"\n\n"
    packed = tmp_path / "traces.jsonl.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text * 3))
    assert len(list(read_traces(packed))) == 3
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text * 2)))
    assert len(list(read_traces("-"))) == 2


def test_reading_is_lazy(tmp_path):
    path = written(tmp_path, FORMATS["ours"], "broken")
    traces = read_traces(path)
    assert next(traces).id == "q"
    with pytest.raises(UserError, match="line 2"):
        next(traces)


def changed(**parts) -> dict:
    return {"logprobs": {"content": [CONTENT[0] | parts]}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"message": {"content": "5"}, "logprobs": None}, r'"logprobs": true, "top_logprobs": 20'),
        ({"text": "5"}, "no log-probabilities: ask the server"),
        ({"question": "5"}, "no known format .keys: question"),
        ([1], "not a JSON object"),
        ("{", "jq -c"),
        ("nonsense", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"entropy": [' + "1" * 5000 + '], "tokens": ["a"]}', "not valid JSON"),
        ({"choices": []}, "choices: empty"),
        (changed(top_logprobs=[]), "says nothing of its entropy"),
        (changed(top_logprobs=[{"token": "a", "logprob": float("nan")}]), "token 0 is nan"),
        (changed(top_logprobs=[{"token": "a", "logprob": float("-inf")}]), "probability 0 out"),
        (changed(top_logprobs=[{"token": "a", "logprob": 0.5}]), "token 0 is 0.5"),
        (changed(top_logprobs=[{"token": "a", "logprob": "-1"}]), "not a list of numbers"),
        (changed(top_logprobs=[{"token": "a", "logprob": None}]), "not a list of numbers"),
        (changed(top_logprobs=[{"token": "a", "logprob": -0.1}]), "more than 1: are these logits"),
        (changed(token=7), "no text under `token`"),
        (changed(top_logprobs=7), "top_logprobs of token 0: not a list"),
        (changed(top_logprobs=[{"logprob": -1}]), "top_logprobs of token 0: not a list"),
        (changed(top_logprobs=[{"token": ["a"], "logprob": -1.0}]), "not a text"),
        ({"tokens": ["a"], "entropy": [0.5, 0.5]}, "1 tokens and 2 entropies"),
        ({"tokens": ["a"], "entropy": [-0.5]}, "entropy of token 0 is -0.5"),
        ({"tokens": ["a"], "entropy": [float("nan")]}, "entropy of token 0 is nan"),
        ({"tokens": ["a"], "entropy": [10**400]}, "beyond all bounds"),
        ({"entropy": [0.5]}, "entropy without tokens"),
        ({"tokens": ["a", "b"], "top_logprobs": [{"a": -1}]}, "2 tokens, 1 top_logprobs"),
        ({"tokens": ["a"], "top_logprobs": [None]}, "without echo"),
        ({"tokens": ["a"]}, "top_logprobs: missing"),
        ({"tokens": [1], "entropy": [1]}, "tokens: not a list of texts"),
        ({"outputs": [{"token_ids": [1], "logprobs": None}]}, r"SamplingParams\(logprobs=20\)"),
        ({"outputs": [{"token_ids": [1], "logprobs": [{}]}]}, "token 1 is not among"),
        (FORMATS["ours"] | {"difficulty": "tough"}, "expected easy, medium, hard or null"),
        (FORMATS["ours"] | {"correct": "yes"}, "expected true, false or null"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_line_and_remedy(tmp_path, line, message):
    path = written(tmp_path, FORMATS["ours"], line)
    with pytest.raises(UserError, match=message) as caught:
        list(read_traces(path))
    assert str(caught.value).startswith(f"{path}, line 2: ")


def test_a_file_that_was_cut_off_says_so(tmp_path):
    path = written(tmp_path, FORMATS["ours"], FORMATS["ours"])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"line 2: .*was it cut off"):
        list(read_traces(path))
    packed = tmp_path / "traces.jsonl.gz"
    whole = gzip.compress(json.dumps(FORMATS["ours"]).encode() + b"\n")
    packed.write_bytes(whole[:-12])
    with pytest.raises(UserError, match="damaged or cut off"):
        list(read_traces(packed))


def test_files_that_are_not_there_and_lines_without_end(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="can't be read"):
        list(read_traces(tmp_path / "none.jsonl"))
    monkeypatch.setattr(read, "LONGEST_LINE", 100)
    with pytest.raises(UserError, match="line 1: longer than"):
        list(read_traces(written(tmp_path, FORMATS["ours"])))
