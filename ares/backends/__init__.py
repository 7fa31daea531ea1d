"""Where responses come from: a server, vLLM in this process, or transformers; one interface."""

#: Defaults of commands and settings: how responses are drawn; requests that a server has to answer
#: at a time, and tries per request.
TEMPERATURE, TOP_P = 1.0, 1.0
PARALLEL, ATTEMPTS = 64, 6
