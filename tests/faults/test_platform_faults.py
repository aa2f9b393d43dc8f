"""Faults of a whole platform, a real `tenantry up`: killed, out of descriptors, out of disk."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from scripts.running import Platform
from tests.faults.leaks import cgroups
from tests.support.aws import ROLE, Aws, eventually, zip_of
from tests.support.processes import descendants

from tenantry.linux import owner

pytestmark = [pytest.mark.isolation, pytest.mark.slow]

FULL = {
    (500, "ServiceException"),
    (500, "InternalError"),
    (500, "InternalFailure"),
    (500, "ServiceFailure"),
    (400, "CodeStorageExceededException"),
}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)
SOURCE = "def handler(event, context): return context.tenant_id"


def deploy(aws: Aws, name: str = "f", **changes: object) -> None:
    """An isolated function, active, and its role."""
    client = aws.client("lambda")
    aws.client("iam").create_role(RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument=TRUST)
    client.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": zip_of({"app.py": SOURCE})},
        TenancyConfig={"TenantIsolationMode": "PER_TENANT"},
        **changes,
    )
    eventually(lambda: client.get_function(FunctionName=name)["Configuration"]["State"], lambda state: state == "Active")


def invoke(aws: Aws, tenant: str, name: str = "f") -> object:
    """What the function answers."""
    answer = aws.client("lambda").invoke(FunctionName=name, TenantId=tenant)
    return json.loads(answer["Payload"].read())


def marks() -> set[str]:
    """Names of the groups and folders that carry the mark of any platform."""
    folders = {path.name for path in Path(tempfile.gettempdir()).glob(f"{owner.PREFIX}*")}
    return {Path(path).name for path in cgroups(owner.PREFIX)} | folders


@pytest.mark.parametrize("level", ["namespace", "process"])
def test_killed_platform_leaves_only_what_the_next_start_removes(tmp_path, level):
    mounts = Path("/proc/self/mountinfo").read_text()
    with Platform(tmp_path, "--level", level) as running:
        aws = Aws(running.environment)
        deploy(aws)
        assert [invoke(aws, tenant) for tenant in ("Blue", "Green")] == ["Blue", "Green"]
        pid, inside = running.pid, descendants(running.pid)
        mine = [name for name in marks() if f"-{pid}-" in name]
        assert inside
        running.kill()
        eventually(lambda: [one for one in inside if alive(one)], lambda left: not left, what="the end of its processes")
        running.start()
        assert [name for name in mine if name in marks()] == []
        assert invoke(Aws(running.environment), "Blue") == "Blue"
        aws.close()
        pid = running.pid
    assert [name for name in marks() if f"-{pid}-" in name] == []
    assert Path("/proc/self/mountinfo").read_text() == mounts


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_platform_at_its_descriptor_limit_refuses_new_tenants_serves_the_old_and_recovers(tmp_path):
    with Platform(tmp_path, "--level", "namespace") as running:
        aws = Aws(running.environment)
        deploy(aws)
        assert invoke(aws, "first") == "first"
        before = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
        used = len(list(Path(f"/proc/{running.pid}/fd").iterdir()))
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (used + 30, before[1]))
        refused = []
        for number in range(12):
            try:
                invoke(aws, f"t{number}")
            except ClientError as error:
                refused.append(error.response["Error"])
        assert refused
        assert {error["Code"] for error in refused} == {"ServiceException"}
        assert all("file descriptors" in error["Message"] for error in refused)
        assert [invoke(aws, "first") for _ in range(5)] == ["first"] * 5
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, before)
        assert invoke(aws, "after") == "after"
        aws.close()


# -- disk full: in a mount namespace of its own, with a small disk under the data folder


def in_small_disk(test: Callable[[Path], None]) -> None:
    """Run a function of this module in a process that sees a small disk; its output is the failure's text."""
    module = f"import sys; sys.path[:] = {sys.path!r}; from tests.faults import test_platform_faults as t"
    code = f"{module}; from pathlib import Path; t.{test.__name__}(Path(sys.argv[1]))"
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        mount = f'mount -t tmpfs -o size=24m,mode=0755 none "{folder}" && exec "$0" -c "$1" "{folder}"'
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", mount, sys.executable, code],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]


@pytest.mark.root
def test_full_disk_is_answered_in_awss_shape_and_nothing_half_written_stays():
    if os.geteuid() != 0:
        pytest.skip("needs root: a mount of its own")
    in_small_disk(full_disk)


def full_disk(folder: Path) -> None:
    """In the small disk: fill it, write, free it, write again."""
    with Platform(folder, "--level", "namespace") as running:
        aws = Aws(running.environment)
        deploy(aws)
        assert invoke(aws, "Blue") == "Blue"
        filler = folder / "filler"
        fill(filler)
        refused = [attempt(call) for call in writes(aws)]
        assert all(refused), refused
        assert {(status, code) for status, code in refused} <= FULL, refused
        assert invoke(aws, "Blue") == "Blue"  # what runs goes on running
        assert aws.client("s3").list_buckets()["Buckets"] == []
        assert [function["FunctionName"] for function in aws.client("lambda").list_functions()["Functions"]] == ["f"]
        filler.unlink()
        time.sleep(0.2)
        for call in writes(aws):
            assert attempt(call) is None
        eventually(
            lambda: aws.client("lambda").get_function(FunctionName="g")["Configuration"]["State"],
            lambda state: state == "Active",
        )
        assert invoke(aws, "Green", "g") == "Green"
        aws.close()
        running.kill()
        running.start()  # what was acknowledged is there
        again = Aws(running.environment)
        names = sorted(function["FunctionName"] for function in again.client("lambda").list_functions()["Functions"])
        assert names == ["f", "g"]
        assert invoke(again, "Green", "g") == "Green"
        again.close()


def writes(aws: Aws) -> list[Callable[[], object]]:
    """One write of each service that keeps something."""
    package = zip_of({"app.py": SOURCE, "data": os.urandom(300_000)})
    function = {
        "FunctionName": "g",
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "app.handler",
        "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"},
    }
    return [
        lambda: aws.client("s3").create_bucket(Bucket="bucket"),
        lambda: aws.client("lambda").create_function(Code={"ZipFile": package}, **function),
        lambda: aws.client("iam").create_role(RoleName="role", AssumeRolePolicyDocument=TRUST),
        lambda: aws.client("apigateway").create_rest_api(name="api"),
        lambda: aws.client("logs").create_log_group(logGroupName="/group"),
    ]


def attempt(call: Callable[[], object]) -> tuple[int, str] | None:
    """How a call was refused: (HTTP status, error code)."""
    try:
        call()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    return None


def fill(path: Path) -> None:
    """Take every byte that is left."""
    for size in (1 << 20, 4096, 1):
        with path.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
