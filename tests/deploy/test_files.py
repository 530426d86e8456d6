"""What deploys engram: linted, and held against the command line and the package that it names."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from typer.main import get_command

from engram.cli.app import app
from engram.config import VARIABLES
from engram.serve.app import PREFIX
from engram.serve.edge import OPEN
from engram.serve.server import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = [path for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) if path.stem != "kustomization"]
FOREIGN = {"OPENBLAS_NUM_THREADS", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "ENGRAM_NAME"}


def wrong(*command: str | Path) -> str:
    """What a linter, or another program, says is wrong."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return f"{done.returncode}: {done.stdout}{done.stderr}" if done.returncode else ""


def manifests() -> list[dict[str, Any]]:
    """Every object of the Kubernetes example."""
    return [item for path in MANIFESTS for item in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def pods() -> list[dict[str, Any]]:
    """The pods that the Kubernetes example makes."""
    return [item["spec"]["template"]["spec"] for item in manifests() if item["kind"] in ("Deployment", "Job")]


def ours() -> Iterator[dict[str, Any]]:
    """The containers with engram's image."""
    for pod in pods():
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            if container["image"] == "engram":
                yield container


def calls() -> Iterator[tuple[str, list[str]]]:
    """Every call of engram in the files, with where it stands."""
    [default] = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    yield "Dockerfile", yaml.safe_load(default)
    for name, service in COMPOSE["services"].items():
        if service["image"] == "engram":
            yield f"compose: {name}", service["command"]
    for container in ours():
        yield f"kubernetes: {container['name']}", container["args"]
    for unit in UNITS:
        [line] = re.findall(r"^ExecStart=/opt/engram/bin/engram (.*)$", unit.read_text(), re.MULTILINE)
        yield unit.name, shlex.split(line)


def test_the_dockerfile_is_linted() -> None:
    assert not wrong(BIN / "hadolint", DEPLOY / "Dockerfile")


def test_the_compose_file_fits_its_schema() -> None:
    assert not wrong(
        BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose/compose.yaml"
    )


def test_the_kubernetes_example_fits_its_schemas() -> None:
    assert not wrong(BIN / "kubernetes-validate", "--strict", *MANIFESTS)


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.name)
def test_scripts_can_be_read_and_run(path: Path) -> None:
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()
    assert not wrong("bash", "-n", path)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_units_are_sound_and_closed(tmp_path: Path) -> None:
    copies = [tmp_path / unit.name for unit in UNITS]
    for unit, copy in zip(UNITS, copies, strict=True):
        copy.write_text(unit.read_text().replace("/opt/engram/bin/engram", str(BIN / "engram")))
    assert not wrong("systemd-analyze", "verify", *copies)
    for copy in copies:  # in tenths; a unit without any protection has 96
        assert not wrong("systemd-analyze", "security", "--offline=true", "--threshold=15", copy)


@pytest.mark.parametrize(
    ("place", "arguments"), list(calls()), ids=lambda value: value if type(value) is str else ""
)
def test_commands_and_options_are_those_of_the_command_line(place: str, arguments: list[str]) -> None:
    assert all(isinstance(item, str) for item in arguments), f"{place}: quote {arguments}"
    group = cast("Any", get_command(app))
    command = group.commands[arguments[0]]
    with command.make_context(arguments[0], arguments[1:]) as context:
        assert context.args == []


def test_environment_names_are_read() -> None:
    text = "\n".join(
        path.read_text() for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".lock"
    )
    assert set(re.findall(r"\bENGRAM_[A-Z_]+\b", text)) <= {*VARIABLES, *FOREIGN}
    for container in ours():
        assert {item["name"] for item in container["env"]} <= set(VARIABLES)


