"""What a service tells of itself: spans, metrics and lines of the log, and no word of any memory in them."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client.parser import text_string_to_metric_families

from engine.watched import Spans, facts, trace_ids
from engram import Memory
from engram.engine.worker import Worker
from engram.kernel.clock import utc_now
from engram.kernel.errors import ConfigError, ModelUnavailable
from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, PutJob
from engram.kernel.scope import Scope
from engram.observe.exposition import Sample, read_metrics
from engram.observe.logs import JsonLines
from engram.observe.port import address
from engram.observe.traces import asked_for, traced
from engram.testing.doubles import ScriptedModel
from serve.service import ENGRAM, PATIENCE, House, house, problem, process

CANARY = "zanzibar"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Lines(logging.Handler):
    """A log that is kept, as lines of JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def log() -> Iterator[Lines]:
    """The log of the service while a test runs."""
    handler, logger = Lines(), logging.getLogger("engram")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture
def spans(served: House) -> Spans:
    made = Spans()
    served.service.core.watch.provider = made.provider
    return made


def metrics(served: House, as_: str = "all") -> Sample:
    """The metrics, as Prometheus's own parser reads them."""
    response = served.call("GET", "/metrics", as_=as_)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    values = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    ours = read_metrics(response.text.splitlines())
    assert all(ours.total(name, **dict(labels)) is not None for name, labels in values)
    return Sample(values)


def remember(served: House) -> str:
    """Say, find, list and erase something; the id of what was said."""
    said = {"messages": f"The code is {CANARY}.", "user_id": f"user-{CANARY}", "metadata": {"k": CANARY}}
    id: str = served.told("POST", "memories", json=said)["items"][0]["id"]
    served.told("POST", "search", json={"query": f"code {CANARY}", "user_id": f"user-{CANARY}"})
    served.told("GET", f"memories/{id}", params={"user_id": f"user-{CANARY}"})
    served.told("GET", "memories", params={"user_id": f"user-{CANARY}"})
    return id


def test_a_request_is_a_span_of_the_caller_s_trace(served: House, spans: Spans) -> None:
    served.told("POST", "search", json={"query": "x", "user_id": "ana"}, headers={"traceparent": CALLER})
    request, search = spans.one("POST /engram/v1/search"), spans.one("engram search")
    assert spans.path(search) == ["POST /engram/v1/search", "engram search"]
    assert (request.kind, request.parent and request.parent.span_id) == (SpanKind.SERVER, 0xB7AD6B7169203331)
    assert trace_ids(spans.all) == {0x0AF7651916CD43DD8448EB211C80319C}
    assert (
        facts(request).items()
        >= {
            "http.request.method": "POST",
            "http.route": "/engram/v1/search",
            "http.response.status_code": 200,
        }.items()
    )
    spans.clear()
    served.call("GET", "/engram/v1/nothing", headers={"traceparent": "forged"})
    (lost,) = spans.all
    assert (lost.name, lost.parent) == ("GET", None)
    assert "http.route" not in facts(lost)


def test_a_request_that_fails_inside_is_marked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_request: object) -> str:
        raise ModelUnavailable(f"no answer about {CANARY}")

    spans = Spans()
    with house(tmp_path, model=ScriptedModel(broken)) as served:
        served.service.core.watch.provider = spans.provider
        served.told("POST", "memories", json={"messages": f"the {CANARY} is blue", "user_id": "ana"})
        asked = {"question": f"is the {CANARY} blue?", "user_id": "ana"}
        assert served.call("POST", "ask", json=asked).status_code == 503
        seen = metrics(served)
    request = spans.one("POST /engram/v1/ask")
    assert (request.status.status_code, facts(request)["error.type"]) == (StatusCode.ERROR, "503")
    assert facts(spans.one("engram ask"))["error.type"] == "ModelUnavailable"
    assert seen.total("engram_model_calls_total", outcome="ModelUnavailable") == 1
    assert seen.total("engram_calls_total", call="ask", outcome="ModelUnavailable") == 1
    assert CANARY not in spans.said() + caplog.text


