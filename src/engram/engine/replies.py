"""Asking the chat model: replies are journaled, paid once, checked, and asked for again when malformed."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from engram.engine.chat import Chat
from engram.engine.core import Core
from engram.engine.spending import Ledger
from engram.engine.typed import MAX_REPLY, parse, reply_schema, type_name
from engram.kernel.chat import ChatModel, ChatReply, ChatRequest, Message
from engram.kernel.effects import Ask
from engram.kernel.errors import BadReply, ConfigError, Conflict
from engram.kernel.protocols import Batch, PutState, Require, StateRow
from engram.kernel.scope import Scope
from engram.models.prices import price_of

__all__ = ["BAD", "Asker", "needed"]

BAD = "bad:"  # places in the journal that hold a question and its reply of no use
_ATTEMPTS = 2
_QUOTED = 4000
_CACHE = "engram.cache"


@dataclass
class Asker:
    """Asks for one program: `journal`, `usage` and `reads` are the program's, `save` keeps the journal."""

    core: Core
    scope: Scope
    journal: dict[str, Any]
    usage: dict[str, float]
    reads: set[str]
    save: Callable[[], None] | None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, model: ChatModel, effect: Ask[Any], path: str) -> Any:
        """The validated reply to `effect`, from the journal where it was paid for already.

        A reply that does not validate is asked for again once, with the error; then `BadReply`, and the
        journal holds prompt and reply under `bad:` and the path.
        """
        chat = self.core.chat or Chat(model)
        request = self._request(effect, path, chat)
        place = f"{path}:{_digest(repr((effect.system, effect.prompt, request.schema)))}"
        raw, wrong = "", ValueError("no reply")
        for attempt in range(_ATTEMPTS):
            asked = request if not attempt else _again(request, raw, wrong)
            try:
                reply = self._reply(model, asked, f"{place}:{attempt}", chat)
                raw = reply.text
                value = _value(reply, effect.reply, request)
            except ValueError as error:
                wrong = error
            except BadReply as error:
                raw, wrong = error.reply, ValueError(str(error))
            else:
                self._remember(model, asked, reply, chat)
                return value
        self._give_up(effect, path, place, raw, wrong)
        raise BadReply(
            f"the model's reply is no {type_name(effect.reply)}: {wrong}", prompt=effect.prompt, reply=raw
        ) from wrong

    def _request(self, effect: Ask[Any], path: str, chat: Chat) -> ChatRequest:
        schema = reply_schema(effect.reply)
        messages: tuple[Message, ...] = (Message("user", effect.prompt),)
        if effect.system:
            messages = (Message("system", effect.system), *messages)
        bad = self.journal.get(BAD + path, {})
        return ChatRequest(
            messages,
            schema,
            _name(effect.reply),
            effect.max_tokens or chat.max_tokens,
            chat.temperature if effect.temperature is None else effect.temperature,
            self.core.seed + bad.get("times", 0),
            chat.timeout,
        )

    def _reply(self, model: ChatModel, request: ChatRequest, place: str, chat: Chat) -> ChatReply:
        """The reply: journaled, cached, or the model's, which is journaled before it is looked at."""
        held = self.journal.get(place)
        if held is not None:
            return ChatReply(held["text"], finish=held["finish"])
        cached = self._remembered(model, request, chat)
        if cached is not None:
            self._count({"cached_replies": 1})
            return cached
        price = price_of(model.name, chat.prices)
        ledger = Ledger(self.core, self.scope.lane, chat.budget, price, model.name)
        with self.core.watch.event("chat", model.name, **_asking(request)) as event:
            with ledger.call(request) as call:
                call.reply = _storable(model.reply(call.request))
            event.say(**call.usage, finish=call.reply.finish, model=call.reply.model or None)
        self._count(call.usage)
        self.journal[place] = {"text": call.reply.text, "finish": call.reply.finish}
        if self.save is not None:
            self.save()
        return call.reply

    def _count(self, usage: dict[str, float]) -> None:
        with self.lock:
            for name, amount in usage.items():
                self.usage[name] = self.usage.get(name, 0) + amount

    def _give_up(self, effect: Ask[Any], path: str, place: str, raw: str, wrong: ValueError) -> None:
        """Leave question and reply in the journal, for whoever looks; a later run of the job asks anew."""
        for attempt in range(_ATTEMPTS):
            self.journal.pop(f"{place}:{attempt}", None)
        times = self.journal.get(BAD + path, {}).get("times", 0) + 1
        found = {"prompt": effect.prompt, "reply": raw[: 4 * _QUOTED], "error": str(wrong), "times": times}
        self.journal[BAD + path] = found
        if self.save is not None:
            self.save()

    def _row(self, model: ChatModel, request: ChatRequest, chat: Chat) -> tuple[StateRow, str]:
        """The cache's row that has or takes this reply, by a digest: there are as many rows as replies."""
        held = (model.name, *((message.role, message.text) for message in request.messages))
        rest = (request.schema, request.max_tokens, request.temperature, request.seed)
        key = _digest(json.dumps([held, rest], sort_keys=True))
        name = str(int(key, 16) % chat.cache)
        rows = self.core.store.states(self.scope.lane, _CACHE, name)
        return (rows[0] if rows else StateRow(_CACHE, self.scope.lane, name, {}, 0)), key

    def _remembered(self, model: ChatModel, request: ChatRequest, chat: Chat) -> ChatReply | None:
        if not chat.cache:
            return None
        row, key = self._row(model, request, chat)
        found = row.value
        return ChatReply(found["text"], finish=found["finish"]) if found.get("key") == key else None

    def _remember(self, model: ChatModel, request: ChatRequest, reply: ChatReply, chat: Chat) -> None:
        """Keep a good reply with the ids that its program had read: it is erased with any of them."""
        if not chat.cache:
            return
        row, key = self._row(model, request, chat)
        if row.value.get("key") == key:
            return
        value = {"key": key, "text": reply.text, "finish": reply.finish}
        reads = tuple(sorted(self.reads))
        kept = replace(row, value=value, version=row.version + 1, reads=reads)
        try:
            self.core.store.commit(Batch((Require(tuple((id, None) for id in reads)), PutState(kept))))
        except Conflict:  # something read was erased meanwhile, or another reply took the row
            return


