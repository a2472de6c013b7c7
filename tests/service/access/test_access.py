"""Tokens, enrolled keys, audit: what opens which door and what is left of it in records."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove import signers
from reprove.core.digests import sha256
from reprove.core.errors import OwnError, ProblemError
from service.access import enrolled, tokens
from service.access.authentication import authenticate, may_name, require
from service.access.enrolled import Enrolled, EnrolledFile, EnrolledKey, parse_enrolled
from service.records import audit, times
from service.records.principals import Principal, Role
from tests.service.world import START, World

DAY = timedelta(days=1)


def refused(world: World, header: str | None, when: timedelta = timedelta(0)) -> str:
    with pytest.raises(ProblemError) as caught:
        authenticate(world.db, header, times.now() + when)
    assert caught.value.problem.slug == "unauthenticated"
    return caught.value.problem.detail


def test_a_good_token_says_who_it_is(world: World) -> None:
    principal = authenticate(world.db, f"Bearer {world.tokens['client']}", times.now())
    assert (principal.subject, principal.roles) == ("client", {Role.SUBMIT, Role.READ, Role.DECIDE})


def test_every_bad_token_is_refused_with_its_reason(world: World) -> None:
    token = world.tokens["client"]
    assert "send `Authorization" in refused(world, None)
    assert "send `Authorization" in refused(world, f"Basic {token}")
    assert "not a token" in refused(world, f"Bearer {token}x")
    assert "not a token" in refused(world, f"Bearer  {token}")
    assert "not known" in refused(world, f"Bearer {tokens.PREFIX}{'A' * 43}")
    assert "expired" in refused(world, f"Bearer {token}", 31 * DAY)
    principal = world.principals["client"]
    with world.db.write() as conn:
        assert principal.token_id is not None
        tokens.revoke(conn, principal.token_id, now=times.now())
    assert "revoked" in refused(world, f"Bearer {token}")


def test_a_token_is_nowhere_at_rest(world: World) -> None:
    secret = world.tokens["client"]
    world.db.close()
    stored = b"".join(file.read_bytes() for file in world.home.glob("records.db*"))
    assert secret.encode() not in stored
    assert secret.removeprefix(tokens.PREFIX).encode() not in stored
    assert sha256(secret.encode()).encode() in stored


def test_roles_do_not_include_each_other(world: World) -> None:
    for name in Role:
        principal = Principal(world.principals["client"].id, "i", "s", "k", frozenset({name}))
        for role in Role:
            if role is name:
                require(principal, role)
            else:
                with pytest.raises(ProblemError) as caught:
                    require(principal, role)
                assert caught.value.problem.slug == "forbidden"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roles": []}, "at least one role"),
        ({"lifetime": timedelta(0)}, "ends, within ten years"),
        ({"lifetime": timedelta(days=4000)}, "ends, within ten years"),
        ({"subject": ""}, "1 to 200 characters"),
        ({"prefixes": ["pkg:pypi/foo"]}, "must start with pkg: and end in / or @"),
        ({"prefixes": ["https://x/"]}, "must start with pkg: and end in / or @"),
    ],
)
def test_a_token_without_role_end_or_proper_prefix_is_not_made(world: World, options: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"subject": "x", "roles": [Role.READ], "lifetime": DAY, "now": times.now()}
    before = len(world.sql("SELECT * FROM token"))
    with pytest.raises(ProblemError, match=message), world.db.write() as conn:
        tokens.issue(conn, **(good | options))  # type: ignore[arg-type]
    assert len(world.sql("SELECT * FROM token")) == before


def test_own_artifacts_are_named_under_granted_prefixes_only(world: World) -> None:
    with world.db.write() as conn:
        made = tokens.issue(conn, subject="ci", roles=[Role.SUBMIT], lifetime=DAY, now=times.now(), prefixes=["pkg:generic/acme/", "pkg:pypi/acme@"])
    principal = authenticate(world.db, f"Bearer {made.secret}", times.now())
    assert may_name(principal, "pkg:generic/acme/tool@1.0")
    assert may_name(principal, "pkg:pypi/acme@1.0")
    assert not may_name(principal, "pkg:pypi/acme-evil@1.0")
    assert not may_name(world.principals["client"], "pkg:generic/acme/tool@1.0")


def test_making_and_revoking_tokens_is_audited_without_the_secret(world: World) -> None:
    with world.db.write() as conn:
        made = tokens.issue(conn, subject="ci", roles=[Role.SUBMIT], lifetime=DAY, now=times.now())
        tokens.revoke(conn, made.id, now=times.now())
        tokens.revoke(conn, made.id, now=times.now())
    with world.db.read() as conn:
        rows = audit.of_target(conn, made.id)
    assert [row["action"] for row in rows] == ["token.create", "token.revoke", "token.revoke"]
    assert made.secret not in json.dumps(rows, default=str)
    assert world.sql("SELECT revoked FROM token WHERE id = ?", made.id)[0].revoked is not None


def test_an_unknown_token_is_not_revoked(world: World) -> None:
    with pytest.raises(ProblemError) as caught, world.db.write() as conn:
        tokens.revoke(conn, "tk-none", now=times.now())
    assert caught.value.problem.slug == "not-found"


def test_a_key_counts_between_its_two_moments(tmp_path: Path) -> None:
    key = signers.generate(tmp_path / "k.key").public_key
    row = EnrolledKey("w", Role.WORK, key, START, START + DAY)
    listed = Enrolled((row,))
    assert listed.valid(Role.WORK, START - DAY) == ()
    assert listed.valid(Role.WORK, START) == (key,)
    assert listed.valid(Role.WORK, START + DAY) == ()
    assert listed.valid(Role.RESOLVE, START) == ()
    assert listed.find(key.fingerprint, Role.WORK, START) == key


def test_the_list_survives_its_own_encoding_and_is_read_again_when_replaced(tmp_path: Path) -> None:
    keys = [signers.generate(tmp_path / f"{n}.key").public_key for n in range(2)]
    rows = (EnrolledKey("a", Role.WORK, keys[0], START), EnrolledKey("b", Role.RESOLVE, keys[1], START, START + DAY))
    enrolled.store(tmp_path, Enrolled(rows))
    file = EnrolledFile(tmp_path)
    assert file.current() == Enrolled(rows) == parse_enrolled(Enrolled(rows).encode())
    enrolled.store(tmp_path, Enrolled(rows[:1]))
    assert file.current() == Enrolled(rows[:1])
    assert [path.name for path in tmp_path.glob(".enrolled*")] == []


def test_a_missing_or_broken_list_enrolls_nobody(tmp_path: Path) -> None:
    with pytest.raises(OwnError, match="run `reprove init`"):
        EnrolledFile(tmp_path).current()
    (tmp_path / "enrolled.json").write_text("{}")
    with pytest.raises(OwnError, match="not a list of enrolled keys"):
        EnrolledFile(tmp_path).current()


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=8),
        lambda each: st.lists(each) | st.dictionaries(st.sampled_from(["kind", "version", "keys", "name", "role", "spki", "from", "until"]), each),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_a_list_or_a_problem(data: bytes) -> None:
    try:
        parse_enrolled(data)
    except ProblemError:
        return
