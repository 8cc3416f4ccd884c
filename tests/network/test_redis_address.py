"""Addresses of a Redis: what is read, what is refused, and that no password is ever shown."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import errors, open_network
from node.network.redis_address import RedisAddress, without_password
from node.network.shared import open_shared_memory


@pytest.mark.parametrize(
    ("text", "url", "shown", "prefix"),
    [
        ("redis://h", "redis://h", "redis://h", "ganglion"),
        ("redis://h:1/2?prefix=x.y:z", "redis://h:1/2", "redis://h:1/2?prefix=x.y:z", "x.y:z"),
        ("redis://me:pw@h", "redis://me:pw@h", "redis://me:***@h", "ganglion"),
        ("redis://:p@w@h", "redis://:p@w@h", "redis://:***@h", "ganglion"),
        ("redis://me@h", "redis://me@h", "redis://me@h", "ganglion"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0", "redis://[::1]:6379/0", "ganglion"),
        ("rediss://h?ssl_cert_reqs=none&prefix=n", "rediss://h?ssl_cert_reqs=none",
         "rediss://h?ssl_cert_reqs=none&prefix=n", "n"),
        ("unix:///r.sock?db=1", "unix:///r.sock?db=1", "unix:///r.sock?db=1", "ganglion"),
        ("unix://me:pw@/run/r.sock", "unix://me:pw@/run/r.sock", "unix://me:***@/run/r.sock",
         "ganglion"),
    ],
)  # fmt: skip
def test_what_is_read(text: str, url: str, shown: str, prefix: str) -> None:
    address = RedisAddress.parse(text)
    assert (address.url, address.shown, address.prefix) == (url, shown, prefix)
    assert "pw" not in repr(address)
    assert address.key(8, "uids") == f"{prefix}:8:uids"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("redis:", "names no host"),
        ("redis://", "names no host"),
        ("redis://h:0", "names no host"),
        ("redis://h:70000", "is no address of a Redis"),
        ("redis://h/x", "names no database by number"),
        ("redis://h/0/1", "names no database by number"),
        ("redis://h/99999", "names no database by number"),
        ("redis://h#x", "is no address of a Redis"),
        ("redis://h?prefx=x", "has no option 'prefx'; did you mean 'prefix'?"),
        ("redis://h?socket_timeout=1", "has no option 'socket_timeout'; it has prefix"),
        ("redis://h?prefix=", "the prefix in"),
        ("redis://h?prefix=a%20b", "the prefix in"),
        ("redis://h?prefix", "is no address of a Redis"),
        ("redis://h?db=1", "has no option 'db'"),
        ("rediss://h?ssl_cert_req=none", "did you mean 'ssl_cert_reqs'?"),
        ("unix://host/r.sock", "names no socket"),
        ("unix://", "names no socket"),
        ("unix:///r.sock?db=x", "names no database by number"),
        ("redis://h?password=pw", "the password of redis://h?password=*** goes before the host"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        open_network(text)
    assert words in str(caught.value)


SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"redis://:{SECRET}@h:port/0",
        f"redis://:{SECRET}/x@h",
        f"redis://:/{SECRET}@h",
        f"redis://me:{SECRET}?a=b@h",
        f"redis://me:1?{SECRET}=b@h",
        f"redis://me:{SECRET}#x@h",
        f"redis://me:#{SECRET}@h",
        f"redis://me:[{SECRET}@h",
        f"redis://me:{SECRET}@h?password={SECRET}",
        f"redis://me:{SECRET}@h?PASSWORD={SECRET}",
        f"redis://me:{SECRET}@h?prefx=1",
        f"redis://me:{SECRET}@",
        f"redi://me:{SECRET}@h",
        f"unix://me:{SECRET}@host/x",
        f"local://me:{SECRET}@h?",
        f"redis:me:{SECRET}@h",
    ],
)
def test_no_error_repeats_a_password(text: str) -> None:
    for opened in (open_network, open_shared_memory):
        try:
            network = opened(text)
        except errors.ConfigError as error:
            shown: list[object] = [error, error.__cause__, error.__context__]
        else:
            assert text.startswith("local:")  # a file may have any name
            network.close()  # type: ignore[union-attr]
            continue
        assert not [one for one in shown if SECRET in str(one) or SECRET in repr(one)]


@given(st.text(), st.text(st.characters(exclude_characters="@/?#"), min_size=1))
def test_whatever_stands_before_the_host_is_hidden(user: str, place: str) -> None:
    shown = without_password(f"redis://{user.replace(':', '')}:{SECRET}@{place}")
    assert SECRET not in shown
    assert shown.endswith(f":***@{place}")


@given(st.text())
def test_any_text_is_an_address_or_a_config_error(text: str) -> None:
    for start in ("", "redis://", "redis://h?", "unix:///"):
        with suppress(errors.ConfigError):
            RedisAddress.parse(start + text)


def test_no_password_is_in_the_name_or_repr_of_what_is_opened() -> None:
    with open_network(f"redis://me:{SECRET}@h/1?prefix=x") as network:
        assert network.name == "redis://me:***@h/1?prefix=x"
        assert repr(network) == "<RedisNetwork redis://me:***@h/1?prefix=x>"
    memory = open_shared_memory(f"redis://me:{SECRET}@h/1")
    assert repr(memory) == "<RedisSharedMemory redis://me:***@h/1, ok>"


def test_a_shared_memory_is_a_redis() -> None:
    with pytest.raises(errors.ConfigError, match="'local' is no shared memory"):
        open_shared_memory("local")
    with pytest.raises(errors.ConfigError, match="max_lost_s"):
        open_shared_memory("redis://h", max_lost_s=-1.0)


WITHOUT_REDIS = """
import sys
sys.modules["redis"] = None
import node.network.shared
from node import errors, open_network
assert open_network("local").name == "local"
for opened in (open_network, node.network.shared.open_shared_memory):
    try:
        opened("redis://me:hunter2@h/0")
    except errors.ConfigError as error:
        print(error)
"""


def test_without_the_package_there_is_a_sentence_and_the_rest_works() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_REDIS],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    sentence = (
        "redis://me:***@h/0 needs the package redis; get it with: pip install 'ganglion[redis]'\n"
    )
    assert done.stdout == 2 * sentence


def test_the_package_is_loaded_by_nobody_else() -> None:
    program = (
        "import sys, node, node.axon, node.dendrite, node.network.shared, node.neuron.miner;"
        "print('redis' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
