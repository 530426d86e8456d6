"""What requests of engram's own routes hold, each with an example."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "AddBody",
    "AsOfBody",
    "AskBody",
    "CitedBody",
    "ContextBody",
    "EditBody",
    "ForgetBody",
    "GraphBody",
    "KeyBody",
    "ListBody",
    "Moment",
    "PastBody",
    "RotateBody",
    "ScopeBody",
    "SearchBody",
    "TriplesBody",
    "UndoBody",
    "WaitBody",
]

Id = Annotated[str | None, Field(min_length=1, max_length=512)]
Moment = Annotated[
    str | None, Field(max_length=64, description="A time in ISO 8601, taken as UTC without zone.")
]
Metadata = Annotated[dict[str, Any] | None, Field(description="Anything that JSON holds.")]
Filters = Annotated[
    dict[str, Any] | None,
    Field(
        description='Field to value, or to {"gte": value}; `and`, `or`, `not` combine; see docs/design.md.'
    ),
]
Score = Annotated[float, Field(ge=0, le=1)]
Budget = Annotated[
    int | None, Field(ge=1, le=10_000_000, description="Tokens; null: what is usual for the method.")
]
_WHO = {"user_id": "ana"}


def _example(**fields: Any) -> ConfigDict:
    """A model's configuration: unknown fields are refused, and this is what one looks like."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [fields]})


class ScopeBody(BaseModel):
    """Whose memory is meant; the key may fix some of it."""

    model_config = _example(**_WHO)
    tenant: Id = None
    user_id: Id = None
    agent_id: Id = None
    run_id: Id = None

    @property
    def who(self) -> dict[str, str | None]:
        """The scope ids."""
        return {
            "tenant": self.tenant,
            "user_id": self.user_id,
            "agent_id": self.agent_id,
            "run_id": self.run_id,
        }


class AddBody(ScopeBody):
    """Messages to store, and what is told of all of them."""

    model_config = _example(
        messages=[{"role": "user", "content": "I moved to Lisbon in May.", "time": "2024-05-02T10:00:00Z"}],
        **_WHO,
    )
    messages: str | dict[str, Any] | list[Any] = Field(
        description="A text, a message with `role` and `content`, or a list of them."
    )
    metadata: Metadata = None
    kind: str | None = Field(None, max_length=32, description="What they are; default: episode.")
    infer: bool = Field(True, description="Let the memory's policy derive from them.")
    expires: Moment = None
    wait: bool = Field(True, description="Answer when the policy's work is done; else a job does it.")


class TriplesBody(ScopeBody):
    """Triples to store, each as a fact."""

    model_config = _example(triples=[["Ana", "lives in", "Lisbon"]], **_WHO)
    triples: list[Any] = Field(description="[subject, relation, object], or mappings of these.")
    metadata: Metadata = None
    wait: bool = True


class ThenBody(ScopeBody):
    """A question that may be asked of the past."""

    valid: Moment = None
    known: Moment = None
    everyone: bool = Field(False, description="Everybody in the tenant, where no id is named.")

    @property
    def when(self) -> tuple[object, object]:
        """The time that is asked of."""
        return self.valid, self.known


class PastBody(ThenBody):
    """A question about records that filters may narrow."""

    filters: Filters = None


class SearchBody(PastBody):
    """A question to search for."""

    model_config = _example(query="Where does she live?", k=5, **_WHO)
    query: str = Field(max_length=100_000)
    k: int = Field(10, ge=1, le=10_000)
    at: Moment = None
    min_score: Score = 0.0
    explain: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the call."""
        names = ("k", "filters", "at", "min_score", "explain", "everyone")
        return {name: getattr(self, name) for name in names}


class ContextBody(PastBody):
    """A question whose context goes into a prompt."""

    model_config = _example(query="her move", budget=500, **_WHO)
    query: str = Field(max_length=100_000)
    budget: Budget = None
    k: int = Field(10, ge=1, le=10_000)
    at: Moment = None
    min_score: Score = 0.0

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the call."""
        names = ("budget", "k", "filters", "at", "min_score", "everyone")
        return {name: getattr(self, name) for name in names}


