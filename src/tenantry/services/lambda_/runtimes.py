"""Runtime identifiers: all that AWS knows, and the few that run here.

AWS's list is that of botocore 1.43's model (aws-behaviour 3.2), newest first within a language.
"""

from __future__ import annotations

from tenantry.services.lambda_ import errors

OFFERED = (
    "python3.15",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python3.9",
)
CURRENT = (
    *("nodejs26.x", "nodejs24.x", "nodejs22.x", "nodejs20.x"),
    *("java25", "java21", "java17.al2023", "java17", "java11.al2023", "java11", "java8.al2023", "java8.al2"),
    *OFFERED,
    *("dotnet10", "dotnet8"),
    *("ruby4.0", "ruby3.4", "ruby3.3", "ruby3.2"),
    *("provided.al2023", "provided.al2"),
)
RETIRED = frozenset(
    (
        *("nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x"),
        *("nodejs16.x", "nodejs18.x", "java8", "python2.7", "python3.6", "python3.7", "python3.8"),
        *("dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "dotnet6"),
        *("go1.x", "ruby2.5", "ruby2.7", "provided"),
    )
)


def check(runtime: str) -> None:
    """Refuse a runtime that AWS does not know, no longer takes, or that tenantry does not run."""
    if runtime in OFFERED:
        return
    if runtime in RETIRED:
        raise errors.RUNTIME_RETIRED(runtime=runtime)
    if runtime in CURRENT or runtime == "custom":
        raise errors.RUNTIME_NOT_OFFERED(runtime=runtime, offered=f"{OFFERED[-1]} to {OFFERED[0]}")
    raise errors.UNKNOWN_RUNTIME(runtime=runtime, runtimes=", ".join(CURRENT))
