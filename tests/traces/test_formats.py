"""Every format of a trace file, as literal lines: the same two tokens, the same entropies."""

import gzip
import io
import json
import math
import sys

import numpy as np
import pytest

from ares.errors import UserError
from ares.traces import read
from ares.traces.read import part_of, read_traces, traces_of
from tests.traces.conftest import written

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
SAMPLED = {"tokens": [" Wait", ","], "token_logprobs": [HALF, EIGHTH]}
LEGACY = {
    "text": " Wait,",
    "logprobs": {**SAMPLED, "top_logprobs": [TOPS[0], TOPS[1] | {",": EIGHTH}]},
}


def entries(*listed: tuple[int, str, float, int]) -> dict:
    """One position of vLLM: id, token, log-probability and rank of every alternative."""
    return {
        str(number): {"logprob": logprob, "rank": rank, "decoded_token": token}
        for number, token, logprob, rank in listed
    }


OUTPUT = {
    "text": " Wait,",
    "token_ids": [11, 12],
    "finish_reason": "length",
    "logprobs": [
        entries((11, " Wait", HALF, 1), (5, " So", QUARTER, 2)),
        entries((12, ",", EIGHTH, 9), (6, ".", HALF, 1), (7, "!", QUARTER, 2)),
    ],
}
#: The same as vLLM's flat log-probabilities: all entries in a row, and where each token's begin.
FLAT = {
    "start_indices": [0, 2],
    "end_indices": [2, 5],
    "token_ids": [11, 5, 12, 6, 7],
    "logprobs": [HALF, QUARTER, EIGHTH, HALF, QUARTER],
    "ranks": [1, 2, 9, 1, 2],
    "decoded_tokens": [" Wait", " So", ",", ".", "!"],
}
OFFLINE = {"request_id": "7", "prompt": "2 + 3?", "outputs": [OUTPUT]}
FORMATS = {
    "ours": {"id": "q", "text": " Wait,", "logprobs": {"content": CONTENT}, "entropy": None},
    "plain, tables": {**SAMPLED, "top_logprobs": TOPS},
    "plain, pairs": {**SAMPLED, "top_logprobs": [list(map(list, top.items())) for top in TOPS]},
    "plain, numbers": {**SAMPLED, "top_logprobs": [[HALF, QUARTER], [HALF, QUARTER]]},
    "chat completion": {"object": "chat.completion", "choices": [CHOICE]},
    "choice": CHOICE,
    "batch": {"custom_id": "b", "response": {"status_code": 200, "body": {"choices": [CHOICE]}}},
    "legacy completion": {"choices": [LEGACY]},
    "legacy choice": LEGACY,
    "vllm offline": OFFLINE,
    "vllm offline, flat": OFFLINE | {"outputs": [OUTPUT | {"logprobs": FLAT}]},
    "ollama": {"model": "m", "response": " Wait,", "logprobs": CONTENT},
    "responses": {"output": [{"type": "reasoning"}, {"type": "message", "content": [
        {"type": "output_text", "text": " Wait,", "logprobs": CONTENT}]}]},
    "llama.cpp": {"content": " Wait,", "completion_probabilities": CONTENT},
    "llama.cpp, old": {"content": " Wait,", "completion_probabilities": [
        {"content": " Wait", "probs": [{"tok_str": " Wait", "prob": 0.5},
                                       {"tok_str": " So", "prob": 0.25}]},
        {"content": ",", "probs": [{"tok_str": t, "prob": math.exp(v)}
                                   for t, v in (TOPS[1] | {",": EIGHTH}).items()]}]},
    "sglang": {"text": " Wait,", "meta_info": {
        "output_token_logprobs": [[HALF, 11, " Wait"], [EIGHTH, 12, ","]],
        "output_top_logprobs": [[[v, 5, t] for t, v in top.items()] for top in TOPS]}},
    "tgi": {"generated_text": " Wait,", "details": {
        "tokens": [{"id": 11, "text": " Wait", "logprob": HALF},
                   {"id": 12, "text": ",", "logprob": EIGHTH}],
        "top_tokens": [[{"text": t, "logprob": v} for t, v in top.items()] for top in TOPS]}},
}  # fmt: skip


