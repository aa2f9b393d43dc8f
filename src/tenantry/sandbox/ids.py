"""User ids for sandboxes."""

from __future__ import annotations

import os
from pathlib import Path

from tenantry.sandbox.driver import SandboxError


class Ids:
    """The user ids of one zygote and its environments: a private range of the host's, an id for each.

    With root: `start .. start + 65535` of the host, mapped into the zygote's user namespace as 0..65535; 0 is the zygote, each
    environment takes one of the others. Without: the one id of the user who runs the platform, known inside as 1 (the kernel
    lets nobody without a capability hand on an id known as 0).
    """

    SIZE = 65_536

    def __init__(self, rootless: bool, start: int) -> None:
        self.rootless = rootless
        self._start = start
        self._free: list[int] = []
        self._next = 1

    def take(self) -> int:
        """An id (as the zygote sees it) for a new environment."""
        if self.rootless:
            return 1
        if self._free:
            return self._free.pop()
        if self._next >= self.SIZE:
            raise SandboxError("all 65,535 user ids for environments of this function are taken")
        self._next += 1
        return self._next - 1

    def give_back(self, identifier: int) -> None:
        """The id of an environment that is gone."""
        if not self.rootless:
            self._free.append(identifier)

    def map_zygote(self, pid: int) -> None:
        """Write the id maps of the zygote's new user namespace."""
        base = Path(f"/proc/{pid}")
        uids, gids = (f"1 {os.getuid()} 1", f"1 {os.getgid()} 1") if self.rootless else (f"0 {self._start} {self.SIZE}",) * 2
        if self.rootless:
            (base / "setgroups").write_text("deny")
        (base / "uid_map").write_text(uids)
        (base / "gid_map").write_text(gids)