def test_metrics_count_requests_calls_effects_and_records(served: House) -> None:
    remember(served)
    served.call("GET", "memories", as_=None)
    served.call("GET", f"/nothing/{CANARY}")
    served.call("BREW", "/metrics")
    served.call("GET", "/mcp")
    seen = metrics(served)
    route = "/engram/v1/memories"
    assert seen.total("engram_http_requests_total", route=route, method="POST", status="200") == 1
    assert seen.total("engram_http_requests_total", route=f"{route}/{{id}}", status="200") == 1
    assert seen.total("engram_http_requests_total", route="-", status="404") == 1
    assert seen.total("engram_http_requests_total", route="/mcp") == 1
    assert seen.total("engram_http_requests_total", method="_OTHER") == 1
    assert seen.total("engram_http_refusals_total", status="401") == 1
    assert seen.total("engram_http_requests_in_progress") == 1
    assert seen.total("engram_http_request_seconds_count", route="/engram/v1/search") == 1
    assert seen.total("engram_calls_total", call="search", outcome="ok", policy="fusion") == 1
    assert seen.total("engram_call_seconds_count", call="add") == 1
    assert seen.total("engram_effects_total", effect="Score") == 1
    assert seen.total("engram_records_written_total", kind="episode") == 1
    assert seen.total("engram_records") == 1
    assert seen.label("engram_build_info", "store") == "ram"
    assert (seen.total("process_resident_memory_bytes") or 0) > 1 << 20


def test_metrics_tell_of_owed_work_and_models(tmp_path: Path) -> None:
    model = ScriptedModel(lambda request: '{"facts": []}', name="openai:m@http://keys.example")
    with house(tmp_path, policy="mem0", model=model) as served:
        body = {"messages": "Tea is at five.", "user_id": "ana", "wait": False}
        served.told("POST", "memories", json=body)
        owed = metrics(served)
        (done,) = Worker(served.service.core).work(once=True)
        assert getattr(done, "status", "") == "done"
        served.service.traffic.meters._standing._until = 0.0  # type: ignore[union-attr]
        seen = metrics(served)
    assert owed.total("engram_jobs", status="pending") == 1
    assert owed.total("engram_oldest_job_age_seconds", status="pending") is not None
    assert seen.total("engram_jobs", status="pending") == 0
    assert seen.total("engram_jobs_run_total", kind="write", status="done") == 1
    calls = seen.total("engram_model_calls_total", model="openai:m", outcome="ok")
    assert calls is not None
    assert calls >= 1
    assert seen.total("engram_store_model_calls_total") == calls
    assert (seen.total("engram_model_tokens_total", direction="in") or 0) > 0


def test_metrics_are_for_keys_of_everything(served: House) -> None:
    served.key("prometheus", "metrics", "*")
    served.key("acme", "admin", "acme")
    served.key("team", "read", "*", "team-*")
    metrics(served, "prometheus")
    for name in ("acme", "team"):
        assert problem(served.call("GET", "/metrics", as_=name)) == (403, "forbidden")
    assert problem(served.call("GET", "/metrics", as_=None)) == (401, "unauthorized")
    for path in ("memories?user_id=ana", "stats", "keys", "audit", "jobs", "scopes", "export", "memories/x"):
        assert problem(served.call("GET", path, as_="prometheus"))[0] in (403, 404)
    for body in ({"tenant": "acme"}, {"tenant": "*", "users": "ana"}):
        response = served.call("POST", "keys", json={"name": "k", "rights": "metrics", **body})
        assert problem(response)[0] == 422


def test_labels_do_not_grow_with_what_callers_send(served: House) -> None:
    remember(served)
    before = served.call("GET", "/metrics").text.count("\n")
    for number in range(20):
        served.call("GET", f"memories/{number}", params={"user_id": f"u{number}"})
        served.call(f"M{number}", f"/engram/v1/{number}")
        served.call("POST", "search", json={"query": f"q{number}", "user_id": f"u{number}"})
    assert served.call("GET", "/metrics").text.count("\n") < before + 60


def test_no_text_no_id_and_no_key_leaves_by_spans_metrics_or_log(
    served: House, spans: Spans, log: Lines
) -> None:
    served.key("reader", "read", f"tenant-{CANARY}")
    id = remember(served)
    served.call("POST", "search", as_="reader", json={"query": CANARY, "user_id": "x", "tenant": "other"})
    served.call("GET", f"/v1/memories/{id}/", headers={"X-Whatever": CANARY})
    told = served.call("GET", "/metrics").text
    said = spans.said() + told + "\n".join(log.lines)
    assert CANARY not in said
    assert id not in said
    for token in served.tokens.values():
        assert token.split("_", 2)[2] not in said
    assert [span for span in spans.all if span.name == "engram add"]


