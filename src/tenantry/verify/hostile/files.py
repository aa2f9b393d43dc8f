"""Files: writing where nothing is one's own, links that lead out."""

import contextlib
import os

from .tools import attempt, read_text, write_text


def write_files(event, context):
    """Write to places that are not ours."""
    outcomes = {}
    for path in event["paths"]:
        outcomes[path] = attempt(lambda path=path: write_text(path, "owned"))
    return outcomes


def escape_links(event, context):
    """Hard and symbolic links from the temporary folder out into the world."""
    folder = os.environ.get("TMPDIR", "/tmp")
    outcomes = {}
    for target in event["targets"]:
        name = f"{folder}/link-{abs(hash(target))}"

        def symbolic(name=name, target=target):
            os.symlink(target, name)
            return read_text(name)[:200]

        def hard(name=name, target=target):
            os.link(target, name + "-hard")
            return True

        outcomes[target] = {"symbolic": attempt(symbolic), "hard": attempt(hard)}
        for leftover in (name, name + "-hard"):
            with contextlib.suppress(OSError):
                os.unlink(leftover)
    return outcomes
