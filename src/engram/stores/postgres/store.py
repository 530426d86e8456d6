"""The store that scales out: one schema of a PostgreSQL database, shared by any number of machines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from engram.kernel.clock import Clock, utc_now
from engram.kernel.protocols import Batch, Committed, Entry, Job, Position, Select, SelectEdges, StateRow
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope
from engram.stores.postgres import read
from engram.stores.postgres.ann import Candidates
from engram.stores.postgres.check import problems
from engram.stores.postgres.connection import Database, Link
from engram.stores.postgres.edges import edges
from engram.stores.postgres.erase import purge
from engram.stores.postgres.listen import Listener
from engram.stores.postgres.migrate import Migration, built_in, migrate
from engram.stores.postgres.queries import queries
from engram.stores.postgres.target import Target
from engram.stores.postgres.write import Transaction
from engram.stores.shared import store_tag

__all__ = ["PostgresStore"]

_READ = queries("read")
_MIGRATE = queries("migrate")


class PostgresStore(Candidates):
    """A store in one schema of a PostgreSQL database. Thread-safe; shared with any number of processes.

    With a tenant in `target` it sees that tenant alone. `migrations` are the steps to the current format.
    With `durability="power"` a commit waits for the server's disk even where the server is set not to.
    """

    def __init__(
        self,
        target: Target,
        *,
        durability: str = "process",
        clock: Clock = utc_now,
        seed: int = 0,
        migrations: Sequence[Migration] | None = None,
    ) -> None:
        self.target = target
        super().__init__(Database(target, durable=durability == "power"))
        self._listener = Listener(self._database)
        created = clock()

        def first(link: Link) -> None:
            for key, value in (("created", created.isoformat()), ("tag", str(store_tag(created, seed)))):
                link.execute(_MIGRATE["put_fact"], (key, value))

        def prepare(link: Link) -> int:
            migrate(link, target, migrations or built_in(), first)
            row = link.execute(_READ["tag"]).fetchone()
            return int(row[0]) if row else 0

        self._tag = self._database.bare(prepare)

    def commit(self, batch: Batch) -> Committed:
        """Apply the operations in one transaction, or none of them."""
        return self._database.write(
            lambda session: Transaction(session, batch, self._tag, self.target).run(batch.ops)
        )

    def select(self, what: Select) -> list[Record]:
        """Records or versions."""
        return self._database.read(lambda session: read.select(session, what), _tenant(what.scope))

    def entries(self, scope: Scope, after: int = 0, limit: int = 5000, history: bool = False) -> list[Entry]:
        """Index entries with a sequence above `after`, by sequence."""
        return self._database.read(
            lambda session: read.entries(session, scope, after, limit, history=history),
            scope.tenant,
            whole=history,  # two tables: a commit between them must be in both or in none
        )

    def sequence(self, tenant: str | None = None) -> Position:
        """Where the history stands now, other processes' commits included."""
        return self._database.read(read.position)

    def edges(self, what: SelectEdges) -> list[Edge]:
        """Edges."""
        return self._database.read(lambda session: edges(session, what), _tenant(what.scope))

    def states(self, scope: Scope, policy: str | None = None, name: str | None = None) -> list[StateRow]:
        """States by (policy, scope, name)."""
        return self._database.read(lambda session: read.states(session, scope, policy, name), scope.tenant)

    def jobs(
        self, scope: Scope | None = None, kind: str | None = None, ids: Sequence[str] | None = None
    ) -> list[Job]:
        """Jobs, oldest first."""
        return self._database.read(lambda session: read.jobs(session, scope, kind, ids), _tenant(scope))

    def scopes(self, pattern: Scope | None = None) -> list[tuple[Scope, int]]:
        """Scopes with records, and how many latest versions are open in each."""
        return self._database.read(lambda session: read.scopes(session, pattern), _tenant(pattern))

    def info(self) -> Mapping[str, str]:
        """Facts about the store; `purge` is `pending` while its tables may hold what was expunged."""
        return self._database.read(read.info)

    def check(self) -> list[str]:
        """What is structurally wrong, one sentence each."""
        return self._database.read(problems, whole=True)

    def purge(self) -> bool:
        """Rewrite the tables; False where others hold them, the disk is full, or they are another's.

        False too behind a pooler: a rewrite is in no transaction, and its settings would be lent to others.
        """
        if self.target.pooled:
            return "purge" not in self.info()
        return self._database.bare(purge)

    def watch(self, told: threading.Event) -> Callable[[], None]:
        """Have `told` set whenever anybody has put or ended jobs; what is given back ends that.

        Behind a pooler nobody is told: a connection that listens would be lent to others.
        """
        return _nothing if self.target.pooled else self._listener.watch(told)

    def close(self) -> None:
        """Release the connections; further calls raise `StoreError`."""
        self._listener.close()
        self._database.close()


def _nothing() -> None:
    """There is nothing to end."""


def _tenant(scope: Scope | None) -> str | None:
    return None if scope is None else scope.tenant
