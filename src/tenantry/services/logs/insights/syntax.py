"""Reads an Insights query: commands and expressions as values.

query       = command { "|" command }
fields      expression [as name], ...          display  field, ...
filter      expression                         dedup    field, ...
stats       aggregate [as name], ... [by expression [as name], ...]
sort        expression [asc|desc], ...         limit    number
parse       [field] "glob" as name, ...    or  [field] /regex with named groups/

expression  or < and < not < comparison (= == != < > <= >= like =~ in) < + - < * / % < ^ < - < value
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenantry.services.logs.insights.functions import AGGREGATES, SCALARS, Arity
from tenantry.services.logs.insights.tokens import QueryError, Token, tokenize

T = TypeVar("T")

COMMANDS_MAX = 50
LIMIT_MAX = 100_000
_DEPTH_MAX = 50
_COMPARISONS = ("=", "==", "!=", "<", ">", "<=", ">=")
_RESERVED = ("as", "by", "asc", "desc", "and", "or", "not", "in", "like")


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: text, a number, or a truth value; `duration` of `5m` is a number of milliseconds."""

    value: str | float | int | bool | None


@dataclass(frozen=True, slots=True)
class Field:
    """A field by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Match:
    """`like` and `=~`: whether a text contains another, or a regular expression occurs in it."""

    value: Expression
    needle: Expression | re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or an operator by its sign."""

    name: str
    arguments: tuple[Expression, ...]


Expression = Literal | Field | Match | Call


