"""Where responses come from: a server, vLLM in this process, or transformers; one interface."""
