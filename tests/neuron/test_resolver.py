from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import ConfigError
from node.neuron.config import Config
from node.neuron.flags import build_parser
from node.neuron.resolver import environment_name, resolve


def miner(*argv: str, **environ: str) -> Config:
    return resolve(build_parser("miner", prog="p"), ["--netuid", "8", *argv], environ)


def refusal(
    argv: Sequence[str] = (), environ: Mapping[str, str] | None = None, kind: str = "miner"
) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(build_parser(kind, prog="p"), argv, environ or {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def profile(folder: Path, text: str) -> str:
    path = folder / "profile.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


# Precedence -------------------------------------------------------------------------------------

SETTINGS = [
    # dest, default, and the value that flag, environment and profile give
    ("axon.port", 8091, ("1001", 1001), ("1002", 1002), ("1003", 1003)),
    ("wallet.name", "default", ("f", "f"), ("e", "e"), ("p", "p")),
    ("logging.trace", False, ("true", True), ("false", False), ("true", True)),
    ("axon.grace_s", 10.0, ("1.5", 1.5), ("2.5", 2.5), ("3", 3.0)),
]


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("config_first", [True, False])
@pytest.mark.parametrize("sources", list(product([True, False], repeat=3)))
@pytest.mark.parametrize("setting", SETTINGS, ids=[setting[0] for setting in SETTINGS])
def test_flag_beats_environment_beats_profile_beats_default(
    tmp_path: Path,
    setting: tuple[str, object, tuple[str, object], tuple[str, object], tuple[str, object]],
    sources: tuple[bool, bool, bool],
    config_first: bool,
    nested: bool,
) -> None:
    name, default, flag, variable, entry = setting
    by_flag, by_environment, by_profile = sources
    group, _, leaf = name.partition(".")
    line = f"{group}:\n  {leaf}: {entry[0]}\n" if nested else f"{name}: {entry[0]}\n"
    path = profile(tmp_path, line if by_profile else "")
    flags = [f"--{name}={flag[0]}"] if by_flag else []
    argv = ["--config", path, *flags] if config_first else [*flags, "--config", path]
    environ = {environment_name(name): variable[0]} if by_environment else {}
    config = miner(*argv, **environ)
    expected: tuple[object, str] = (default, "default")
    if by_profile:
        expected = (entry[1], f"file {path}")
    if by_environment:
        expected = (variable[1], f"environment {environment_name(name)}")
    if by_flag:
        expected = (flag[1], "flag")
    assert (config[name], config.source(name)) == expected
    assert type(config[name]) is type(expected[0])


@given(
    flag=st.none() | st.integers(0, 65535),
    variable=st.none() | st.integers(0, 65535),
    sdk=st.none() | st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    own=st.none() | st.from_regex(r"[a-z]{1,8}", fullmatch=True),
)
def test_any_mixture_gives_each_setting_its_strongest_source(
    flag: int | None, variable: int | None, sdk: str | None, own: str | None
) -> None:
    environ = {
        "GANGLION_AXON_PORT": None if variable is None else str(variable),
        "BT_WALLET_HOTKEY": sdk,
        "GANGLION_WALLET_HOTKEY": own,
    }
    argv = [] if flag is None else ["--axon.port", str(flag)]
    config = miner(*argv, **{name: value for name, value in environ.items() if value is not None})
    ports = [value for value in (flag, variable, 8091) if value is not None]
    assert config.axon.port == ports[0]
    assert config.wallet.hotkey == (own or sdk or "default")


@pytest.mark.parametrize("leaf", ["name", "hotkey", "path"])
def test_the_wallet_variables_of_the_sdk_count_and_say_so(leaf: str) -> None:
    config = miner(**{f"BT_WALLET_{leaf.upper()}": "mine"})
    assert config[f"wallet.{leaf}"] == "mine"
    assert config.source(f"wallet.{leaf}") == f"environment BT_WALLET_{leaf.upper()}"


def test_the_profile_itself_may_be_named_in_the_environment(tmp_path: Path) -> None:
    path = profile(tmp_path, "axon.port: 5")
    assert miner(GANGLION_CONFIG=path).axon.port == 5


def test_an_empty_variable_counts_as_not_set() -> None:
    config = miner(GANGLION_AXON_EXTERNAL_IP="", BT_WALLET_NAME="")
    assert config.axon.external_ip is None
    assert config.wallet.name == "default"


def test_the_last_of_two_equal_flags_counts() -> None:
    assert miner("--axon.port", "1", "--axon.port=2").axon.port == 2
    assert miner("--logging.trace", "--logging.trace=false").logging.trace is False
    assert miner("--logging.trace=false", "--logging.trace").logging.trace is True


def test_a_required_setting_may_come_from_anywhere(tmp_path: Path) -> None:
    parser = build_parser("miner", prog="p")
    assert resolve(parser, [], {"GANGLION_NETUID": "3"}).netuid == 3
    assert resolve(parser, ["--config", profile(tmp_path, "netuid: 4")], {}).netuid == 4


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--axon.prt", "1"], ["unknown flag --axon.prt", "did you mean --axon.port?"]),
        (["--axon.prt=1"], ["unknown flag --axon.prt;", "did you mean --axon.port?"]),
        (["--axon.por", "1"], ["unknown flag --axon.por", "--axon.port"]),
        (["-axon.port", "1"], ["-axon.port"]),
        (["--netuid", "8", "stray"], ["no place for the argument 'stray'"]),
        ([], ["--netuid is required", "GANGLION_NETUID", "--config"]),
        (["--netuid", "x"], ["--netuid must be", "'x'"]),
        (["--netuid", "8", "--axon.port", "65536"], ["--axon.port must be a port from 0 to 65535"]),
        (["--netuid", "8", "--axon.port"], ["--axon.port", "expected one argument"]),
        (["--netuid", "8", "--axon.max_workers", "0"], ["--axon.max_workers", "1 or more"]),
        (["--netuid", "8", "--axon.ip", "all"], ["--axon.ip must be an IP address"]),
        (["--netuid", "8", "--axon.protocols", "btauht"], ["--axon.protocols", "btauth?"]),
        (["--netuid", "8", "--axon.protocols", "fiber"], ["--axon.protocols", "'fiber'"]),
        (["--netuid", "8", "--neuron.engine", "ecco"], ["--neuron.engine", "did you mean echo?"]),
        (["--netuid", "8", "--neuron.token_delay", "-1"], ["--neuron.token_delay", "0 or more"]),
        (["--netuid", "8", "--logging.trace=maybe"], ["--logging.trace must be true or false"]),
        (["--netuid", "8", "--mock"], ["--mock is not available", "local"]),
        (["--netuid", "8", "--neuron.axon_off"], ["--neuron.axon_off", "serves nobody"]),
        (["--netuid", "8", "--config", "/no/such"], ["/no/such", "No such file"]),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(argv: list[str], words: list[str]) -> None:
    message = refusal(argv)
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("GANGLION_AXON_PROT", "1", ["GANGLION_AXON_PROT", "did you mean GANGLION_AXON_PORT?"]),
        ("GANGLION_AXON_PORT", "high", ["environment GANGLION_AXON_PORT must be a port"]),
        ("GANGLION_LOGGING_TRACE", "2", ["GANGLION_LOGGING_TRACE must be true or false"]),
        ("GANGLION_MOCK", "true", ["--mock is not available"]),
        ("GANGLION_PRINT_CONFG", "1", ["GANGLION_PRINT_CONFG"]),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(name: str, value: str, words: list[str]) -> None:
    message = refusal(["--netuid", "8"], {name: value})
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("axon:\n  prot: 1\n", ["line 2", "unknown key axon.prot", "did you mean axon.port?"]),
        ("axno:\n  port: 1\n", ["line 1", "unknown key axno"]),
        ("# one\naxon.port: high\n", ["line 2: axon.port must be a port", "'high'"]),
        ("axon.port: [1, 2]", ["axon.port must be one value, not a list"]),
        ("axon.port: {a: 1}", ["axon.port must have a value"]),
        ("axon.port: null", ["axon.port must have a value"]),
        ("axon: 5", ["line 1: axon must have keys below it"]),
        ("logging.trace: maybe", ["logging.trace must be true or false"]),
        ("mock: true", ["--mock is not available"]),
        ("config: other.yaml", ["unknown key config"]),
        ("print_config: true", ["unknown key print_config"]),
        ("axon.protocols: [btauth, other]", ["axon.protocols must be one of btauth, synapse"]),
    ],
)
def test_what_is_wrong_in_a_profile_is_named_with_its_line(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    path = profile(tmp_path, text)
    message = refusal(["--netuid", "8", "--config", path])
    assert [word for word in words if word not in message] == []
    assert path in message or "mock" in text


def test_a_variable_of_another_program_is_no_mistake() -> None:
    # One environment serves a miner and a query; only what nobody has is misspelt.
    parser = build_parser("query", prog="p")
    config = resolve(parser, ["hi", "--netuid", "8"], {"GANGLION_AXON_PORT": "1"})
    assert "axon.port" not in config


@pytest.mark.parametrize("name", ["GANGLION_HOME", "GANGLION_WALLET_PASSWORD"])
def test_variables_that_are_not_settings_are_left_alone(name: str) -> None:
    config = miner(**{name: "sesame"})
    assert "sesame" not in config.to_yaml()


def test_a_false_switch_that_could_not_be_honoured_is_fine(tmp_path: Path) -> None:
    assert miner("--config", profile(tmp_path, "mock: false")).mock is False


# Any parser -------------------------------------------------------------------------------------


def plain_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="plain")
    parser.add_argument("--my.size", type=int, default="5")
    parser.add_argument("--my.mode", choices=["fast", "slow"], default="slow")
    parser.add_argument("--off", dest="on", action="store_false")
    parser.add_argument("--verbose", "-v", action="count", default=0)
    parser.add_argument("--tag", action="append")
    parser.add_argument("--pair", nargs=2, type=int)
    parser.add_argument("--flag", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("rest", nargs="*")
    parser.set_defaults(extra="kept")
    return parser


def test_a_plain_parser_keeps_its_defaults_types_and_constants() -> None:
    config = resolve(plain_parser(), [], {})
    assert {name: config[name] for name in config} == {
        "my.size": 5,
        "my.mode": "slow",
        "on": True,
        "verbose": 0,
        "tag": None,
        "pair": None,
        "flag": True,
        "rest": [],
        "extra": "kept",
    }
    assert {config.source(name) for name in config} == {"default"}


def test_a_plain_parser_takes_flags_as_argparse_does() -> None:
    argv = ["--off", "-vv", "--tag", "a", "--tag", "b", "--pair", "1", "2", "--no-flag", "x", "y"]
    config = resolve(plain_parser(), [*argv, "--my.mode", "fast"], {})
    assert (config.on, config.verbose, config.tag, config.pair) == (False, 2, ["a", "b"], [1, 2])
    assert (config.flag, config.rest, config.my.mode) == (False, ["x", "y"], "fast")


def test_a_plain_parser_takes_variables_and_lists() -> None:
    environ = {"GANGLION_TAG": "a, b", "GANGLION_ON": "false", "GANGLION_PAIR": "3,4"}
    config = resolve(plain_parser(), [], environ)
    assert (config.tag, config.on, config.pair) == (["a", "b"], False, [3, 4])


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"GANGLION_MY_SIZE": "x"}, "environment GANGLION_MY_SIZE must be a valid int, not 'x'"),
        ({"GANGLION_MY_MODE": "fats"}, "must be one of fast, slow, not 'fats'; did you mean fast?"),
        ({"GANGLION_VERBOSE": "2"}, "GANGLION_VERBOSE can be given only as a flag"),
    ],
)
def test_a_plain_parsers_types_and_choices_hold_for_variables(
    environ: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=r"GANGLION_") as caught:
        resolve(plain_parser(), [], environ)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--my.mode", "fats"], "--my.mode must be one of fast, slow, not 'fats'"),
        (["--my.siz", "3"], "unknown flag --my.siz; did you mean --my.size?"),
        (["--my.size", "x"], "--my.size can't be used: invalid int value: 'x'"),
    ],
)
def test_a_plain_parser_abbreviates_nothing_and_raises(argv: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(plain_parser(), argv, {})
    assert words in str(caught.value)


def test_a_parser_is_left_as_it_was() -> None:
    parser = plain_parser()
    for argv in ([], ["--my.size", "9"], ["--nope"]):
        with suppress(ConfigError):
            resolve(parser, argv, {})
    assert parser.allow_abbrev
    assert vars(parser.parse_args([])) == {
        "my.size": 5, "my.mode": "slow", "on": True, "verbose": 0, "tag": None, "pair": None,
        "flag": True, "rest": [], "extra": "kept",
    }  # fmt: skip
    with pytest.raises(SystemExit):
        parser.parse_args(["--nope"])


def test_a_positional_may_be_required_and_come_from_the_environment() -> None:
    assert "PROMPT is required" in refusal(["--netuid", "8"], kind="query")
    parser = build_parser("query", prog="p")
    assert resolve(parser, ["--netuid", "8"], {"GANGLION_PROMPT": "hi"}).prompt == "hi"


def test_a_default_that_its_own_checker_refuses_is_told() -> None:
    parser = argparse.ArgumentParser(prog="p")
    parser.add_argument("--n", type=int, default="many")
    with pytest.raises(ConfigError, match="the default of n must be a valid int"):
        resolve(parser, [], {})


# The process's own command line -----------------------------------------------------------------


def test_without_arguments_it_is_the_program_and_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["p", "--netiud", "8"])
    with pytest.raises(SystemExit) as caught:
        resolve(build_parser("miner", prog="p"), environ={})
    assert caught.value.code == 2
    assert capsys.readouterr().err == "p: unknown flag --netiud; did you mean --netuid?\n"


def test_print_config_prints_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        miner("--axon.port=7", "--print_config", GANGLION_NEURON_NAME="n")
    assert caught.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith(("axon.port", "neuron.name"))] == [
        ["axon.port:", "7", "#", "flag"],
        ["neuron.name:", "n", "#", "environment", "GANGLION_NEURON_NAME"],
    ]
