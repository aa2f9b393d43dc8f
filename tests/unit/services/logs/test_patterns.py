"""The filter pattern grammar (aws-behaviour 6.3): by table, against naive evaluation, and in bounded time."""

from __future__ import annotations

import json
import re
import time
import warnings
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tenantry.services.logs.patterns import PatternError, compile_pattern
from tenantry.services.logs.patterns.fields import split_fields
from tenantry.services.logs.patterns.regex import Automaton, RegexError, _alternatives, _parse_branch, compile_regex
from tenantry.services.logs.patterns.values import wildcard

BLUE = '{"tenantId": "BlueTenant", "n": 3, "f": 1.5, "ok": true, "none": null, "list": [{"a": 1}, {"a": 2}], "a-b": "c d"}'
NESTED = '{"record": {"tenantId": "BlueTenant", "metrics": {"durationMs": 12.5}}}\n'
ACCESS = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534\n'
INFO = "[INFO]\t2026-01-01T00:00:00.000Z\t5a1b\tBlueTenant: counter value 12\n"

MATCHES: list[tuple[str, str, bool]] = [
    ("", "anything", True),
    ("   ", "anything", True),
    ('""', "anything", True),
    ("ERROR", "an ERROR here", True),
    ("ERROR", "an error here", False),
    ("b a", "a b", True),
    ("b c", "a b", False),
    ('"a b"', "x a b y", True),
    ('"b a"', "a b", False),
    ('"[INFO]"', INFO, True),
    (r'"say \"hi\""', 'they say "hi"', True),
    (r'"back\\slash"', r"back\slash", True),
    ("?a ?b", "b", True),
    ("?a ?b", "c", False),
    ("?a c", "c", True),  # beside other terms, those after ? count for nothing
    ("?a c", "a", False),
    ("?a -c", "b", True),
    ("-START", "START x", False),
    ("-START", "END x", True),
    ("RequestId -START -END", "REPORT RequestId: 1", True),
    ("RequestId -START -END", "END RequestId: 1", False),
    ('-"a b"', "a b", False),
    ("%counter value [0-9]+%", INFO, True),
    ("%counter value [0-9]+$%", INFO, True),  # before the last line feed
    ("%^counter%", INFO, False),
    (r"%^\[INFO\]%", INFO, True),
    ("%Blue|Green%", "GreenTenant", True),
    ("?%Blue% ?%Red%", "RedTenant", True),
    ("%a% -%b%", "ab", False),
    (r"%\d{4}-\d\d%", INFO, True),
    ('{ $.tenantId = "BlueTenant" }', BLUE, True),
    ('{$.tenantId="BlueTenant"}', BLUE, True),
    ('{ $.tenantId = "GreenTenant" }', BLUE, False),
    ("{ $.tenantId = Blue* }", BLUE, True),
    ('{ $.tenantId = "*Ten*" }', BLUE, True),
    ("{ $.tenantId = %^Blue[A-Z]% }", BLUE, True),
    ("{ $.tenantId != %Blue% }", BLUE, False),
    ('{ $.tenantId = "BlueTenant" || $.record.tenantId = "BlueTenant" }', NESTED, True),
    ('{ $.record.tenantId = "BlueTenant" }', BLUE, False),
    ("{ $.record.metrics.durationMs >= 12.5 }", NESTED, True),
    ("{ $.n = 3 }", BLUE, True),
    ("{ $.n = 3.0 }", BLUE, True),
    ("{ $.n != 4 }", BLUE, True),
    ("{ $.n < 1e1 }", BLUE, True),
    ("{ $.n > 3 }", BLUE, False),
    ("{ $.n <= 3 && $.n >= 3 }", BLUE, True),
    ("{ $.tenantId > 3 }", BLUE, False),
    ("{ $.missing != 4 }", BLUE, False),
    ("{ $.missing NOT EXISTS }", BLUE, True),
    ("{ $.n not exists }", BLUE, False),
    ("{ $.ok IS TRUE }", BLUE, True),
    ("{ $.ok is false }", BLUE, False),
    ("{ $.none IS NULL }", BLUE, True),
    ("{ $.missing IS NULL }", BLUE, False),
    ("{ $.ok = true }", BLUE, True),
    ("{ $.list[1].a = 2 }", BLUE, True),
    ("{ $.list[2].a = 2 }", BLUE, False),
    ("{ $.list[*].a = 2 }", BLUE, True),
    ("{ $.list = 1 }", BLUE, False),
    ("{ $.['a-b'] = \"c d\" }", BLUE, True),
    ('{ $.a-b = "c d" }', BLUE, True),
    ("{ ($.n = 1 || $.n = 3) && $.ok IS TRUE }", BLUE, True),
    ("{ $.n = 3 || $.n = 1 && $.ok IS FALSE }", BLUE, True),
    ("{ ($.n = 3 || $.n = 1) && $.ok IS FALSE }", BLUE, False),
    ("{ $.n = 3 }", "n is 3", False),
    ("{ $.n = 3 }", "{broken", False),
    ("{ $.n NOT EXISTS }", "no JSON", False),
    ("{ $[0] = 1 }", "[1]", True),
    ('{ $.a = "}" }', '{"a": "}"}', True),
    ('{ $.a = "$.b = 1" }', '{"a": "$.b = 1"}', True),
    ("{ $.ip = 10.0.* }", '{"ip": "10.0.3.7"}', True),
    ("[ip, id, user, ts, request, status, bytes]", ACCESS, True),
    ("[ip, id, user, ts, request, status]", ACCESS, False),
    ("[ip, id, user, ts, request, status=4*, bytes>1000]", ACCESS, True),
    ("[ip, id, user, ts, request, status=4*, bytes>1534]", ACCESS, False),
    ("[ip, ..., status=404, bytes]", ACCESS, True),
    ("[..., status!=404, bytes]", ACCESS, False),
    ("[ip=127.0.0.1, ...]", ACCESS, True),
    ('[ip, id, user, ts, request="GET *", ...]', ACCESS, True),
    ("[ip, id, user, ts, request=%^GET .*1\\.0$%, ...]", ACCESS, True),
    ("[..., status=4* && status!=404, bytes]", ACCESS, False),
    ("[..., status=404 || status=500, bytes]", ACCESS, True),
    ("[level=*INFO*, ...]", INFO, True),
    ('[mark="START", label, request, ...]', "START RequestId: 1 Version: $LATEST\n", True),
    ('[mark="START", label, request, ...]', "END RequestId: 1\n", False),
    ("[a, b]", 'one "two three"', True),
    ("[a, b, c]", 'one "two three', True),  # a quote that does not close is a character
    ("[...]", "", True),
    ("[a]", "", False),
]

