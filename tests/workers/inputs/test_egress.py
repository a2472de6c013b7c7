"""The egress rules: what may be reached, and that no answer is larger, longer or later than allowed."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core.errors import OwnError
from tests.sim.index import Fault, SimIndex
from workers.inputs.addresses import endpoint_of, is_public, parse_allow
from workers.inputs.egress import EgressClient, FetchError, FetchKind


@pytest.fixture
def sim() -> Iterator[Any]:
    with SimIndex() as index:
        index.release("demo", "1.0")
        yield index


def fetch(client: EgressClient, url: str, *, max_bytes: Any = 1 << 20, timeout: Any = 5.0) -> Any:
    try:
        return client.get(url, max_bytes=max_bytes, timeout=timeout)
    finally:
        client.close()


def kind_of(client: EgressClient, url: str, **limits: Any) -> Any:
    with pytest.raises(FetchError) as caught:
        fetch(client, url, **limits)
    return caught.value.kind


INNER = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.0.2.2",
    "198.18.0.1",
    "203.0.113.80",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2001:0:1::1",
    "2001:db8::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00::2",
    "ff02::1",
    "3fff::1",
    "100::1",
    "not an address",
]


@pytest.mark.parametrize("address", INNER)
def test_no_inner_mapped_or_reserved_address_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "151.101.0.1", "2606:4700::1", "2a04:4e42::1"])
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", INNER[:-1])
def test_a_name_that_leads_to_an_inner_address_is_refused_without_connecting(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_a, **_k: pytest.fail("connected"))
    client = EgressClient(lookup=lambda _h, _p: [address])
    assert kind_of(client, "https://files.example/x") is FetchKind.REFUSED


def test_one_inner_address_among_public_ones_refuses_the_whole_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_a, **_k: pytest.fail("connected"))
    client = EgressClient(lookup=lambda _h, _p: ["8.8.8.8", "127.0.0.1"])
    assert kind_of(client, "https://files.example/x") is FetchKind.REFUSED


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/x",
        "https://files.example:8443/x",
        "ftp://files.example/x",
        "file:///etc/passwd",
        "https://user:pass@files.example/x",
        "https://files.example\\@inner/x",
        "https://files.example/x\r\nHost: inner",
        "https:///x",
        "https://files.example:99999/x",
        "https://0x7f000001/x",
        "https://2130706433/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "//files.example/x",
        "",
    ],
)
def test_only_plain_https_on_its_own_port_to_public_addresses_is_reached(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_a, **_k: pytest.fail("connected"))
    # What a system resolver makes of odd spellings of loopback.
    client = EgressClient(lookup=lambda host, _p: ["127.0.0.1"] if host != "files.example" else ["8.8.8.8"])
    assert kind_of(client, url) is FetchKind.REFUSED


def test_a_refusal_says_the_same_whatever_was_refused() -> None:
    client = EgressClient(lookup=lambda _h, _p: ["127.0.0.1"])
    problems = set()
    for url in ("https://inner.example/x", "http://a.example/", "file:///etc/passwd"):
        with pytest.raises(FetchError) as caught:
            fetch(client, url)
        problems.add(caught.value.problem)
    assert len(problems) == 1


def test_loopback_is_reached_when_the_rule_is_taken_away(sim: SimIndex) -> None:
    """The attack works without the defence: listing the host is what lets the request through."""
    url = f"{sim.base}/files/demo/demo-1.0.tar.gz"
    assert kind_of(EgressClient(), url) is FetchKind.REFUSED
    assert fetch(EgressClient(sim.allow), url).body == sim.projects["demo"]["demo-1.0.tar.gz"].data


def test_a_name_whose_address_changes_is_connected_to_where_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    connected = []

    def connect(address: str, _timeout: Any) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    client = EgressClient(lookup=lambda _h, _p: next(answers))
    assert kind_of(client, "https://rebind.example/x") is FetchKind.UNREACHABLE
    assert kind_of(client, "https://rebind.example/x") is FetchKind.REFUSED
    assert connected == ["8.8.8.8"]


@pytest.mark.parametrize(
    "target", ["https://127.0.0.1/", "https://169.254.169.254/latest/", "https://[::ffff:127.0.0.1]/", "http://[::1]:1/", "file:///etc/passwd"]
)
def test_a_redirect_to_an_inner_address_is_refused(sim: SimIndex, target: Any) -> None:
    sim.fail("/files/", Fault.REDIRECT, target)
    assert kind_of(EgressClient(sim.allow), f"{sim.base}/files/demo/x") is FetchKind.REFUSED


def test_redirects_are_followed_three_times_and_no_more(sim: SimIndex) -> None:
    url = f"{sim.base}/files/demo/demo-1.0.tar.gz"
    sim.fail("/files/", Fault.REDIRECT, url, times=3)
    assert fetch(EgressClient(sim.allow), url).body
    sim.fail("/files/", Fault.REDIRECT, url, times=4)
    assert kind_of(EgressClient(sim.allow), url) is FetchKind.REFUSED


CASES = [
    (Fault.DOWN, None, FetchKind.UNREACHABLE),
    (Fault.STATUS, 503, FetchKind.STATUS),
    (Fault.TRUNCATED, None, FetchKind.TRUNCATED),
    (Fault.BOMB, None, FetchKind.GARBAGE),
    (Fault.ENDLESS, None, FetchKind.TOO_LARGE),
]


@pytest.mark.parametrize(("fault", "value", "kind"), CASES)
def test_a_broken_answer_is_named(sim: SimIndex, fault: Fault, value: Any, kind: FetchKind) -> None:
    sim.fail("/simple/", fault, value)
    assert kind_of(EgressClient(sim.allow), f"{sim.url}demo/") is kind


@pytest.mark.parametrize(("fault", "value"), [(Fault.SLOW, 3), (Fault.DRIP, 0.1)])
def test_a_slow_answer_ends_at_the_deadline_however_it_is_slow(sim: SimIndex, fault: Fault, value: Any) -> None:
    sim.fail("/simple/", fault, value)
    started = time.monotonic()
    assert kind_of(EgressClient(sim.allow), f"{sim.url}demo/", timeout=0.4) is FetchKind.TIMEOUT
    assert time.monotonic() - started < 1.5


def test_an_announced_size_above_the_limit_is_refused_before_it_is_read(sim: SimIndex) -> None:
    assert kind_of(EgressClient(sim.allow), f"{sim.url}demo/", max_bytes=10) is FetchKind.TOO_LARGE


def test_connections_are_kept_and_a_closed_one_is_opened_again(sim: SimIndex) -> None:
    client = EgressClient(sim.allow)
    assert client.get(f"{sim.url}demo/", max_bytes=1 << 20, timeout=5).body
    assert client.get(f"{sim.url}demo/", max_bytes=1 << 20, timeout=5).body
    assert len(sim.asked) == 2
    kept = client._kept(next(iter(client._idle)))
    assert kept is not None
    kept.sock.raw.shutdown(socket.SHUT_RDWR)
    client._keep(kept.endpoint, kept)
    assert fetch(client, f"{sim.url}demo/").body


def test_a_request_that_outlives_the_close_leaves_no_connection_open(sim: SimIndex) -> None:
    client = EgressClient(sim.allow)
    with client.open(f"{sim.url}demo/", max_bytes=1 << 20, timeout=5) as stream:
        client.close()
        assert b"".join(stream)
    assert client._idle == {}


def test_tls_is_verified_against_the_host_name_that_was_asked_for(sim: SimIndex) -> None:
    client = EgressClient((f"127.0.0.1:{sim.port}",), context=ssl.create_default_context())
    assert kind_of(client, f"https://127.0.0.1:{sim.port}/simple/demo/") is FetchKind.UNREACHABLE


@pytest.mark.parametrize("entry", ["", "host", "host:0x1", "https://host:1/path", "http://user@host:1", "ftp://host:1", "ho st:1"])
def test_a_malformed_allow_entry_is_named(entry: str) -> None:
    with pytest.raises(OwnError, match="fetch_allow"):
        parse_allow((entry,))


def test_allow_entries_with_and_without_tls() -> None:
    found = {(e.host, e.port, e.tls) for e in parse_allow(("Index.example:443", "http://127.0.0.1:8080", "[::1]:8443"))}
    assert found == {("index.example", 443, True), ("127.0.0.1", 8080, False), ("::1", 8443, True)}


@given(st.text(max_size=60))
def test_no_text_makes_the_url_reader_fail(text: str) -> None:
    for prefix in ("", "https://", "http://[", "https://h:"):
        found = endpoint_of(prefix + text)
        assert found is None or (found[0].host and 0 < found[0].port < 65536 and found[1].startswith("/"))
