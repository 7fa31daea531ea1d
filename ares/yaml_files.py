"""Reading YAML that a person wrote, without what YAML does behind a person's back.

1. A key that stands twice is an error: YAML would keep the last in silence.
2. Numbers are decimal. YAML 1.1 also reads 010 as 8 and 1:30 as 90.
3. There are no tags, dates or keys other than text: what is read is what JSON could hold.
4. Size, depth and what aliases unfold to are bounded, so that no file can fill the memory, or end
   the process (libyaml's composer crashes on a file of brackets).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ares.errors import UserError

#: Bounds of a file: bytes, collections inside one another, values once aliases are unfolded.
MOST_BYTES, DEEPEST, MOST_VALUES = 2**20, 64, 100_000

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(
    r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF|nan|NaN|NAN)"
)
#: How a value of a type may be written, and what to do about another.
_PLAIN = {
    "int": (_INTEGER, "write a decimal number of at most 19 digits without leading zeros"),
    "float": (_FLOAT, "write a decimal number"),
    "timestamp": (re.compile("(?!)"), "it reads as a date; put it in quotes"),
}


def parse_yaml(path: Path, where: str) -> Any:
    """Read one YAML document.

    Args:
        where: the file, for messages.

    Raises:
        UserError: the file is missing, is not YAML, or holds what the top of this file excludes.
    """
    text = _text(path, where)
    try:
        _check_events(text, where)
        loader = yaml.CSafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_node(node, where, {}, 0)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not valid YAML ({' '.join(str(error).split())})") from None


def _text(path: Path, where: str) -> str:
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{where}: cannot be read (it is no file)")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UserError(f"{where}: has more than {MOST_BYTES} bytes; this is no config")
        return data.decode("utf-8")
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not valid YAML ({error}); save it as UTF-8") from None
    except ValueError:  # a null byte
        raise UserError(f"{where!r}: cannot be read (no such name is possible)") from None


def _check_events(text: str, where: str) -> None:
    """Refuse tags and deep nesting before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise UserError(f"{_line(event, where)}: nested more than {DEEPEST} deep")
        if (
            isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
            and event.tag is not None
        ):
            raise UserError(f"{_line(event, where)}: the tag {event.tag}: leave it out")


def _check_node(
    node: yaml.Node, where: str, measured: dict[yaml.Node, tuple[int, int]], depth: int
) -> tuple[int, int]:
    """Number of values of a node and its height, all aliases unfolded.

    Args:
        measured: nodes that are checked already; an alias is the same node again.
        depth: of the node; it rises without end only where an alias leads back to itself.
    """
    if node in measured:
        return measured[node]
    if depth > DEEPEST:
        raise UserError(f"{_line(node, where)}: an alias leads back to where it stands")
    count, height = 1, 1
    for part in _parts(node, where):
        more, higher = _check_node(part, where, measured, depth + 1)
        count, height = count + more, max(height, higher + 1)
    if count > MOST_VALUES or height > DEEPEST:
        raise UserError(
            f"{_line(node, where)}: unfolds to more than {MOST_VALUES} values, or {DEEPEST} deep"
        )
    measured[node] = count, height
    return count, height


def _parts(node: yaml.Node, where: str) -> list[yaml.Node]:
    """What a node holds, keys and values, after a look at how it is written."""
    if isinstance(node, yaml.SequenceNode):
        return node.value
    if isinstance(node, yaml.MappingNode):
        _check_keys(node, where)
        return [part for pair in node.value for part in pair]
    form, advice = _PLAIN.get(node.tag.removeprefix(_TAG), (None, ""))
    if form is not None and not form.fullmatch(node.value):
        raise UserError(f"{_line(node, where)}: {shortened(node.value)}: {advice}")
    return []


def _check_keys(node: yaml.MappingNode, where: str) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
            told = shortened(str(key.value)) if isinstance(key, yaml.ScalarNode) else "a list"
            raise UserError(f"{_line(key, where)}: the key {told} is no text; put it in quotes")
        if key.value in seen:
            raise UserError(
                f"{_line(key, where)}: '{shortened(key.value)}' is there already; give it another "
                "name"
            )
        seen.add(key.value)


def _line(marked: yaml.Node | yaml.Event, where: str) -> str:
    mark = marked.start_mark
    assert mark is not None  # libyaml sets all of them
    return f"{where}, line {mark.line + 1}"


def shortened(text: str, most: int = 120) -> str:
    """A text for a message: its beginning, if it is long.

    >>> shortened("abcdef", 3)
    'abc...'
    """
    return text if len(text) <= most else f"{text[:most]}..."