INVALID = [
    "tenant-1",
    "[ERROR",
    "a:b",
    '"open',
    "%open",
    "?",
    "-",
    '"a"b',
    "%a% %b% %c%",
    "%(a)%",
    "%a!%",
    "%ä%",
    "%*a%",
    "%a**%",
    "%a+?%",
    "%[z-a]%",
    "%[a%",
    "%a|%",
    "%a{3,2}%",
    "%a{1001}%",
    "%a$b%",
    "%a^b%",
    r"%\q%",
    "%%",
    "{",
    "{}",
    "{ $.a }",
    '{ $.a = "b"',
    "{ $.a = }",
    "{ $.a == 1 }",
    "{ a = 1 }",
    "{ $.a < b }",
    "{ $.a IS MAYBE }",
    "{ $.a EXISTS }",
    "{ $.a = 1 && }",
    "{ ($.a = 1 }",
    "{ $.a = 1) }",
    "{ $.a = 1 $.b = 2 }",
    "{ $.a = $.b }",
    "{" + "(" * 200 + "$.a = 1" + ")" * 200 + "}",
    "[]",
    "[a,]",
    "[a b]",
    "[=3]",
    "[a=]",
    "[a>x]",
    "[a=1 && b=2]",
    "[a=1 b]",
    "[..., a, ...]",
    '[a="x]',
    "x" * 1025,
]


@pytest.mark.parametrize(("pattern", "message", "expected"), MATCHES)
def test_matching(pattern: str, message: str, expected: bool) -> None:
    assert compile_pattern(pattern)(message) is expected


@pytest.mark.parametrize("pattern", INVALID)
def test_invalid(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)


@given(st.text(max_size=60))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        compile_pattern(text)("a message")
    except PatternError:
        return


@given(st.text(alphabet="{}[]()$.=!<>&|%\"'\\ ab1*?-^,", max_size=40), st.text(alphabet='{}[]":,ab1 ', max_size=30))
def test_any_text_of_the_grammars_characters(text: str, message: str) -> None:
    try:
        matches = compile_pattern(text)
    except PatternError:
        return
    assert matches(message) in (True, False)


TERM = st.tuples(st.sampled_from(["", "?", "-"]), st.text(alphabet="ab c", min_size=1, max_size=4))


@given(st.lists(TERM, max_size=5), st.text(alphabet="ab c", max_size=12))
def test_terms_against_naive_evaluation(terms: list[tuple[str, str]], message: str) -> None:
    pattern = " ".join(f'{sign}"{text}"' for sign, text in terms)
    of = {sign: [text for term, text in terms if term == sign] for sign in ("", "?", "-")}
    expected = all(text in message for text in of[""]) and not any(text in message for text in of["-"])
    if of["?"] and not of[""] and not of["-"]:
        expected = any(text in message for text in of["?"])
    assert compile_pattern(pattern)(message) is expected