def read_one(line):
    (trace,) = traces_of(line)
    return trace


def test_every_format_gives_the_same_tokens_and_entropies_and_one_file_may_mix_them(tmp_path):
    traces = list(read_traces(written(tmp_path, *FORMATS.values())))
    for name, trace in zip(FORMATS, traces, strict=True):
        assert trace.tokens == [" Wait", ","], name
        assert trace.entropy.dtype == np.float32
        assert trace.entropy == pytest.approx(ENTROPY, abs=1e-6), name
        assert trace.unlisted == pytest.approx(UNLISTED, abs=1e-6), name
        assert trace.top_k == 2, name


def test_what_the_line_says_beside_the_tokens():
    extras = {
        "id": "q3", "sample": 5, "benchmark": "AIME", "prompt": "2 + 3?", "correct": False,
        "difficulty": "hard", "extracted": "5", "gold": "6", "finish": "length",
    }  # fmt: skip
    trace = read_one(FORMATS["ours"] | extras)
    assert (trace.id, trace.problem, trace.benchmark) == ("q3#5", "AIME/q3", "AIME")
    assert (trace.correct, trace.difficulty, trace.finish) == (False, "hard", "length")
    assert (trace.prompt, trace.answer, trace.gold) == ("2 + 3?", "5", "6")
    bare = read_one(CHOICE)
    assert (bare.id, bare.correct, bare.difficulty, bare.finish) == ("line 1", None, "", "stop")
    offline = read_one(OFFLINE)
    assert (offline.id, offline.prompt, offline.finish) == ("7", "2 + 3?", "length")


def test_given_entropies_and_several_choices_are_taken_as_they_are():
    trace = read_one({"tokens": ["a", "b"], "entropy": [0.25, 2]})
    assert trace.entropy.tolist() == [0.25, 2.0]
    assert trace.top_k is None and trace.unlisted.tolist() == [0, 0]
    both = read_one(FORMATS["ours"] | {"entropy": [0.25, 2.0]})
    assert both.entropy.tolist() == [0.25, 2.0] and both.top_k is None
    assert both.alternatives(1) == [(".", HALF), ("!", QUARTER), (",", EIGHTH)]
    traces = list(traces_of({"id": "q", "choices": [CHOICE, CHOICE]}))
    assert [(trace.id, trace.problem) for trace in traces] == [("q#0", "/q"), ("q#1", "/q")]


def test_no_tokens_probability_zero_and_the_sampled_token_once():
    trace = read_one({"text": "", "logprobs": {"content": []}})
    assert trace.tokens == [] and trace.entropy.shape == (0,)
    one = record("a", 0.0, a=0.0, b=-9999.0)  # what servers write for probability 0
    assert read_one({"logprobs": {"content": [one]}}).entropy.tolist() == [0.0]
    listed, added = record("a", QUARTER, b=HALF, a=QUARTER), record("a", QUARTER, b=HALF)
    first, second = (read_one({"logprobs": {"content": [r]}}) for r in (listed, added))
    assert first.entropy.tolist() == second.entropy.tolist()
    assert (first.top_k, second.top_k) == (2, 1)
    # Two tokens that are no text by themselves: both read U+FFFD, the sampled one is not listed.
    same = record("\ufffd", EIGHTH, **{"\ufffd": HALF})
    trace = read_one({"logprobs": {"content": [same]}})
    assert trace.alternatives(0) == [("\ufffd", HALF), ("\ufffd", EIGHTH)]


def entropy_of(*content: dict, **choice) -> list[float]:
    return read_one({"logprobs": {"content": [*content]}, **choice}).entropy.tolist()


