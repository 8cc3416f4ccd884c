from __future__ import annotations

import base64
import getpass
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import errors
from node.keys.passwords import PASSWORD_VARIABLE, ask_password, find_password

PATH = Path("/wallets/a.b/hotkeys/miner")
VARIABLE = "BT_PW__WALLETS_A_B_HOTKEYS_MINER"
# "testpass" under that name, as bittensor_core.save_password_to_environment stores it.
VEILED = base64.b64encode(
    bytes(a ^ b for a, b in zip(b"testpass", VARIABLE.encode(), strict=False))
).decode()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (PASSWORD_VARIABLE, "BT_WALLET_PASSWORD", VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())


def type_in(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """A terminal on which these are typed; returns the list of prompts to come."""
    prompts: list[str] = []
    coming: Iterator[str] = iter(answers)

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        for answer in coming:
            return answer
        raise EOFError

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", ask)
    return prompts


def test_what_the_program_gives_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "from variable")
    assert find_password("given", PATH) == "given"
    assert find_password(lambda: "called", PATH) == "called"


@pytest.mark.parametrize("source", ["", lambda: ""])
def test_an_empty_password_is_refused(source: str) -> None:
    with pytest.raises(errors.WalletError, match="empty"):
        find_password(source, PATH)


def test_order_of_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BT_WALLET_PASSWORD", "third")
    assert find_password(None, PATH) == "third"
    monkeypatch.setenv(PASSWORD_VARIABLE, "second")
    assert find_password(None, PATH) == "second"
    monkeypatch.setenv(VARIABLE, VEILED)
    assert find_password(None, PATH) == "testpass"
    assert find_password(None, PATH.with_name("other")) == "second"
    monkeypatch.setenv(VARIABLE, "")
    assert find_password(None, PATH) == "second"


def test_the_veil_is_that_of_bittensor(monkeypatch: pytest.MonkeyPatch) -> None:
    import bittensor_core

    monkeypatch.setenv(VARIABLE, VEILED)
    assert bittensor_core.get_password_from_environment(VARIABLE) == "testpass"


@pytest.mark.parametrize("value", ["plain words", "@@@@", base64.b64encode(b"\xff" * 9).decode()])
def test_a_plain_value_in_the_veiled_variable_is_told_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(errors.WalletError, match=VARIABLE) as caught:
        find_password(None, PATH)
    assert value not in str(caught.value)


def test_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = type_in(monkeypatch, "typed", "new", "new")
    assert find_password(None, PATH) == "typed"
    assert ask_password(PATH, new=True) == "new"
    assert prompts == [f"Password for {PATH}: ", f"New password for {PATH}: ", "The same again: "]


def test_two_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, "one", "two")
    with pytest.raises(errors.WalletError, match="differ") as caught:
        find_password(None, PATH, new=True)
    assert "one" not in str(caught.value)


def test_a_prompt_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch)
    with pytest.raises(errors.WalletError, match="no password was typed"):
        find_password(None, PATH)


@pytest.mark.parametrize("new", [False, True])
def test_without_a_terminal_the_error_says_what_to_do(new: bool) -> None:
    with pytest.raises(errors.WalletError) as caught:
        find_password(None, PATH, new=new)
    text = str(caught.value)
    assert str(PATH) in text
    assert PASSWORD_VARIABLE in text
    assert ("--no_password" in text) == new