@dataclass(frozen=True, slots=True)
class Named:
    """An expression and the name of its result."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Fields:
    items: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Display:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    condition: Expression


@dataclass(frozen=True, slots=True)
class Stats:
    """Aggregate calls are inside the expressions of `items`."""

    items: tuple[Named, ...]
    by: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    """(expression, descending) in the order of their weight."""

    keys: tuple[tuple[Expression, bool], ...]


@dataclass(frozen=True, slots=True)
class Limit:
    count: int


@dataclass(frozen=True, slots=True)
class Parse:
    """Named groups of `pattern` become fields."""

    source: Expression
    pattern: re.Pattern[str]
    names: tuple[tuple[str, str], ...]  # (group, field)


@dataclass(frozen=True, slots=True)
class Dedup:
    names: tuple[str, ...]


Command = Fields | Display | Filter | Stats | Sort | Limit | Parse | Dedup


def parse_query(text: str) -> list[Command]:
    """The commands of a query. QueryError for one that is malformed."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._position = 0
        self._depth = 0
        self._aggregating = False
        self._commands: dict[str, Callable[[], Command]] = {
            "fields": lambda: Fields(self._list(self._named)),
            "display": lambda: Display(self._list(self._field_name)),
            "filter": lambda: Filter(self._expression()),
            "where": lambda: Filter(self._expression()),
            "stats": self._stats,
            "sort": lambda: Sort(self._list(self._sort_key)),
            "order": self._order,
            "limit": self._limit,
            "head": self._limit,
            "parse": self._parse,
            "dedup": lambda: Dedup(self._list(self._field_name)),
        }

    def query(self) -> list[Command]:
        commands: list[Command] = []
        while True:
            commands.append(self._command())
            if len(commands) > COMMANDS_MAX:
                raise QueryError(f"a query has at most {COMMANDS_MAX} commands")
            if self._peek() is None:
                return commands
            if self._next("a command").kind != "pipe":
                raise self._unexpected(-1)

    # -- commands -----------------------------------------------------------------------------------------------------

    def _command(self) -> Command:
        word = self._next("a command")
        reader = self._commands.get(word.text.lower()) if word.kind == "name" else None
        if reader is None:
            raise QueryError(f"unknown command {word.text!r} at position {word.start}")
        return reader()

    def _stats(self) -> Stats:
        self._aggregating = True
        items = self._list(self._named)
        self._aggregating = False
        by = self._list(self._named) if self._word("by") else ()
        for item in items:
            if not has_aggregate(item.value):
                raise QueryError(f"stats needs an aggregate function in {item.name!r}")
        return Stats(items, by)

    def _order(self) -> Sort:
        if not self._word("by"):
            raise self._unexpected()
        return Sort(self._list(self._sort_key))

    def _sort_key(self) -> tuple[Expression, bool]:
        value = self._expression()
        if self._word("desc"):
            return value, True
        self._word("asc")
        return value, False

    def _limit(self) -> Limit:
        token = self._next("a number")
        if token.kind != "number" or not token.text.isdecimal() or not 0 < int(token.text) <= LIMIT_MAX:
            raise QueryError(f"limit takes a whole number from 1 to {LIMIT_MAX}, not {token.text!r}")
        return Limit(int(token.text))

    def _parse(self) -> Parse:
        source: Expression = Field("@message")
        token = self._next("a field or pattern")
        if token.kind in ("name", "field"):
            source = Field(token.text)
            token = self._next("a pattern")
        if token.kind == "regex":
            pattern = compile_regex(token.text)
            if not pattern.groupindex:
                raise QueryError("the regular expression of parse needs a named group")
            return Parse(source, pattern, tuple((name, name) for name in pattern.groupindex))
        if token.kind != "string" or not self._word("as"):
            raise self._unexpected()
        names = self._list(self._field_name)
        pieces = token.text.split("*")
        if len(pieces) - 1 != len(names):
            raise QueryError("parse needs as many names as its pattern has stars")
        groups = [
            f"(?P<g{number}>.*{'' if number == len(names) - 1 and not pieces[-1] else '?'})" for number in range(len(names))
        ]
        text = "".join(re.escape(piece) + group for piece, group in zip(pieces, [*groups, ""], strict=True))
        return Parse(source, re.compile(text, re.DOTALL), tuple((f"g{number}", name) for number, name in enumerate(names)))

    def _named(self) -> Named:
        start = self._position
        value = self._expression()
        if self._word("as"):
            return Named(self._field_name(), value)
        if isinstance(value, Field):
            return Named(value.name, value)
        first, last = self._tokens[start], self._tokens[self._position - 1]
        return Named(self._text[first.start : last.end], value)

    def _field_name(self) -> str:
        token = self._next("a field name")
        if token.kind not in ("name", "field"):
            raise self._unexpected(-1)
        return token.text

    # -- expressions --------------------------------------------------------------------------------------------------

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise QueryError("the expression is too deep")
        value = self._and()
        while self._word("or") or self._op("||"):
            value = Call("or", (value, self._and()))
        self._depth -= 1
        return value

    def _and(self) -> Expression:
        value = self._not()
        while self._word("and") or self._op("&&"):
            value = Call("and", (value, self._not()))
        return value

    def _not(self) -> Expression:
        negations = 0
        while self._word("not"):
            negations += 1
        value = self._comparison()
        return Call("not", (value,)) if negations % 2 else value

    def _comparison(self) -> Expression:
        left = self._sum()
        negated = self._word("not")
        if self._word("like") or (not negated and self._op("=~")):
            found: Expression = Match(left, self._needle())
        elif self._word("in"):
            found = Call("in", (left, *self._in_list()))
        elif negated:
            raise self._unexpected()
        else:
            operator = self._op(*_COMPARISONS)
            if operator is None:
                return left
            return Call("=" if operator == "==" else operator, (left, self._sum()))
        return Call("not", (found,)) if negated else found

    def _needle(self) -> Expression | re.Pattern[str]:
        token = self._peek()
        if token is not None and token.kind == "regex":
            self._position += 1
            return compile_regex(token.text)
        return self._sum()

    def _in_list(self) -> tuple[Expression, ...]:
        if not self._op("["):
            raise self._unexpected()
        items = self._list(self._expression)
        if not self._op("]"):
            raise self._unexpected()
        return items

    def _sum(self) -> Expression:
        value = self._product()
        while (operator := self._op("+", "-")) is not None:
            value = Call(operator, (value, self._product()))
        return value

    def _product(self) -> Expression:
        value = self._power()
        while (operator := self._op("*", "/", "%")) is not None:
            value = Call(operator, (value, self._power()))
        return value

    def _power(self) -> Expression:
        value = self._value()
        return Call("^", (value, self._value())) if self._op("^") else value

    def _value(self) -> Expression:
        negative = False
        while self._op("-"):
            negative = not negative
        token = self._next("a value")
        if token.kind == "op" and token.text == "(":
            value = self._expression()
            if not self._op(")"):
                raise self._unexpected()
        elif token.kind == "number":
            value = Literal(int(token.text) if token.text.isdecimal() else float(token.text))
        elif token.kind == "duration":
            value = Literal(_milliseconds(token.text))
        elif token.kind == "string":
            value = Literal(token.text)
        elif token.kind == "field":
            value = Field(token.text)
        elif token.kind == "name" and token.text.lower() not in _RESERVED:
            value = self._name(token)
        else:
            raise self._unexpected(-1)
        return Call("negative", (value,)) if negative else value

    def _name(self, token: Token) -> Expression:
        if not self._op("("):
            constants = {"true": True, "false": False, "null": None}
            word = token.text.lower()
            return Literal(constants[word]) if word in constants else Field(token.text)
        name = token.text.lower()
        if name in AGGREGATES:
            return self._aggregate(name)
        if name not in SCALARS:
            raise QueryError(f"unknown function {token.text!r} at position {token.start}")
        return Call(name, self._arguments(name, SCALARS[name].arity))

    def _aggregate(self, name: str) -> Expression:
        if not self._aggregating:
            raise QueryError(f"{name} is only possible in stats")
        self._aggregating = False  # an aggregate of an aggregate has no meaning
        star = self._op("*") is not None
        arguments = self._arguments(name, (0, 0) if star else AGGREGATES[name].arity)
        if star and name != "count":
            raise QueryError(f"{name} needs a field")
        self._aggregating = True
        return Call(name, arguments)

    def _arguments(self, name: str, arity: Arity) -> tuple[Expression, ...]:
        arguments: tuple[Expression, ...] = ()
        if not self._op(")"):
            arguments = self._list(self._expression)
            if not self._op(")"):
                raise self._unexpected()
        least, most = arity
        if not least <= len(arguments) <= most:
            raise QueryError(f"{name} does not take {len(arguments)} arguments")
        return arguments

    # -- tokens -------------------------------------------------------------------------------------------------------

    def _list(self, item: Callable[[], T]) -> tuple[T, ...]:
        items = [item()]
        while self._op(","):
            items.append(item())
        return tuple(items)

    def _peek(self) -> Token | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _next(self, what: str) -> Token:
        token = self._peek()
        if token is None:
            raise QueryError(f"the query ends where {what} is expected")
        self._position += 1
        return token

    def _op(self, *signs: str) -> str | None:
        token = self._peek()
        if token is None or token.kind != "op" or token.text not in signs:
            return None
        self._position += 1
        return token.text

    def _word(self, word: str) -> bool:
        token = self._peek()
        found = token is not None and token.is_word(word)
        self._position += int(found)
        return found

    def _unexpected(self, offset: int = 0) -> QueryError:
        position = self._position + offset
        if position >= len(self._tokens):
            return QueryError("the query ends too early")
        token = self._tokens[position]
        return QueryError(f"unexpected {token.text!r} at position {token.start}")


def has_aggregate(value: Expression) -> bool:
    """Whether an aggregate function is called somewhere in it."""
    if isinstance(value, Match):
        parts = (value.value,) if isinstance(value.needle, re.Pattern) else (value.value, value.needle)
        return any(map(has_aggregate, parts))
    return isinstance(value, Call) and (value.name in AGGREGATES or any(map(has_aggregate, value.arguments)))


def compile_regex(text: str) -> re.Pattern[str]:
    """A regular expression as Java writes it: named groups are `(?<name>...)`."""
    try:
        return re.compile(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", text))
    except (re.error, OverflowError, RecursionError) as error:
        raise QueryError(f"the regular expression /{text}/ is malformed: {error}") from None


def _milliseconds(text: str) -> int:
    units = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
    unit = "ms" if text.endswith("ms") else text[-1]
    return int(text.removesuffix(unit)) * units[unit]
