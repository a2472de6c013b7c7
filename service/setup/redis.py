"""Redis for one instance: a Unix socket, no TCP, an ACL user per role, and nothing worth keeping (stack of record is SQL).

Each role may do what RQ needs on its own keys. A JSON serializer does not make RQ safe, so workers check function and argument before
import as well (DESIGN section 4).
"""

from __future__ import annotations

import hashlib
import secrets

from reprove.settings import Settings
from service.setup.folders import hand_over, write_private

ROLES = {"scheduler": "scheduler", "resolver": "resolver", "worker": None}
"""Redis user to the process that owns its password (None: root's rebuild worker)."""

_CONFIGURATION = """\
port 0
unixsocket {socket}
unixsocketperm 777
dir {folder}
appendonly yes
appendfsync everysec
save ""
maxmemory 256mb
maxmemory-policy noeviction
aclfile {folder}/users.acl
set-proc-title no
daemonize no
loglevel notice
"""


def write_redis(settings: Settings) -> None:
    """Write passwords (once), the ACL file and the configuration; passwords stand hashed in the ACL file."""
    folder = settings.home / "redis"
    rows = ["user default off nopass -@all"]
    for role, process in ROLES.items():
        file = settings.home / "secrets" / f"redis-{role}.password"
        write_private(file, secrets.token_urlsafe(32), process, settings)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        rows.append(f"user {role} on #{digest} ~rq:* &rq:* +@all -@admin -@dangerous +info +client|setname +client|id +client|list")
    acl = folder / "users.acl"
    acl.write_text("\n".join(rows) + "\n")
    acl.chmod(0o400)
    hand_over(acl, "redis", settings)
    configuration = settings.home / "run" / "redis.conf"
    configuration.write_text(_CONFIGURATION.format(socket=settings.sockets / "redis.sock", folder=folder))
    configuration.chmod(0o644)