class AskBody(PastBody):
    """A question that is to be answered."""

    model_config = _example(question="Where does Ana live?", **_WHO)
    question: str = Field(max_length=100_000)
    k: int = Field(60, ge=1, le=10_000)
    budget: Budget = None
    at: Moment = None
    min_score: Score | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the call."""
        names = ("k", "budget", "filters", "at", "min_score", "everyone")
        return {name: getattr(self, name) for name in names}


class CitedBody(ScopeBody):
    """Which records an answer to a question stood on."""

    model_config = _example(question="Where does Ana live?", cited=["06GZV2VW5G00000002AFDVGQ3G"], **_WHO)
    question: str = Field(max_length=100_000)
    cited: list[str] = Field(max_length=10_000, description="Ids of records or turns; none helped: empty.")
    shown: list[str] | None = Field(None, max_length=10_000, description="What it was made from.")
    at: Moment = None
    everyone: bool = False


class ListBody(PastBody):
    """Which records to list."""

    model_config = _example(filters={"role": "user"}, limit=20, **_WHO)
    after: str | None = Field(None, max_length=64, description="A page's `next`.")
    limit: int = Field(100, ge=1, le=1000)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the call."""
        return {name: getattr(self, name) for name in ("filters", "after", "limit", "everyone")}


class GraphBody(ThenBody):
    """Which part of the graph is wanted."""

    model_config = _example(about=["Ana"], depth=2, **_WHO)
    about: list[str] | None = None
    depth: int = Field(1, ge=0, le=20)
    types: list[str] | None = None
    kinds: list[str] | None = None
    limit: int = Field(500, ge=1, le=10_000)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the call."""
        names = ("about", "depth", "types", "kinds", "limit", "everyone")
        return {name: getattr(self, name) for name in names}


class EditBody(ScopeBody):
    """What a record is to say from now on."""

    model_config = _example(text="I moved to Lisbon in June.", **_WHO)
    text: str | None = None
    metadata: Metadata = None


class ForgetBody(ScopeBody):
    """What is to be erased: records by their ids, or a scope."""

    model_config = _example(dry_run=True, **_WHO)
    ids: list[str] | None = Field(None, max_length=10_000)
    everyone: bool = False
    dry_run: bool = False


class UndoBody(ScopeBody):
    """A commit that is to be reversed."""

    model_config = _example(change_set="42", **_WHO)
    change_set: str = Field(min_length=1, max_length=32)


class WaitBody(ScopeBody):
    """Owed work to wait for."""

    model_config = _example(seconds=10, **_WHO)
    seconds: float = Field(10.0, ge=0, le=60)
    work: bool = Field(False, description="Have the service do what is owed, where the key may write.")


class KeyBody(BaseModel):
    """A key to be made."""

    model_config = _example(name="app", rights="write", tenant="acme", users="team-*", days=90)
    name: str = Field("", max_length=100)
    rights: str = Field("read", max_length=16, description="read, write or admin.")
    tenant: Id = None
    users: str = Field("*", min_length=1, max_length=512, description="An id, a prefix such as team-*, or *.")
    days: float | None = Field(None, gt=0, le=36_500, description="How many days it lasts.")


class RotateBody(BaseModel):
    """How a key is to get a new secret."""

    model_config = _example(grace_seconds=3600)
    grace_seconds: float = Field(0, ge=0, le=31_536_000, description="How long the old secret stays good.")


class AsOfBody(SearchBody):
    """A question to search the past for: at least one of `valid` and `known` is needed."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"query": "Where did she live?", "valid": "2024-04-01", **_WHO}],
            "anyOf": [{"required": ["valid"]}, {"required": ["known"]}],
        },
    )

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.valid is None and self.known is None:
            raise ValueError("give valid, known or both")
        return self
