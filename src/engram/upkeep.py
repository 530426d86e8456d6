"""Looking after a store as a whole: another embedder, a newer format, what is wrong with it."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, requires, version

from engram.config import chosen_embedder, default_url, load_policy, open_core, unknown_variables
from engram.engine.check import repair
from engram.engine.copying import copy_store
from engram.engine.core import Core
from engram.engine.doctor import agreement, embedder_findings, store_findings
from engram.engine.progress import Progress
from engram.engine.reembed import reembed as rewrite
from engram.engine.results import Copied, Report
from engram.kernel.clock import utc_now
from engram.kernel.errors import ConfigError, EngramError, MissingExtra, ModelError, StoreError
from engram.kernel.keeping import Finding, MigrationPlan
from engram.kernel.protocols import Embedder, Store
from engram.kernel.show import plain_url
from engram.stores import keeper_of, open_store

__all__ = ["copy", "doctor", "fix", "migrate", "migration", "reembed"]

_IN_THE_WAY = ("file", "format", "rights", "server")


def reembed(
    url: str | None = None, *, embedder: Embedder | str | None = None, progress: Progress | None = None
) -> Report:
    """Give the store at `url` to another embedder: index entries of all versions are written anew.

    `embedder` is one or a spec such as `sentence-transformers:NAME`; the default is the built-in one.
    Others may search and add meanwhile, with the old embedder; once all entries are there, the store is
    switched to them at once, and whoever has it open with the old one gets `NeedsMigration`. A call that
    was broken off goes on where it stopped when it is made again. `progress` is called with how many
    versions are done and how many there are: as they are written, then again as they are proved.

    The report counts records (`checked`) and versions written (`mended`). Raises `ModelUnavailable` where
    the embedder fails, `Conflict` where another reembed takes over, `ConfigError` and `StoreError` where
    the store cannot be opened.
    """
    core = open_core(url, embedder=embedder, mend=True)
    try:
        return rewrite(core, progress)
    finally:
        core.close()


def copy(source: str, goal: str, *, tenant: str | None = None, progress: Progress | None = None) -> Copied:
    """Copy the store at `source` into the one at `goal`, which is made if need be; both are urls.

    Everything goes over as it is, index entries included: ids, versions, edges, states, owed jobs; with
    `tenant` of that tenant alone. Both stores may be used meanwhile. A copy that was broken off goes on when
    it is made again, and one that is done catches up, as long as nobody has written into the goal. At the
    end all of it is read again on both sides and compared. `progress` is called with how many versions are
    done and how many there are, counted twice: copied, then compared.

    Raises `Conflict` where the goal holds that tenant already, was made with another embedder, or has been
    written to since; `StoreError` where the two differ at the end; `ConfigError` for a store that is not
    there.
    """
    if source == goal:
        raise ConfigError(f"{plain_url(source)} is both source and goal; name two stores")
    keeper = keeper_of(source)
    if keeper is not None and not keeper.exists:
        raise ConfigError(f"{plain_url(source)}: there is no store to copy; mend the url")
    with closing(open_store(source)) as here, closing(open_store(goal)) as there:
        return copy_store(here, there, tenant, progress)


def migration(url: str | None = None) -> MigrationPlan | None:
    """What bringing the store at `url` to the present format would do; `None` for a store without files.

    Raises `NeedsMigration` for a newer format, `ConfigError` for what is no store of engram.
    """
    keeper = keeper_of(url or default_url())
    return None if keeper is None else keeper.plan()


def migrate(url: str | None = None, *, progress: Progress | None = None) -> MigrationPlan | None:
    """Bring the store at `url` to the present format, as opening it does, and say what was done.

    `progress` counts the bytes of the copy that is kept until it is done. Raises as `migration` does, and
    `StoreError` where the disk has no room for the copy.
    """
    keeper = keeper_of(url or default_url())
    if keeper is None:
        return None
    plan = keeper.plan()
    keeper.upgrade(progress)
    return plan


def doctor(
    url: str | None = None,
    *,
    embedder: Embedder | str | None = None,
    full: bool = False,
    progress: Progress | None = None,
) -> list[Finding]:
    """Look for what is wrong with an installation and a store, also one that cannot be opened.

    Nothing is changed, and no store is made. Index entries are sampled; `full` has all of them proved, as
    `verify` does, with `progress`.
    """
    findings = [*_installation(), *_environment()]
    try:
        address = url or default_url()
        keeper = keeper_of(address)
    except ConfigError as error:
        return [*findings, Finding("store", "wrong", str(error), "give another --url")]
    if address.partition(":")[0].lower() == "ram":
        what = "a ram: store is gone with its process: there is nothing to look after"
        return [*findings, Finding("store", "ok", what)]
    if keeper is not None:
        findings += keeper.look()
        stuck = any(item.level == "wrong" and item.check in _IN_THE_WAY for item in findings)
        if stuck or not keeper.exists or keeper.plan().steps:
            return findings
    return [*findings, *_opened(address, embedder, full, progress)]


def fix(
    finding: Finding,
    url: str | None = None,
    *,
    embedder: Embedder | str | None = None,
    progress: Progress | None = None,
) -> None:
    """Do what a finding of `doctor` names as its `fix`. Raises `EngramError` where that fails."""
    address = url or default_url()
    keeper = keeper_of(address)
    if finding.fix == "reembed":
        reembed(address, embedder=embedder, progress=progress)
    elif finding.fix in ("repair", "purge"):
        core = open_core(address, embedder=embedder, mend=finding.fix == "purge")
        try:
            _mended(core, finding.fix, progress)
        finally:
            core.close()
    elif finding.fix == "migrate" and keeper is not None:
        keeper.upgrade(progress)
    elif finding.fix is not None and keeper is not None:
        keeper.fix(finding.fix)


def _mended(core: Core, name: str, progress: Progress | None) -> None:
    if name == "repair":
        repair(core, progress)
    elif not core.store.purge():
        raise StoreError("the purge has to wait: another process has the file open, or the disk is full")


def _opened(
    address: str, embedder: Embedder | str | None, full: bool, progress: Progress | None
) -> Iterator[Finding]:
    """What an open store tells, with its embedder where that can be loaded."""
    try:
        store = open_store(address)
    except EngramError as error:
        yield Finding("store", "wrong", str(error), "restore the file from a copy")
        return
    try:
        yield from store_findings(store, utc_now())
        vectors = chosen_embedder(embedder)
        found = [*embedder_findings(store, vectors)]
        yield from found
        if "embedder" in store.info() and all(finding.level != "wrong" for finding in found):
            yield from agreement(_core(store, vectors), full=full, progress=progress)
    except MissingExtra as error:
        yield Finding("embedder", "wrong", str(error), f"pip install 'engram[{error.extra}]'")
    except (ConfigError, ModelError) as error:
        yield Finding("embedder", "wrong", str(error), "give --embedder")
    except StoreError as error:
        yield Finding("store", "wrong", str(error), "engram verify, or restore the file from a copy")
    finally:
        store.close()


def _core(store: Store, embedder: Embedder) -> Core:
    """A core that only proves: it settles nothing in the store."""
    return Core(store=store, policy=load_policy(None), embedder=embedder, clock=utc_now)


def _installation() -> Iterator[Finding]:
    """The package and what it needs."""
    missing: list[str] = []
    versions = [f"engram {version('engram')}", f"Python {platform.python_version()}"]
    for line in requires("engram") or ():
        match = re.match(r"[A-Za-z0-9_.-]+", line)
        if match is None or "extra ==" in line:
            continue
        try:
            versions.append(f"{match[0]} {version(match[0])}")
        except PackageNotFoundError:
            missing.append(match[0])
    yield Finding("installation", "ok", ", ".join(versions))
    if missing:
        what = f"not installed: {', '.join(missing)}"
        yield Finding("installation", "wrong", what, "pip install --upgrade --force-reinstall engram")


def _environment() -> Iterator[Finding]:
    for name, meant in unknown_variables().items():
        what = f"{name} is set, and engram reads no such variable"
        yield Finding("environment", "warn", what, f"unset {name}" + (f", or set {meant}" if meant else ""))
