"""The documents that are made from the code, and the checks that what the documents say is so.

    scripts/docs.py write     docs/operations.md anew
    scripts/docs.py check     links lead somewhere; docs/operations.md is current; every promise of docs/SPECIFICATION.md names
                              a test or benchmark that exists; docs/configuration.md names every setting

Exit status 1 and one line for each fault otherwise.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import tenantry.services
from tenantry.config import Config

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = ROOT / "docs" / "operations.md"
LINK = re.compile(r"(?<!\\)!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
HELD_BY = re.compile(r"`((?:tests|bench)/[\w/.-]+\.py)(?:::(\w+))?(?:::(\w+))?`")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def documents(root: Path = ROOT) -> list[Path]:
    """Every document of the project, generated ones included."""
    places = ["*.md", "docs/**/*.md", "examples/**/*.md", "bench/**/*.md", "tests/**/*.md"]
    return sorted(path for place in places for path in root.glob(place) if ".aws-sam" not in path.parts)


def operations() -> dict[str, dict[str, str]]:
    """Every implemented AWS operation by service, with its method's first sentence; read from the marks on the methods."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for module in modules(tenantry.services):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            service = getattr(kind, "name", None)
            if kind.__module__ == module.__name__ and isinstance(service, str):
                marked = (member for _, member in inspect.getmembers(kind) if hasattr(member, "__operation__"))
                found[service].update({member.__operation__: sentence(member) for member in marked})
    return {service: names for service, names in sorted(found.items()) if names}


def sentence(documented: object) -> str:
    """The first sentence of a docstring; empty where there is none."""
    text = " ".join((inspect.getdoc(documented) or "").split("\n\n", 1)[0].split())
    return re.split(r"(?<=\.) (?=[A-Z])", text, maxsplit=1)[0]


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """A package's modules, all the way down."""
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        yield importlib.import_module(info.name)


def operations_page() -> str:
    """docs/operations.md as it should be."""
    lines = [
        "# Implemented operations",
        "",
        "<!-- Written by `make docs` from the code; a test fails when it is out of date. -->",
        "",
        "Every operation tenantry answers, by AWS service, with the first words its code says about it. Any other is refused",
        "with HTTP 501 and the error code `NotImplementedException`, and the message names it.",
        "",
    ]
    for service, names in operations().items():
        lines += [
            f"## {service} ({len(names)})",
            "",
            *(f"- **{name}**: {names[name]}".removesuffix(": ") for name in sorted(names)),
            "",
        ]
    return "\n".join(lines)


def link_faults(root: Path = ROOT) -> Iterator[str]:
    """Relative links that lead nowhere: a missing file, or a heading that is not there."""
    for document in documents(root):
        for target in LINK.findall(FENCE.sub("", document.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            place = (document.parent / path).resolve() if path else document
            if not place.exists():
                yield f"{document.relative_to(root)}: {target} leads nowhere"
            elif anchor and place.suffix == ".md" and anchor not in anchors(place):
                yield f"{document.relative_to(root)}: {target} names a heading that is not there"


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as code hosts make them."""
    headings = HEADING.findall(FENCE.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def specification_faults(root: Path = ROOT) -> Iterator[str]:
    """Rows of the specification that name no test, or one that does not exist."""
    for line in (root / "docs" / "SPECIFICATION.md").read_text().splitlines():
        if not line.startswith("|") or line.startswith(("|--", "| promise")):
            continue
        held = HELD_BY.findall(line)
        if not held:
            yield f"docs/SPECIFICATION.md: no test or benchmark holds: {line[:80]}"
        for path, *names in held:
            text = (root / path).read_text() if (root / path).exists() else ""
            missing = [name for name in filter(None, names) if not re.search(rf"\b(?:def|class) {name}\b", text)]
            if not text or missing:
                yield f"docs/SPECIFICATION.md: {'::'.join([path, *filter(None, names)])} does not exist"


def configuration_faults() -> Iterator[str]:
    """Settings that the configuration page does not name."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    for field in fields(Config):
        if f"TENANTRY_{field.name.upper()}`" not in page:
            yield f"docs/configuration.md: TENANTRY_{field.name.upper()} is not described"


def faults() -> Iterable[str]:
    """Everything that is wrong with the documents."""
    yield from link_faults()
    yield from specification_faults()
    yield from configuration_faults()
    if not OPERATIONS.exists() or OPERATIONS.read_text() != operations_page():
        yield "docs/operations.md is out of date: run `make docs`"


def main(arguments: list[str]) -> int:
    """Do what the one argument says."""
    if arguments == ["write"]:
        OPERATIONS.write_text(operations_page())
        return 0
    if arguments == ["check"]:
        found = list(faults())
        sys.stderr.writelines(fault + "\n" for fault in found)
        return 1 if found else 0
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
