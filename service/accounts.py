"""Which Unix account each process has, and what it may reach (DESIGN section 4).

One table: set-up makes the accounts, ``service.launch`` becomes them, ``reprove init`` hands files to them. With
``separate_users = false`` (tests, a machine without root) every process runs as whoever started it, and the threat model says what that costs.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

RECORDS = "reprove-records"
"""Group of those who share records.db and the blob store."""
SOCKETS = "reprove-sockets"
"""Group of those who may create a socket in the sockets folder."""
SUBMIT = "reprove-submit"
"""Group of those who may speak to the sequencer: itself and the attester."""


@dataclass(frozen=True, slots=True)
class Account:
    """A process's user and the groups it is in besides its own; ``user`` None is root, which only the rebuild worker needs (Docker)."""

    user: str | None
    groups: tuple[str, ...] = ()


ACCOUNTS: dict[str, Account] = {
    "redis": Account("reprove-redis", (SOCKETS,)),
    "api": Account("reprove-api", (RECORDS,)),
    "workerapi": Account("reprove-workerapi", (RECORDS,)),
    "scheduler": Account("reprove-scheduler", (RECORDS,)),
    "resolver": Account("reprove-resolver"),
    "proxy": Account("reprove-proxy", (SOCKETS,)),
    "worker": Account(None),
    "attester": Account("reprove-attester", (RECORDS, SUBMIT)),
    "sequencer": Account("reprove-sequencer", (SOCKETS, SUBMIT)),
    "witness": Account("reprove-witness"),
}


def account_of(process: str) -> Account:
    """The account of a process name; ``worker-1``, ``worker-2`` … share the worker's."""
    return ACCOUNTS["worker" if process.startswith("worker-") else process]


@dataclass(frozen=True, slots=True)
class Identity:
    """Numeric ids to become; None where the process stays what it is."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def identity_of(process: str, *, separate: bool) -> Identity | None:
    """Resolve a process's account, or None when accounts are not separated. Raises KeyError naming an account that set-up has not made."""
    account = account_of(process)
    if not separate or account.user is None or os.geteuid() != 0:
        return None
    user = pwd.getpwnam(account.user)
    return Identity(user.pw_uid, user.pw_gid, tuple(grp.getgrnam(name).gr_gid for name in account.groups))