@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="ab", max_size=10))
def test_wildcards_against_fnmatch(pattern: str, text: str) -> None:
    assert wildcard(pattern)(text) is fnmatchcase(text, pattern)


VALUE = st.one_of(st.integers(-3, 3), st.sampled_from(["a", "b", "2", "-1"]), st.booleans(), st.none())
CONDITION = st.tuples(st.sampled_from("xyz"), st.sampled_from(["=", "!=", "<", ">", "<=", ">="]), st.integers(-2, 2))


@given(
    st.lists(st.lists(CONDITION, min_size=1, max_size=3), min_size=1, max_size=3),
    st.dictionaries(st.sampled_from("xyz"), VALUE),
)
def test_selectors_against_naive_evaluation(alternatives: list[list[tuple[str, str, int]]], document: dict[str, Any]) -> None:
    def holds(condition: tuple[str, str, int]) -> bool:
        name, operator, bound = condition
        if name not in document:
            return False
        value = document[name]
        numeric = isinstance(value, int | str) and not isinstance(value, bool) and bool(re.fullmatch(r"-?\d+", str(value)))
        if not numeric:
            return operator == "!="
        number = int(value)
        return {
            "=": number == bound,
            "!=": number != bound,
            "<": number < bound,
            ">": number > bound,
            "<=": number <= bound,
            ">=": number >= bound,
        }[operator]

    text = " || ".join(" && ".join(f"$.{name} {op} {bound}" for name, op, bound in every) for every in alternatives)
    expected = any(all(map(holds, every)) for every in alternatives)
    assert compile_pattern(f"{{ {text} }}")(json.dumps(document)) is expected


@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=3), max_size=5), st.integers(0, 5), st.integers(0, 5))
def test_ellipsis_against_naive_evaluation(fields: list[str], head: int, tail: int) -> None:
    names = [f"h{n}=a*" for n in range(head)] + ["..."] + [f"t{n}=*b" for n in range(tail)]
    expected = (
        len(fields) >= head + tail
        and all(field.startswith("a") for field in fields[:head])
        and all(field.endswith("b") for field in fields[len(fields) - tail :])
    )
    assert compile_pattern(f"[{', '.join(names)}]")(" ".join(fields)) is expected


ITEM = st.tuples(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w"]), st.sampled_from(["", "?", "*", "+", "{2}", "{0,2}", "{1,}"])
)
BRANCH = st.tuples(st.booleans(), st.lists(ITEM, min_size=1, max_size=5), st.booleans()).map(
    lambda parts: ("^" if parts[0] else "") + "".join(map("".join, parts[1])) + ("$" if parts[2] else "")
)


@given(st.lists(BRANCH, min_size=1, max_size=3).map("|".join), st.text(alphabet="ab1 \n", max_size=12))
@settings(max_examples=400)
def test_regular_expressions_against_python(expression: str, text: str) -> None:
    """Both ways of matching agree with Python's."""
    expected = re.search(expression, text, re.ASCII) is not None
    assert compile_regex(expression)(text) is expected
    assert Automaton([_parse_branch(part) for part in _alternatives(expression)]).search(text) is expected


@given(st.text(alphabet=r"ab[]^$-\|.*+?{},1d ", min_size=1, max_size=12), st.text(alphabet="ab1-]^ ", max_size=10))
@settings(max_examples=400)
def test_expressions_that_are_taken_mean_what_python_means(expression: str, text: str) -> None:
    try:
        matches = compile_regex(expression)
    except RegexError:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Python's classes may get set operations one day
            expected = re.search(expression, text, re.ASCII) is not None
    except re.error:
        assume(False)
    assert matches(text) is expected


HOSTILE = [
    "a?" * 300 + "a" * 300,
    ".*" * 200 + "x",
    "a*" * 100 + "b",
    "a{0,30}" * 30 + "b",
    "(a+)+b",
    "a+" * 200 + "$",
    "a.*b.*c.*d",
]


@pytest.mark.parametrize("expression", HOSTILE)
def test_no_expression_is_slow(expression: str) -> None:
    """Expressions and messages that make a backtracking matcher run for hours."""
    try:
        matches = compile_pattern(f"%{expression}%")
    except PatternError:
        return
    began = time.process_time()
    matches("a" * 50_000)
    assert time.process_time() - began < 5


def test_brackets_that_never_close_take_linear_time() -> None:
    began = time.process_time()
    assert len(split_fields("[ " * 100_000)) == 100_000
    compile_pattern('{ $.a = "' + "*a" * 200 + '*" }')(json.dumps({"a": "a" * 100_000}))
    assert time.process_time() - began < 5
