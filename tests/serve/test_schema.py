"""The OpenAPI file: complete, with examples; and requests made from it at random break nothing.

A few seconds here. `make test-schema` goes on for two minutes, with `SCHEMA_SECONDS=1200` for twenty.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from jsonschema_rs import validator_for

from serve.service import PATIENCE, House, Process, process
from serve.test_isolation import OPERATIONS, SCHEMA

SECONDS = float(os.environ.get("SCHEMA_SECONDS", "0"))
EXAMPLES = 1
LAPSE = 25
QUIET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
STREAMS = ("/engram/v1/events/changes", "/engram/v1/events/jobs")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("schema")
    limits = ("--no-audit", "--rate", "1000000")
    with process(f"sqlite:///{folder}/m.db", *limits) as started:
        yield started


@pytest.fixture(scope="module")
def operations() -> dict[str, Any]:
    """What schemathesis makes of the service's own file: an operation for each route, by its label."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schemathesis

        schema = schemathesis.openapi.from_dict(SCHEMA)
        found: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
    return {operation.label: operation for operation in found if operation.path not in STREAMS}


def tried(operation: Any, running: Process, examples: int, number: int) -> None:
    """Requests of an operation, fitting ones and others; each answer is what the file says."""
    from schemathesis import GenerationMode, checks
    from schemathesis.specs.openapi import checks as openapi

    held = (
        checks.not_a_server_error,
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_headers_conformance,
        openapi.response_schema_conformance,
    )

    def once(case: Any) -> None:
        headers = dict(running.headers)
        case.call_and_validate(base_url=running.url, headers=headers, timeout=PATIENCE, checks=held)

    fitting, other = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    wanted = settings(QUIET, max_examples=examples)
    seed(number)(wanted(given(case=fitting)(once)))()
    with suppress(Unsatisfiable):  # a route that takes nothing has no requests that do not fit
        seed(number)(wanted(given(case=other)(once)))()


LABELS = [f"{method} {path}" for method, path in OPERATIONS if path not in STREAMS]


