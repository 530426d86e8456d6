"""What adapters over HTTP share: which answers may come right later, how long to wait, what to tell."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from engram.kernel.errors import BadReply, ConfigError, EngramError, ModelUnavailable

__all__ = ["SHOWN", "refusal", "retry_after"]

SHOWN: Final = 500
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_MENDED_BY_SETTINGS = frozenset({401, 402, 403, 404, 405})
_EXHAUSTED = re.compile(r"insufficient_quota|credit balance", re.IGNORECASE)


def refusal(where: str, model: str, status: int, text: str, after: str | None, prompt: str) -> EngramError:
    """The error that an answer with this status stands for: try again, mend a setting, or look at the prompt.

    `where` is the address; `text` the answer's body, `after` its Retry-After header.
    """
    what = f"{status}: {text[:SHOWN]}"
    if _EXHAUSTED.search(text):
        return ConfigError(f"{where} gives no more without payment: look at the account ({what})")
    if status in _AGAIN or status >= 500:
        pause = retry_after(after)
        wait = "" if pause is None else f"; it asks to wait {pause:g} s"
        return ModelUnavailable(f"{where} gave no reply ({what}){wait}", retry_after=pause)
    if status in _MENDED_BY_SETTINGS:
        return ConfigError(f"{where} refuses the key, the address or model {model!r} ({what})")
    return BadReply(f"{where} refuses the request ({what})", prompt=prompt, reply=text[:SHOWN])


def retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks for: a number, or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return max(0.0, seconds) if seconds < 1e9 else None  # also for nan and infinity
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