def test_the_log_is_an_object_a_line(served: House, spans: Spans, log: Lines) -> None:
    response = served.call("POST", "search", json={"query": CANARY, "user_id": "ana"})
    line = json.loads(log.lines[-1])
    key = served.tokens["all"].split("_")[1]
    assert {name: line[name] for name in ("level", "logger", "key", "method", "route", "status")} == {
        "level": "info", "logger": "engram.serve", "key": key, "method": "POST",
        "route": "/engram/v1/search", "status": 200,
    }  # fmt: skip
    assert line["request"] == response.headers["x-request-id"]
    request = spans.one("POST /engram/v1/search")
    assert request.context is not None
    assert line["trace_id"] == f"{request.context.trace_id:032x}"
    assert line["ms"] >= 0
    assert line["time"].endswith("+00:00")


def test_an_exception_in_the_log_is_told_by_its_class() -> None:
    handler = Lines()
    logger = logging.Logger("engram.test")  # noqa: LOG001 - one of its own
    logger.addHandler(handler)
    try:
        raise ValueError(CANARY)
    except ValueError:
        logger.exception("it %s", "broke", extra={"engram": {"job": "j1"}})
    line = json.loads(handler.lines[0])
    assert (line["message"], line["error"], line["job"], line["level"]) == (
        "it broke",
        "ValueError",
        "j1",
        "error",
    )
    assert CANARY not in handler.lines[0]


def test_a_service_tells_what_it_is_asked_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    options = ("--metrics", "0", "--log", "--log-format", "json", "--traces")
    with process(f"sqlite:///{tmp_path}/memory.db", *options) as running:
        with running.client() as client:
            asked = {"query": CANARY, "user_id": "ana"}
            client.post("/engram/v1/search", json=asked, headers={"traceparent": CALLER}).raise_for_status()
        where = str(running.told["metrics"])
        told = httpx.get(where, timeout=PATIENCE, trust_env=False).text
        assert running.stop() == 0
    assert where.startswith("http://127.0.0.1:")
    assert read_metrics(told.splitlines()).total("engram_calls_total", call="search") == 1
    lines = [json.loads(line) for line in running.said]
    logged = next(line for line in lines if line.get("route") == "/engram/v1/search")
    ended = {line["name"]: line for line in lines if "context" in line}
    assert logged["trace_id"] == CALLER.split("-")[1]
    assert ended["engram search"]["context"]["trace_id"] == f"0x{logged['trace_id']}"
    assert ended["engram search"]["resource"]["attributes"]["service.name"] == "engram-serve"
    assert {"POST /engram/v1/search", "Score"} <= ended.keys()
    assert CANARY not in "".join(running.said)


def test_a_worker_tells_of_its_jobs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    with Memory(url) as memory:
        id = memory.add(f"a {CANARY}", user_id="ana").ids[0]
        job = Job("", "embed", Scope(user_id="ana"), utc_now(), records=(id,))
        (owed,) = memory._bound.core.store.commit(Batch((PutJob(job),))).jobs
    command = [ENGRAM, "--url", url, "worker", "--once", "--log", "--log-format", "json", "--metrics", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    metrics, line = done.stderr.splitlines()
    assert metrics.startswith("engram: metrics: http://127.0.0.1:")
    told = json.loads(line)
    assert (told["job"], told["kind"], told["status"], told["logger"]) == (
        owed,
        "embed",
        "done",
        "engram.jobs",
    )
    assert CANARY not in done.stderr


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_the_environment_may_ask_for_traces(environment: dict[str, str], asked: bool) -> None:
    assert asked_for(environment) is asked


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "not one of otlp, console, none"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
    ],
)
def test_an_exporter_that_is_not_there_is_refused(environment: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says), traced(environment, wanted=False, role="serve"):
        pytest.fail("it went on")


@pytest.mark.parametrize(
    ("text", "found"),
    [("9464", ("127.0.0.1", 9464)), ("0.0.0.0:1", ("0.0.0.0", 1)), ("[::1]:9464", ("::1", 9464))],  # noqa: S104
)
def test_where_metrics_are_to_be_read(text: str, found: tuple[str, int]) -> None:
    assert address(text) == found
    for wrong in ("", "x", "70000", "-1", "here:there"):
        with pytest.raises(ConfigError, match="no port"):
            address(wrong)