def test_the_sampled_token_is_told_by_its_probability():
    pairs = (("Yes", 0.4), ("Yes", 0.4), ("No", 0.1))
    listed = [{"token": name, "logprob": math.log(p)} for name, p in pairs]
    twice = {"token": "Yes", "logprob": math.log(0.4), "top_logprobs": listed}
    assert entropy_of(twice) == pytest.approx([0.9433], abs=1e-4)
    # Two tokens that read as nothing: the sampled one is not the one that is listed.
    empty = record("", math.log(0.3), A=math.log(0.5), **{"": math.log(0.02)})
    assert entropy_of(empty) == pytest.approx([1.0947], abs=1e-4)


@pytest.mark.parametrize("zero", [-math.inf, None])
def test_an_alternative_of_probability_zero_is_left_out(zero):
    assert entropy_of(record("a", HALF, a=HALF, b=HALF, c=zero)) == pytest.approx([math.log(2)])


def test_the_tokens_of_a_thought_and_raw_spellings_with_bytes():
    content = {"reasoning_content": CONTENT[:1], "content": CONTENT[1:]}
    message = {"reasoning_content": " Wait", "content": ","}
    assert read_one({"message": message, "logprobs": content}).tokens == [" Wait", ","]
    names = ["Hello", "ĠWait", "Ġthere"]
    raw = [record(name, HALF, a=HALF) | {"bytes": [*name.encode()]} for name in names]
    choice = {"message": {"content": "Hello Wait there"}, "logprobs": {"content": raw}}
    assert read_one(choice).tokens == ["Hello", " Wait", " there"]


def test_failed_requests_are_left_out_and_counted(tmp_path, capsys):
    none = {"custom_id": "1", "response": None, "error": {"message": "too long"}}
    refused = {"response": {"status_code": 400, "body": {"error": {"message": "no"}}}}
    traces = list(read_traces(written(tmp_path, none, FORMATS["batch"], refused)))
    assert [trace.id for trace in traces] == ["b"]
    assert "left out 2 responses" in capsys.readouterr().err
    choices = {"id": "q", "choices": [CHOICE, {"message": {"content": "x"}}, CHOICE]}
    path = written(tmp_path, choices)
    assert [trace.id for trace in read_traces(path)] == ["q#0", "q#2"]
    assert "left out 1 responses" in (told := capsys.readouterr().err)
    assert "line 1: choices[1]: no log-probabilities" in told
    with pytest.raises(UserError, match=r"choices\[1\]: no log-probabilities"):
        list(read_traces(path, strict=True))
    with pytest.raises(UserError, match=r"line 1: a request that failed.*no line has a response"):
        list(read_traces(written(tmp_path, none)))


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
def test_tokens_read_as_text(tokens, text, expected):
    line = {"tokens": tokens, "text": text, "entropy": [0.5] * len(tokens)}
    assert read_one(line).tokens == expected


def test_compressed_files_standard_input_and_bytes_of_the_server(tmp_path, monkeypatch):
    text = json.dumps(FORMATS["ours"]).encode() + b"\n\n"
    for name in ("traces.jsonl.gz", "traces.jsonl"):
        packed = tmp_path / name
        packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text * 3))
        assert len(list(read_traces(packed))) == 3
    array = [FORMATS["ours"] | {"id": None}, FORMATS["ours"] | {"id": "q"}]
    assert [trace.id for trace in read_traces(written(tmp_path, array))] == ["line 1.1", "q"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text * 2)))
    assert len(list(read_traces("-"))) == 2
    parts = {"\\xf0\\x9f": [0xF0, 0x9F], "\\x98\\x80": [0x98, 0x80]}
    content = [record(name, HALF, a=HALF) | {"bytes": known} for name, known in parts.items()]
    assert read_one({"logprobs": {"content": content}}).tokens == ["<0xF0><0x9F>", "😀"]


def changed(**parts) -> dict:
    return {"logprobs": {"content": [CONTENT[0] | parts]}}


