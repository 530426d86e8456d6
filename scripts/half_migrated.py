"""Old code on newer tables: the acceptance tests of an earlier commit, on stores of every format since.

    python scripts/half_migrated.py COMMIT [PYTEST OPTION …]

Checks COMMIT out beside this tree and puts into it the steps of this tree's migrations, one more each time,
so that the old code's stores are made in the newer format and its statements meet the newer tables. Then it
runs the old commit's own tests of the store, of tenants and of jobs. Prints one JSON object a format; exit
code 1 where a test failed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_SCHEMA = Path("src/engram/stores/postgres/sql/schema")
_TESTS = (
    "tests/stores/test_contract.py::TestPostgres",
    "tests/stores/test_row_security.py",
    "tests/stores/test_postgres.py",
    "tests/stores/test_state_machine.py",
)


def _tests(tree: Path, options: list[str]) -> str:
    """The last line of what the old tests say about the tree as it is now."""
    command = [sys.executable, "-m", "pytest", "-q", "-k", "not sqlite and not Sqlite", *_TESTS, *options]
    env = {**os.environ, "PYTHONPATH": str(tree / "src")}
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    return f"{'failed' if done.returncode else 'passed'}: {lines[-1] if lines else done.stderr[-200:]}"


def main() -> None:
    """Check out, add steps, test."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    commit, options = sys.argv[1], sys.argv[2:]
    new = sorted((_ROOT / _SCHEMA).glob("*.sql"))
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        git = ["git", "-C", str(_ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(tree), commit], check=True)
        try:
            known = len(list((tree / _SCHEMA).glob("*.sql")))
            failed = False
            for number in range(known, len(new) + 1):
                for step in new[known:number]:
                    shutil.copy(step, tree / _SCHEMA)
                says = _tests(tree, options)
                failed |= says.startswith("failed")
                print(json.dumps({"code": known, "tables": number, "tests": says}), flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
