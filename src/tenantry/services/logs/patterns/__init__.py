"""Filter patterns (aws-behaviour 6.3): a text becomes a predicate on messages.

    compile_pattern('{ $.level = "ERROR" }')(message) -> bool

Which of the three languages a pattern is in shows in its first character: `{` selectors of JSON (json_selectors.py), `[` fields
between spaces (fields.py), anything else terms (terms.py). They share values and wildcards (values.py) and regular expressions
(regex.py). No pattern makes matching slower than linear in the message, up to a factor that the pattern's length bounds.
"""

from __future__ import annotations

from tenantry.services.logs.patterns.fields import compile_fields
from tenantry.services.logs.patterns.json_selectors import compile_json
from tenantry.services.logs.patterns.terms import compile_terms
from tenantry.services.logs.patterns.values import PATTERN_LENGTH_MAX, PatternError, Predicate

__all__ = ["PatternError", "compile_pattern"]


def compile_pattern(text: str) -> Predicate:
    """The predicate of a filter pattern. PatternError when it is not one."""
    if len(text) > PATTERN_LENGTH_MAX:
        raise PatternError("a pattern has at most 1,024 characters")
    stripped = text.strip()
    if stripped.startswith("{"):
        return compile_json(stripped)
    if stripped.startswith("["):
        return compile_fields(stripped)
    return compile_terms(stripped)