def test_ports_and_paths_are_those_of_the_service() -> None:
    port = str(Settings().port)
    assert re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE) == [port]
    assert set(re.findall(r"127\.0\.0\.1:(\d+)(/\w+)", DOCKERFILE)) == {(port, "/health")}
    assert COMPOSE["services"]["serve"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"serve:{port} " in (DEPLOY / "proxy" / "Caddyfile").read_text()
    assert f"127.0.0.1:{port};" in (DEPLOY / "proxy" / "nginx.conf").read_text()
    assert PREFIX in (DEPLOY / "proxy" / "Caddyfile").read_text()
    [serve] = [item for item in ours() if item["name"] == "serve"]
    ports = {item["name"]: item["containerPort"] for item in serve["ports"]}
    assert str(ports["http"]) == port
    assert f"--metrics=0.0.0.0:{ports['metrics']}" in serve["args"]
    for probe, path in (("startup", "/ready"), ("readiness", "/ready"), ("liveness", "/health")):
        assert serve[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "http"}
        assert path in OPEN


def test_what_runs_may_do_nothing_but_its_work() -> None:
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    for name, service in COMPOSE["services"].items():
        if name != "db":  # whose image begins as root and gives that up
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]) == {"requests", "limits"}


def test_requests_under_way_have_the_time_to_end() -> None:
    patience = Settings().patience
    assert int(COMPOSE["services"]["serve"]["stop_grace_period"][:-1]) > patience
    [serve] = [pod for pod in pods() if pod["containers"][0]["name"] == "serve"]
    assert serve["terminationGracePeriodSeconds"] > patience + 5
    assert f"TimeoutStopSec={patience + 10}" in (DEPLOY / "systemd" / "engram.service").read_text()


def test_selectors_find_their_pods_and_secrets_their_files() -> None:
    found = manifests()
    labels = [
        item["spec"]["template"]["metadata"]["labels"]
        for item in found
        if item["kind"] in ("Deployment", "Job")
    ]
    for item in found:
        spec = item.get("spec", {})
        selector = spec.get("selector") if item["kind"] == "Service" else None
        selector = selector or spec.get("selector", {}).get("matchLabels") or {}
        selector = selector or spec.get("podSelector", {}).get("matchLabels") or {}
        assert any(selector.items() <= label.items() for label in labels), item["metadata"]["name"]
    held = next(item for item in found if item["kind"] == "Secret")["stringData"]
    for pod in pods():
        [secret] = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
        files = {item["path"] for item in secret["items"]}
        assert files <= held.keys()
        text = str(pod["containers"]) + str(pod.get("initContainers"))
        assert set(re.findall(r"/run/secrets/engram/(\w+)", text)) == files
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert {*listed, "secret.example.yaml"} == {path.name for path in MANIFESTS}


def test_secrets_of_the_compose_file_are_made_by_its_script(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there")
    script = tmp_path / "secrets.sh"
    shutil.copy(DEPLOY / "compose" / "secrets.sh", script)
    assert not wrong("bash", script)
    before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert not wrong("bash", script)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before
    assert {f"secrets/{name}" for name in before} == {
        secret["file"] for secret in COMPOSE["secrets"].values()
    }
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert before["app_password"].strip() in before["app_url"]
    assert "@db/engram" in before["app_url"]
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys()


def test_the_image_is_built_from_what_the_build_has() -> None:
    """What is copied is let through; what is installed is locked with hashes, as the other locks have it."""
    let = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (ROOT / source).exists()
        assert any(Path(source).match(pattern) for pattern in let), f"{source} is not let through"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {project["project"]["readme"], *project["project"]["license-files"]} <= {
        "README.md", "LICENSE", "src/engram/models/data/NOTICE"
    }  # fmt: skip
    [needs] = project["build-system"]["requires"]
    makefile = (ROOT / "Makefile").read_text()
    assert f"echo '{needs}'" in makefile
    extras = re.findall(r"^IMAGE = (.*)$", makefile, re.MULTILINE)[0].split()
    named = [item for extra in extras for item in project["project"]["optional-dependencies"][extra]]
    locked = versions(DEPLOY / "requirements.lock")
    for requirement in [*named, *project["project"]["dependencies"]]:
        name = re.split(r"[<>=\[]", requirement)[0].strip().lower().replace("_", "-")
        assert name in locked, f"{name} is not in deploy/requirements.lock: make lock"
    others = versions(ROOT / "requirements-dev.lock")
    assert {name: others.get(name, version) for name, version in locked.items()} == locked


def versions(path: Path) -> dict[str, str]:
    """The versions of a lock file, all with hashes."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(
        r"^([a-z0-9-]+)(?:\[.*\])?==(\S+).*((?:\n +--hash=sha256:\S+.*)*)", text, re.MULTILINE
    )
    assert all(hashes for _, _, hashes in blocks)
    return {name: version for name, version, _ in blocks}
