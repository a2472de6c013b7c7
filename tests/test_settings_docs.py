import re
from dataclasses import fields
from pathlib import Path

import pytest

from reprove.settings import Settings, SettingsError, load

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def test_every_setting_is_documented_with_its_default_and_trust_consequence() -> None:
    documented = {row[0]: row[2].strip("`") for row in ROW.findall(PAGE.read_text())}
    actual = {}
    for field in fields(Settings):
        value = field.default
        text = "none" if value is None else "true" if value is True else "false" if value is False else str(value)
        actual[field.name] = "empty" if value in ("", ()) else text
    assert documented == actual


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"REPROVE_LIMT_TIME": "3"}, "did you mean 'limit_time'"),
        ({"REPROVE_PORT": "eighty"}, "setting port"),
        ({"REPROVE_PORT": "70000"}, "port must be 0 to 65535"),
        ({"REPROVE_DEPLOYMENT": "cloud"}, "single-host or split"),
        ({"REPROVE_LEASE_SECONDS": "5", "REPROVE_HEARTBEAT_SECONDS": "4"}, "at least twice"),
        ({"REPROVE_LIMIT_MEMORY": "4GB"}, "setting limit_memory"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(environment)


def test_the_environment_wins_over_the_file_and_units_are_read(tmp_path: Path) -> None:
    file = tmp_path / "reprove.toml"
    file.write_text('limit_time = "10m"\nlimit_memory = "1GiB"\nfetch_allow = ["a:1", "http://b:2"]\n')
    settings = load({"REPROVE_CONFIG": str(file), "REPROVE_LIMIT_TIME": "30m", "REPROVE_HOME": str(tmp_path)})
    assert (settings.limit_time, settings.limit_memory, settings.fetch_allow) == (1800, 1024**3, ("a:1", "http://b:2"))


def test_a_file_that_is_not_there_is_an_error_only_when_it_was_named(tmp_path: Path) -> None:
    assert load({"REPROVE_HOME": str(tmp_path)}).port == 8710
    with pytest.raises(SettingsError, match="No such file"):
        load({"REPROVE_CONFIG": str(tmp_path / "missing.toml")})
