"""The commands behind the workflow: every module here is one step.

A module has a function `register(commands)` that adds its subcommands to the parser and sets the
function that runs them with `set_defaults(run=...)`. It imports torch and pandas only inside that
function.
"""