def listed(logprob) -> dict:
    return changed(top_logprobs=[{"token": "a", "logprob": logprob}])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"message": {"content": "5"}, "logprobs": None}, r'"logprobs": true, "top_logprobs": 20'),
        ({"text": "5"}, "no log-probabilities: ask the server"),
        ("{", "jq -c"),
        *((text, "not valid JSON") for text in (
            "nonsense", "[" * 100_000, '{"entropy": [' + "1" * 5000 + '], "tokens": ["a"]}')),
        (changed(top_logprobs=[]), "says nothing about its entropy"),
        ({"object": "chat.completion.chunk", "choices": [{"delta": {}, "logprobs": None}]},
         "a chunk of a stream"),
        *((listed(value), "not a list of numbers") for value in ("-1", True)),
        (listed(-0.1), "more than 1: are these logits"),
        ({"tokens": ["a"], "entropy": [0.5, 0.5]}, "1 tokens and 2 entropies"),
        *(({"tokens": ["a"], "entropy": [value]}, "entropy of token 0 is")
          for value in (-0.5, float("nan"), 1e300, 33.0)),
        ({"tokens": ["a"], "top_logprobs": [None]}, "without echo"),
        ({"tokens": ["a"], "top_logprobs": [[[[["a"]], -1.0]]]}, "a token that is not a text"),
        ({"outputs": [{"token_ids": [1], "logprobs": [{"1": {"logprob": -1.0}, "2": None}]}]},
         "not as an output of vLLM should be"),
        ({"id": [1], "tokens": [], "entropy": []}, "id: neither a text nor a number"),
        ({"x" * 10_000: 1}, "no known format"),
        ({"outputs": [{"token_ids": [1], "logprobs": None}]}, r"SamplingParams\(logprobs=20\)"),
        (FORMATS["ours"] | {"difficulty": "tough"}, "difficulty: .* \"medium\""),
        (FORMATS["ours"] | {"correct": "yes"}, "correct: .* true, false"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_line_and_remedy(tmp_path, line, message):
    path = written(tmp_path, FORMATS["ours"], line)
    with pytest.raises(UserError, match=message) as caught:
        list(read_traces(path))
    assert str(caught.value).startswith(f"{path}, line 2: ") and len(str(caught.value)) < 700


def test_files_that_are_cut_off_not_there_or_without_line_ends(tmp_path, monkeypatch):
    path = written(tmp_path, FORMATS["ours"], FORMATS["ours"])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"line 2: .*was it cut off"):
        list(read_traces(path))
    packed = tmp_path / "traces.jsonl.gz"
    whole = gzip.compress(json.dumps(FORMATS["ours"]).encode() + b"\n")
    packed.write_bytes(whole[:-12])
    with pytest.raises(UserError, match="damaged or cut off"):
        list(read_traces(packed))
    with pytest.raises(UserError, match="can't be read"):
        list(read_traces(tmp_path / "none.jsonl"))
    monkeypatch.setattr(read, "LONGEST_LINE", 100)
    with pytest.raises(UserError, match="line 1: longer than"):
        list(read_traces(written(tmp_path, FORMATS["ours"])))


def test_the_thought_the_answer_and_no_special_tokens():
    tokens = ["<think>", " a", " </", "think", "> b", " c", "<|im_end|>"]
    trace = read_one({"tokens": tokens, "entropy": [*range(7)]})
    cases = {
        ("all", False): tokens,
        ("all", True): tokens[:-1],
        ("think", True): tokens[:4],
        ("answer", True): ["> b", " c"],
    }
    for (part, drop_special), kept in cases.items():
        own = part_of(trace, part, drop_special)
        assert own.tokens == kept and len(own.entropy) == len(own.unlisted) == len(kept)
    assert part_of(trace, "answer", False).entropy.tolist() == [4, 5, 6]
    none = read_one({"tokens": ["a"], "entropy": [1.0]})
    assert part_of(none, "think", False).tokens == ["a"]
    assert part_of(none, "answer", False).tokens == []
