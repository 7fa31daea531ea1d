"""A language model behind a chat endpoint as the judge of a lexicon (Fig. 2b)."""

from __future__ import annotations

from dataclasses import dataclass

from ares.backends.base import Decoding, Failure, Request
from ares.backends.server import ServerBackend
from ares.errors import UserError


@dataclass(frozen=True)
class EndpointJudge:
    """Ask an OpenAI-compatible chat endpoint whether a token signals reasoning.

    A judge for `ares.method.judge.extract_lexicon`.

    Attributes:
        url: base address that ends in /v1.
        model: name of the model served there.
        key_variable: environment variable that holds the API key (unset: no key is sent).
        attempts: tries per token, both for an answer and for one that is yes or no.
        wait_s, timeout_s: as those of `ServerBackend`.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    attempts: int = 4
    wait_s: float = 1.0
    timeout_s: float = 60.0

    PROMPT = (
        "In a step-by-step solution, does the word {token!r} typically signal a move of reasoning "
        "(contrast, cause, hedging, planning, checking or concluding), rather than content or "
        "grammar? Answer yes or no."
    )

    def __call__(self, token: str) -> bool:
        """True for yes, False for no.

        Raises:
            UserError: the endpoint can't be reached, refuses, or answers neither yes nor no, each
                time.
        """
        failure = "no attempt was made"
        for attempt in range(self.attempts):
            try:
                answer = self._ask(token, attempt)
            except UserError as error:
                failure = str(error)
                break
            verdict = answer.strip().strip("\"'*.").lower()
            if verdict.startswith(("yes", "no")):
                return verdict.startswith("yes")
            failure = f"answered {answer[:60]!r} instead of yes or no"
        raise UserError(f"judge {self.model} at {self.url}, token {token!r}: {failure}")

    def _ask(self, token: str, attempt: int) -> str:
        """An answer; each attempt has a seed of its own, as the same one may answer the same."""
        backend = ServerBackend(
            self.url,
            self.model,
            key_variable=self.key_variable,
            parallel=1,
            attempts=self.attempts,
            wait_s=self.wait_s,
            timeout_s=self.timeout_s,
        )
        messages = [{"role": "user", "content": self.PROMPT.format(token=token)}]
        decoding = Decoding(max_tokens=8, temperature=0.0)
        ((_, outcome),) = backend.generate([Request(token, messages, decoding, seed=attempt)])
        if isinstance(outcome, Failure):
            raise UserError(outcome.reason)
        return outcome.text
