"""Sampling and scoring: what the policy says, and how sure it was of every token.

`engine.sample` draws responses, `scoring.score` rereads given responses in one forward pass, and
`prompts` turns processor outputs into batches that either of them can pad as it likes. Nothing
here knows about tasks, rewards or training; token ids go in, token ids and numbers come out.
"""
