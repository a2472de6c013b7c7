"""Durable entries per second of the log, and submit-to-proof latency: ``python -m tests.bench.log_bench [--seconds 10] [--json]``.

Real processes on this disk: one sequencer, one witness, the strict order of ``service/log/sequencer.py``, admission check and deduplication rows
included. The load comes from this process and shares the cores. Absolute figures are the weather of the disk, so the rate is also given as a ratio
to R: atomic files per second of the same folder (write 8 KiB, fsync, rename, fsync directory), probed before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import shutil
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from reprove.core.dsse import PAYLOAD_TYPE, Envelope, pae
from service.log import frames
from tests.service.log.harness import Instance

BATCH = 256
STATEMENT_BYTES = 1500
LATENCY_RATE = 100
_LATENCY_CONNECTIONS = 48


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates per second, times in milliseconds, load averages of one minute."""

    seconds: float
    atomic_files_per_second: float
    entries: int
    entries_per_second: float
    ratio_to_atomic_files: float
    goal_entries_per_second: float
    answer_p50_ms: float
    answer_p99_ms: float
    latency_rate: float
    latency_p50_ms: float
    latency_p99_ms: float
    sequencer_cpu_us_per_entry: float
    load_before: float
    load_after: float


def atomic_files_per_second(folder: Path, seconds: float) -> float:
    """R: one thread, 8 KiB, fsync, rename, fsync of the directory."""
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    data, count = os.urandom(8192), 0
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        with (folder / "new").open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        (folder / "new").rename(folder / f"{count % 64}")
        os.fsync(descriptor)
        count += 1
    os.close(descriptor)
    shutil.rmtree(folder)
    return count / elapsed


class Maker:
    """Makes signed envelopes of the size of a comparison statement, as the frames that a submitter sends."""

    def __init__(self, key: Path) -> None:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        self._private = private
        self._number = 0

    def frame(self, count: int) -> bytes:
        envelopes = []
        for _ in range(count):
            self._number += 1
            payload = b'{"_type":"https://in-toto.io/Statement/v1","n":%d,"p":"' % self._number
            payload += random.randbytes((STATEMENT_BYTES - len(payload)) // 2).hex().encode() + b'"}'
            signature = self._private.sign(pae(PAYLOAD_TYPE, payload), ec.ECDSA(hashes.SHA256()))
            envelopes.append(Envelope(payload, (signature,)).as_json())
        body = json.dumps({"op": "add", "envelopes": envelopes}).encode()
        return struct.pack(">I", len(body)) + body


def submit(connection: socket.socket, frame: bytes) -> bytes:
    connection.sendall(frame)
    answer = frames.receive(connection)
    assert answer is not None
    if answer.startswith(b'{"error"'):
        raise RuntimeError(answer[:300].decode())
    return answer


def connect(instance: Instance) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(60)
    connection.connect(str(instance.home / "run" / "sequencer.sock"))
    return connection


def throughput(instance: Instance, maker: Maker, seconds: float, clients: int, expected: float) -> tuple[int, float, list[float]]:
    """Closed loop: each client sends 256 envelopes, waits for their proofs, sends the next. Returns entries, seconds, answer times."""
    supply = [maker.frame(BATCH) for _ in range(max(clients * 2, int(seconds * expected / BATCH)))]
    lock, times = threading.Lock(), list[float]()
    counted = 0
    began = time.perf_counter()

    def client() -> None:
        nonlocal counted
        with connect(instance) as connection:
            while time.perf_counter() - began < seconds:
                with lock:
                    if not supply:
                        return
                    frame = supply.pop()
                sent = time.perf_counter()
                submit(connection, frame)
                with lock:
                    times.append(time.perf_counter() - sent)
                    counted += BATCH

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counted, time.perf_counter() - began, times


def latency(instance: Instance, maker: Maker, seconds: float, rate: float) -> list[float]:
    """Open loop: one envelope each 1/rate seconds, from the time it was due to its cosigned proof."""
    supply = [maker.frame(1) for _ in range(int(seconds * rate))]
    idle: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
    for _ in range(_LATENCY_CONNECTIONS):
        idle.put(connect(instance))
    began = time.perf_counter() + 0.2

    def one(number: int) -> float:
        due = began + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        connection = idle.get()
        submit(connection, supply[number])
        idle.put(connection)
        return time.perf_counter() - due

    with ThreadPoolExecutor(_LATENCY_CONNECTIONS) as pool:
        times = list(pool.map(one, range(len(supply))))
    while not idle.empty():
        idle.get().close()
    return times


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] * 1000 if len(values) > 1 else values[0] * 1000


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its children that are alive, from /proc."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.parent.name) == pid or int(values[1]) == pid:
            ticks += int(values[11]) + int(values[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def run(seconds: float, *, clients: int = 8, expected: float = 12_000, root: Path | None = None) -> Figures:
    """Run everything once in a fresh folder below ``root``; the log is checked whole at the end."""
    folder = Path(tempfile.mkdtemp(prefix="rpb", dir=root))
    load_before = os.getloadavg()[0]
    instance = Instance(folder / "home")
    maker = Maker(folder / "home" / "secrets" / "attester.key")
    try:
        instance.start("witness")
        sequencer = instance.start("main")
        throughput(instance, maker, 1, clients, clients * BATCH)
        probe = min(3.0, max(0.3, seconds / 4))
        before = atomic_files_per_second(folder / "probe", probe)
        used = cpu_seconds(sequencer.pid)
        entries, elapsed, answers = throughput(instance, maker, seconds, clients, expected)
        used = cpu_seconds(sequencer.pid) - used
        atomic = (before + atomic_files_per_second(folder / "probe", probe)) / 2
        times = latency(instance, maker, seconds, LATENCY_RATE)
        instance.fsck()
    finally:
        instance.end_all()
        shutil.rmtree(folder)
    rate = entries / elapsed
    return Figures(
        round(elapsed, 2), round(atomic, 1), entries, round(rate, 1), round(rate / atomic, 2), round(min(12 * atomic, 8000), 1),
        round(percentile(answers, 50), 1), round(percentile(answers, 99), 1), LATENCY_RATE,
        round(percentile(times, 50), 1), round(percentile(times, 99), 1), round(used / entries * 1e6, 1),
        round(load_before, 2), round(os.getloadavg()[0], 2),
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="length of each of the two phases")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--root", type=Path, help="folder on the disk to measure (default: the temporary one)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = run(arguments.seconds, clients=arguments.clients, root=arguments.root)
    if arguments.json:
        print(json.dumps(asdict(figures)))
    else:
        for name, value in asdict(figures).items():
            print(f"{name:30} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