@pytest.mark.parametrize("label", LABELS)
def test_requests_at_random_break_nothing(operations: dict[str, Any], running: Process, label: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tried(operations[label], running, EXAMPLES, 1)
    assert running.child.poll() is None


@pytest.mark.skipif(not SECONDS, reason="make test-schema goes on for longer")
@pytest.mark.timeout(0)
def test_requests_at_random_break_nothing_for_long(operations: dict[str, Any], running: Process) -> None:
    until, number = time.monotonic() + SECONDS, 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while time.monotonic() < until:
            for operation in operations.values():
                tried(operation, running, LAPSE, number)
                if time.monotonic() > until:
                    break
            number += 1
    assert running.child.poll() is None


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_is_told_with_examples(method: str, path: str) -> None:
    operation = SCHEMA["paths"][path][method.lower()]
    assert operation["summary"]
    assert operation["description"]
    assert {"HTTPBearer"} in [set(item) for item in operation["security"]]
    responses = operation["responses"]
    assert {"401", "403", "404", "422", "429", "503"} <= responses.keys()
    assert all(
        "application/problem+json" in responses[status]["content"]
        for status in responses
        if status[0] in "45"
    )
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        schema = SCHEMA["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
        check_examples(schema)


def check_examples(schema: dict[str, Any]) -> None:
    """Its examples are what the schema says."""
    examples = schema["examples"]
    assert examples
    whole = validator_for({**schema, "components": SCHEMA["components"]})
    assert [error.message for example in examples for error in whole.iter_errors(example)] == []


def test_every_answer_has_an_example() -> None:
    shown = {"ProblemOut"}
    for method, path in OPERATIONS:
        for kind, told in SCHEMA["paths"][path][method.lower()]["responses"]["200"]["content"].items():
            if "$ref" in told["schema"]:
                shown.add(told["schema"]["$ref"].rpartition("/")[2])
            elif kind != "application/zip":
                assert told["example"], path
    assert len(shown) > 25
    for name in shown:
        check_examples(SCHEMA["components"]["schemas"][name])


def test_the_sample_of_an_export_can_be_imported(served: House) -> None:
    body = SCHEMA["paths"]["/engram/v1/import"]["post"]["requestBody"]["content"]["application/octet-stream"]
    sample = SCHEMA["paths"]["/engram/v1/export"]["get"]["responses"]["200"]["content"][
        "application/x-ndjson"
    ]["example"]
    assert body["example"] == sample
    served.told("POST", "import", params={"user_id": "ana"}, content=sample.encode())
    given = [json.loads(line) for line in sample.splitlines()]
    again = served.call("GET", "export", params={"user_id": "ana"}).text
    came = [json.loads(line) for line in again.splitlines()]
    assert [line.keys() for line in came] == [line.keys() for line in given]
    assert came[1]["text"] == given[1]["text"]


def test_what_mem0_s_routes_answer_has_the_fields_that_the_file_shows(served: House) -> None:
    """Their shapes leave much open, as mem0's do; so the examples are held to what comes."""

    def check_like(name: str, value: Any) -> Any:
        shape = SCHEMA["components"]["schemas"][name]
        whole = validator_for({**shape, "components": SCHEMA["components"]})
        assert [error.message for error in whole.iter_errors(value)] == []
        assert fields(value) == fields(shape["examples"][0])
        return value

    ana = {"user_id": "ana"}
    added = served.told("POST", "/memories", json={"messages": "I play go.", **ana})
    check_like("AddedOut", added)
    place = f"memories/{added['results'][0]['id']}"
    check_like("SearchedOut", served.told("POST", "/search", json={"query": "go", **ana}))
    check_like("MemoriesOut", served.told("GET", "/memories", params=ana))
    check_like("MemoryPageOut", served.told("POST", "/v3/memories/", json={"filters": ana}))
    check_like("MemoryOut", served.told("GET", f"/{place}"))
    check_like("ChangesOut", served.told("GET", f"/v1/{place}/history/"))
    check_like("UpdatedOut", served.told("PUT", f"/{place}", json={"text": "I play chess."}))
    check_like("EntitiesOut", served.told("GET", "/v1/entities/", params={}))
    check_like("PingOut", served.told("GET", "/v1/ping/"))
    check_like("MessageOut", served.told("DELETE", f"/{place}"))


def fields(value: Any) -> Any:
    """The names in a JSON value, and in what it holds."""
    if isinstance(value, list):
        return [fields(value[0])] if value else []
    return {name: fields(held) for name, held in value.items()} if isinstance(value, dict) else None


def test_what_the_file_says_is_what_comes(served: House) -> None:
    """The answers of a life fit their schemas, field by field."""
    whole = {"components": SCHEMA["components"]}

    def check_fits(name: str, value: Any) -> None:
        validator = validator_for({**SCHEMA["components"]["schemas"][name], **whole})
        assert [error.message for error in validator.iter_errors(value)] == []

    ana = {"user_id": "ana"}
    check_fits("ReceiptOut", served.told("POST", "memories", json={"messages": "The heron.", **ana}))
    check_fits("HitsOut", served.told("POST", "search", json={"query": "heron", **ana}))
    check_fits("ContextOut", served.told("POST", "context", json={"query": "heron", **ana}))
    check_fits("AnswerOut", served.told("POST", "ask", json={"question": "heron?", **ana}))
    check_fits("PageOut", served.told("GET", "memories", params=ana))
    check_fits("StatsOut", served.told("GET", "stats"))
    check_fits("KeysOut", served.told("GET", "keys"))
    check_fits("NewKeyOut", served.told("POST", "keys", json={"name": "x"}))
    triples = [["Ada", "repairs", "pianos"]]
    check_fits("ReceiptOut", served.told("POST", "triples", json={"triples": triples, **ana}))
    graph = served.told("POST", "graph", json=ana)
    assert isinstance(graph["edges"], list)
    check_fits("GraphOut", graph)