def _asking(request: ChatRequest) -> dict[str, float | None]:
    """What is said of a request to whoever watches."""
    return {"max_tokens": request.max_tokens, "temperature": request.temperature, "seed": request.seed}


def _storable(reply: ChatReply) -> ChatReply:
    """The reply as a store takes it: of one that is far too long, as much as shows it; no half characters."""
    return replace(reply, text=reply.text[: MAX_REPLY + 1].encode("utf-8", "replace").decode())


def _value(reply: ChatReply, wanted: type[Any], request: ChatRequest) -> Any:
    """The reply's value; `ValueError` where it is cut off, declined or of another form."""
    if reply.finish == "refused":
        raise ValueError(f"the model declined to reply: {reply.text[:200]}")
    if reply.finish != "length":
        return parse(reply.text, wanted)
    cut = f"it was cut off at {request.max_tokens or 'too many'} tokens; reply shorter, or raise max_tokens"
    if wanted is str:
        raise ValueError(cut)
    try:
        return parse(reply.text, wanted)
    except ValueError as error:
        raise ValueError(cut) from error


def _again(request: ChatRequest, raw: str, wrong: ValueError) -> ChatRequest:
    """The request with the reply that could not be used, and why."""
    told = Message("user", f"Your last reply could not be used: {wrong}. Reply again, in full.")
    said = (Message("assistant", raw[:_QUOTED]),) if raw.strip() else ()
    return replace(request, messages=(*request.messages, *said, told))


def _name(wanted: type[Any]) -> str:
    """A name for the schema that endpoints take: letters, digits and underscores."""
    name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in type_name(wanted))
    return name[:64] or "reply"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def needed(core: Core, policy: str) -> ChatModel:
    """The memory's chat model; raises `ConfigError` that says what to give."""
    if core.model is None:
        raise ConfigError(
            f"{policy} asks a chat model: give Memory(model=…), such as 'openai:gpt-5-mini', "
            "or set ENGRAM_MODEL"
        )
    return core.model
