"""Addresses of a Redis: what may be in one, and how it is shown without its password.

`redis://`, `rediss://` (TLS) and `unix://` addresses have the form that redis-py reads, less the
options that would change how this package talks to Redis. One option is our own: `prefix`, what the
names of all keys begin with, so that several registries fit one Redis.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from node import errors

__all__ = ["SCHEMES", "RedisAddress", "needing_redis", "without_password"]

SCHEMES = ("redis", "rediss", "unix")
DEFAULT_PREFIX = "ganglion"
TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_cert_reqs",
    "ssl_check_hostname",
    "ssl_keyfile",
)
MAX_DB = 2**16

_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_QUERY_SECRET = re.compile(r"((?:password|passwd|token|secret)=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis, and the keys there that are ours.

    Attributes:
        url: What redis-py connects to. It may hold a password and is not in the repr.
        shown: The same as it was given, with `***` for the password.
        prefix: What the names of all keys begin with.
    """

    url: str = field(repr=False)
    shown: str
    prefix: str = DEFAULT_PREFIX

    @classmethod
    def parse(cls, text: str) -> RedisAddress:
        """Read `redis://[user:password@]host[:port][/db][?prefix=NAME]`.

        `rediss://` is the same over TLS, with the options `ssl_ca_certs`, `ssl_certfile`,
        `ssl_keyfile` (files), `ssl_cert_reqs` and `ssl_check_hostname`. A socket on this machine is
        `unix://[user:password@]/path/to/redis.sock[?db=N&prefix=NAME]`.

        Raises:
            errors.ConfigError: It can't be read; the text does not repeat a password.
        """
        shown = without_password(text)
        parts, options = _read_parts(text, shown)
        _check_place(parts, shown)
        prefix = options.pop("prefix", DEFAULT_PREFIX)
        if not _PREFIX.fullmatch(prefix):
            raise errors.ConfigError(
                f"the prefix in {shown} must be up to 64 letters, digits and any of _.:-"
            )
        _check_options(parts.scheme, options, shown)
        query = f"?{urlencode(options)}" if options else ""
        return cls(f"{parts.scheme}://{parts.netloc}{parts.path}{query}", shown, prefix)

    def key(self, *parts: object) -> str:
        """Return the name of a key: the prefix and the parts, with colons between."""
        return ":".join(map(str, (self.prefix, *parts)))


@contextmanager
def needing_redis(address: str) -> Iterator[None]:
    """Tell who imports what needs the package redis how to get it, where it is not there.

    Raises:
        errors.ConfigError: It is not.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "redis":
            raise
        raise errors.ConfigError(
            f"{without_password(address)} needs the package redis; get it with: "
            "pip install 'ganglion[redis]'"
        ) from error


def without_password(text: str) -> str:
    """Return an address as it may be shown: `***` for whatever may be a password.

    Args:
        text: Any address or network name, well formed or not.
    """
    hidden = _QUERY_SECRET.sub(r"\1***", text)
    mark = "://" if "://" in hidden else ":"
    scheme, _, rest = hidden.partition(mark)
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}{mark}{user}:***@{place}" if at and colon else hidden


def _read_parts(text: str, shown: str) -> tuple[SplitResult, dict[str, str]]:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is not a port
        if not parts.query:
            return parts, {}
        if "@" not in parts.query:  # else it is the rest of a password with a "?" in it
            return parts, dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
    except ValueError:
        pass
    # Not raised from the ValueError, which quotes what stands where the port should: a password.
    raise errors.ConfigError(
        f"{shown} is no address of a Redis; write redis://user:password@host:port/db, with "
        "special characters of the password percent-encoded"
    )


def _check_place(parts: SplitResult, shown: str) -> None:
    if parts.scheme not in SCHEMES or parts.fragment:
        raise errors.ConfigError(f"{shown} is no address of a Redis; write redis://host:port/db")
    if parts.scheme == "unix":
        if not parts.path or parts.hostname:
            raise errors.ConfigError(f"{shown} names no socket; write unix:///path/to/redis.sock")
        return
    if not parts.hostname or parts.port == 0:
        raise errors.ConfigError(f"{shown} names no host; write redis://host:port/db")
    database = parts.path.removeprefix("/")
    if database and not (database.isascii() and database.isdigit() and int(database) < MAX_DB):
        raise errors.ConfigError(f"{shown} names no database by number; write redis://host:port/0")


def _check_options(scheme: str, options: dict[str, str], shown: str) -> None:
    known = ["prefix"]
    known += {"unix": ["db"], "rediss": TLS_OPTIONS, "redis": []}[scheme]
    for name in options:
        if name in {"password", "username"}:
            raise errors.ConfigError(
                f"the {name} of {shown} goes before the host, as in redis://user:password@host"
            )
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(known)}"
            raise errors.ConfigError(f"{shown} has no option {name!r}; {hint}")
    if "db" in options and not options["db"].isdigit():
        raise errors.ConfigError(f"{shown} names no database by number; write unix://...?db=0")
