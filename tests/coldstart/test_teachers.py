"""Teachers behind an endpoint: options, budgets, answers that are kept, and what is no trace."""

import pytest

from ares.coldstart.teachers import teacher_server
from ares.errors import UserError
from tests.backends.stub import Answer, Stub
from tests.coldstart.scenes import asked, taught

RIGHT = "<think> guess </think> \\boxed{ 3 + 2 = 5 }"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def served() -> Stub:
    return Stub(lambda body: Answer("\\boxed{ 3 + 2 = 5 }", "guess"))


def test_every_pair_of_options_is_asked_and_thought_is_put_before_the_answer(
    tmp_path, model_folder
):
    with served() as server:
        scale = taught(tmp_path, model_folder, server.url, temperatures=[0.5, 1.0], traces=2)
        kept, left_out = asked(tmp_path, scale)
    sent = {(body["reasoning_effort"], body["temperature"]) for _, _, body in server.requests}
    assert sent == {(effort, t) for effort in ("low", "high") for t in (0.5, 1.0)}
    assert len(server.requests) == 2 * 2 * 2 * 2  # presentations, efforts, temperatures, traces
    # All say the same here, and a pool holds a text once per prompt.
    assert kept[["presentation", "habit", "text"]].to_numpy().tolist() == [
        ["text", "m, effort low, temperature 0.5", RIGHT],
        ["image", "m, effort low, temperature 0.5", RIGHT],
    ]
    assert left_out == {"said before": 14}


def test_options_that_are_not_wanted_are_not_sent_and_a_teacher_needs_a_name(
    tmp_path, model_folder
):
    with served() as server:
        asked(tmp_path, taught(tmp_path, model_folder, server.url, efforts=[], temperatures=[]))
    sent = {name for _, _, body in server.requests for name in body}
    assert "seed" in sent and not sent & {"temperature", "top_p", "reasoning_effort"}
    scale = taught(tmp_path, model_folder, "http://127.0.0.1:1/v1", text={"url": "http://a/v1"})
    with pytest.raises(UserError, match=r"cold_start\.teachers\.text: has a url and no model"):
        teacher_server(scale, "text")
    assert teacher_server(taught(tmp_path, model_folder, "", efforts=[]), "pictures") is None


def test_a_budget_stops_the_asking_and_the_next_run_goes_on_from_there(tmp_path, model_folder):
    with served() as server:
        kept, left_out = asked(
            tmp_path, taught(tmp_path, model_folder, server.url, efforts=["low"], max_requests=1)
        )
        assert kept["presentation"].tolist() == ["text", "image"] and not left_out
        assert len(server.requests) == 2  # a budget for each teacher
        few = taught(tmp_path, model_folder, server.url, efforts=["low", "high"], max_requests=1)
        for number in (4, 4):
            asked(tmp_path, few)
            assert len(server.requests) == number
