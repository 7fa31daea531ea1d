"""What the algebra worker does with hostile answers: it compiles numbers and nothing else of them.

sympy turns texts into numbers through Python's `eval`. Whatever reaches it must be a number, which
an audit hook of the interpreter watches here; the hook also sees files, processes and sockets.
"""

from __future__ import annotations

import json
import subprocess
import sys

MARK = "owned4711"
HOSTILE = [
    f"__import__('os').system('touch {MARK}')",
    f"open('{MARK}','w')",
    f"(lambda: open('{MARK}','w'))()",
    f"exec(\"open('{MARK}','w')\")",
    f"eval(\"open('{MARK}','w')\")",
    f"1+__import__('os').system('touch {MARK}')",
    f"5;import os;os.system('touch {MARK}')",
    f"5\nimport os\nos.system('touch {MARK}')",
    f"5) or __import__('os').system('touch {MARK}') or (5",
    f"x.__class__.__mro__[1].__subclasses__() + {MARK}",
    f"Symbol('x').subs('x', \"__import__('os').system('touch {MARK}')\")",
    f"sympify('{MARK}')",
    f"\\text{{__import__('os').system('touch {MARK}')}}",
    f"\\mathrm{{open('{MARK}','w')}}",
    f"\\variable{{__import__('os').system('touch {MARK}')}}",
    f"\\operatorname{{exec}}(\\text{{open('{MARK}','w')}})",
    f"\\frac{{__import__('os').system('touch {MARK}')}}{{1}}",
    f"x_{{__import__('os').system('touch {MARK}')}}",
    f"\\input{{{MARK}}} \\write18{{touch {MARK}}} \\openout{MARK}",
    f"f'{{{MARK}}}'",
    f"'''{MARK}'''",
    f"\\sqrt[__import__('os').system('touch {MARK}')]{{2}}",
    f"\\log_{{__import__('os').system('touch {MARK}')}} 8",
    f"10^{{open('{MARK}','w')}}",
    f"1e5__import__('os').system('touch {MARK}')",
    f"0x10 {MARK}",
    "1_000__class__",
    "12.5.__class__",
    "1,000,000.5",
    "٣٤٥",
    "1e5",
    "0.1 + 2.5e-3 x",
]

WATCHED = """
import json, re, sys
from ares.answers.compare import decide
from ares.answers import algebra
algebra._read("1+x")
seen = {"compiled": [], "events": []}
hostile = json.loads(sys.stdin.read())
NUMBER = re.compile(r"(?:Integer|Float|Rational) \\(['\\d.eE+, -]*\\)")

def text_of(source):
    return source.decode("utf-8", "replace") if isinstance(source, bytes) else str(source)

def hook(event, arguments):
    if event == "compile" and arguments[0] is not None:
        text = text_of(arguments[0])
        # A library that is imported late compiles its own files; their text is not the answer's.
        if arguments[1] in ("<string>", "<sympy>") or "owned4711" in text:
            seen["compiled"].append(text)
    elif event == "open" and any(mark in str(arguments[1]) for mark in "wax+"):
        seen["events"].append([event, str(arguments)])
    elif event.split(".")[0] in ("os", "subprocess", "socket", "shutil", "ctypes", "pty"):
        if event not in ("os.listdir", "os.scandir"):
            seen["events"].append([event, str(arguments)])

sys.addaudithook(hook)
for text in hostile:
    for pair in ((text, "5"), ("5", text), ("x+1", text), (text, text + "+0")):
        for letters in (True, False):
            reply = decide(*pair, letters, algebra.algebra)
            assert reply[0] in ("right", "wrong", "ungradable")
    algebra._read.cache_clear()
seen["numbers"] = [s for s in seen["compiled"] if NUMBER.fullmatch(s.strip())]
print(json.dumps(seen))
"""


def test_nothing_of_an_answer_is_evaluated_but_its_numbers(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        input=json.dumps(HOSTILE),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["events"] == []
    assert seen["numbers"], "the hook sees how sympy reads numbers"
    for source in seen["compiled"]:
        for word in (MARK, "__import__", "lambda", "exec", "system", "open"):
            assert word not in source, source
    assert not list(tmp_path.iterdir())


def test_the_hook_would_see_it(tmp_path):
    code = WATCHED.replace("from ares.answers import algebra\nalgebra._read", "(lambda text: 0)")
    code = code.replace("algebra._read.cache_clear()", "").replace(
        "reply = decide(*pair, letters, algebra.algebra)",
        "from sympy import sympify\n            reply = {}\n            sympify(pair[0])",
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([f"open('{MARK}','w').name"]),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=250,
    )
    assert (tmp_path / MARK).exists() or "open" in done.stdout, done.stderr
