"""`ganglion wallet new|list|show|import`: make, look at and take in wallets.

A secret is never taken from the command line, where other users and the shell's history see it,
and is printed by one flag only, `--show_mnemonic`. Heavy modules are imported when a command
runs, so that `--help` stays quick.
"""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node import errors

if TYPE_CHECKING:
    from node.keys import Keypair, Wallet

__all__ = ["add_parser"]

_SCHEMES = ("sr25519", "ed25519")
_DEFAULTS = {
    "wallet.name": "default",
    "wallet.hotkey": "default",
    "wallet.path": "~/.bittensor/wallets",
}
_MAX_INPUT_BYTES = 64 * 1024
_PIPE_COLUMNS = 240  # wide enough that nothing is cut where no terminal sets a width


def add_parser(subparsers: Any) -> None:
    """Add the `wallet` command and its four commands to an `argparse` sub-parser list."""
    about = "Make, look at and take in wallets."
    wallet = subparsers.add_parser("wallet", help=about, description=about, allow_abbrev=False)
    commands = wallet.add_subparsers(dest="wallet_command", metavar="COMMAND", required=True)
    _add_new(commands)
    _add_list(commands)
    _add_show(commands)
    _add_import(commands)


def _add_new(commands: Any) -> None:
    parser = _add_command(
        commands, "new", "Make a hotkey, and a coldkey too where the wallet has none.", run_new
    )
    _add_names(parser)
    parser.add_argument("--scheme", choices=_SCHEMES, default="sr25519", help="default: sr25519")
    parser.add_argument("--overwrite", action="store_true", help="replace a hotkey that is there")
    passwords = parser.add_mutually_exclusive_group()
    passwords.add_argument(
        "--no_password", action="store_true", help="don't encrypt the coldkey (default: encrypt)"
    )
    passwords.add_argument(
        "--encrypt", action="store_true", help="encrypt the hotkey too (default: don't)"
    )
    parser.add_argument(
        "--show_mnemonic", action="store_true", help="print the phrases of the keys made"
    )


def _add_list(commands: Any) -> None:
    parser = _add_command(commands, "list", "List the wallets of a folder.", run_list)
    _add_path(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_show(commands: Any) -> None:
    parser = _add_command(commands, "show", "Show one wallet and one of its hotkeys.", run_show)
    _add_names(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_import(commands: Any) -> None:
    parser = _add_command(
        commands,
        "import",
        "Take in a key. Its phrase, seed (hex), secret URI or key file is asked for without "
        "echo, or read from standard input, or from a file.",
        run_import,
    )
    _add_names(parser)
    parser.add_argument("--file", metavar="PATH", help="read from a file; - is standard input")
    parser.add_argument(
        "--key",
        choices=("hotkey", "coldkey", "coldkeypub"),
        default="hotkey",
        help="what to write (default: hotkey); coldkeypub takes an address",
    )
    parser.add_argument(
        "--scheme", choices=_SCHEMES, help="default: the key file's own, else sr25519"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a key that is there")
    passwords = parser.add_mutually_exclusive_group()
    passwords.add_argument("--no_password", action="store_true", help="don't encrypt a coldkey")
    passwords.add_argument("--encrypt", action="store_true", help="encrypt a hotkey")


def _add_command(commands: Any, name: str, about: str, run: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=about, allow_abbrev=False
    )
    parser.set_defaults(run=lambda args: _run(run, args))
    return parser


def _run(command: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a command with the key floor's warnings, of files that others may read, on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    logger = logging.getLogger("node.keys")
    logger.addHandler(handler)
    try:
        return command(args)
    finally:
        logger.removeHandler(handler)


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wallet.name", metavar="NAME", help="wallet (default: default)")
    parser.add_argument("--wallet.hotkey", metavar="NAME", help="hotkey (default: default)")
    _add_path(parser)


def _add_path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wallet.path", metavar="FOLDER", help="all wallets (default: ~/.bittensor/wallets)"
    )


def run_new(args: argparse.Namespace) -> int:
    """Make keys and print their addresses and files."""
    from node.keys.passwords import find_password

    wallet = _wallet(args)
    had_coldkey = wallet.has_coldkey
    encrypted = wallet.hotkey_path if had_coldkey else wallet.coldkey_path
    wallet.create(
        args.scheme,
        None if args.no_password else lambda: find_password(None, encrypted, new=True),
        args.overwrite,
        encrypt_hotkey=args.encrypt,
    )
    _print_entries([_entry(wallet, "coldkey"), _entry(wallet, "hotkey")])
    made = [("hotkey", wallet.hotkey)]
    if had_coldkey:
        print("The coldkey was there and is kept.")
    else:
        made.insert(0, ("coldkey", wallet.coldkey))
    if not args.show_mnemonic:
        print("The files hold the phrases; keep a copy of the files in a safe place.")
        return 0
    for role, keypair in made:
        print(f"{role} phrase: {keypair.secret.phrase or 'none, it was made from a seed'}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    """List all wallets; one that can't be read is marked and does not stop the rest."""
    from node.keys import Wallet

    path = _setting(args, "wallet.path")
    wallets = [
        {
            "name": found.name,
            "coldkey": _entry(found, "coldkey"),
            "hotkeys": [
                _entry(Wallet(found.name, hotkey, path), "hotkey")
                for hotkey in found.hotkey_names()
            ],
        }
        for found in Wallet.find(path)
    ]
    if args.json:
        _print_json(wallets)
    elif wallets:
        _print_tree(wallets)
    else:
        print(f"No wallets in {Path(path).expanduser()}. Make one with `ganglion wallet new`.")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Show one wallet; its hotkey must be there and readable, its coldkey need not."""
    wallet = _wallet(args)
    hotkey, coldkey = _describe(wallet, "hotkey"), _entry(wallet, "coldkey")
    if args.json:
        _print_json({"name": wallet.name, "coldkey": coldkey, "hotkeys": [hotkey]})
    else:
        print(f"wallet  {wallet.name} in {wallet.path}")
        _print_entries([coldkey, hotkey])
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Write a key that was made elsewhere."""
    from node.keys.passwords import find_password
    from node.keys.storage import already_there

    wallet = _wallet(args)
    target = getattr(wallet, f"{args.key}_path")
    if target.exists() and not args.overwrite:
        # Before a secret is typed in vain.
        raise already_there(target)
    source = target if args.file in (None, "-") else Path(args.file).expanduser()
    keypair = _parse_import(_read_import(args.file, args.key), args.scheme, source)
    encrypt = args.encrypt or (args.key == "coldkey" and not args.no_password)
    if args.key == "coldkeypub":
        wallet.set_coldkeypub(keypair, overwrite=args.overwrite)
    else:
        write = wallet.set_hotkey if args.key == "hotkey" else wallet.set_coldkey
        write(
            keypair,
            password=(lambda: find_password(None, target, new=True)) if encrypt else None,
            overwrite=args.overwrite,
        )
    role = "hotkey" if args.key == "hotkey" else "coldkey"
    _print_entries([_describe(wallet, role)])
    return 0


def _setting(args: argparse.Namespace, name: str) -> str:
    """A `--wallet.*` value: the flag, else the variable that bittensor reads, else the default."""
    variable = name.replace(".", "_").upper()
    given = getattr(args, name) or os.environ.get(f"BT_{variable}")
    return given or _DEFAULTS[name]


def _wallet(args: argparse.Namespace) -> Wallet:
    from node.keys import Wallet

    return Wallet(
        _setting(args, "wallet.name"),
        _setting(args, "wallet.hotkey"),
        _setting(args, "wallet.path"),
    )


def _describe(wallet: Wallet, role: str) -> dict[str, Any]:
    """What there is to say of a wallet's hotkey or coldkey; never asks for a password.

    Raises:
        WalletError: It is not there, can't be read, or its two files are of different keys.
    """
    is_hotkey = role == "hotkey"
    secret_path = wallet.hotkey_path if is_hotkey else wallet.coldkey_path
    public_path = wallet.hotkeypub_path if is_hotkey else wallet.coldkeypub_path
    public_half = wallet.hotkeypub if is_hotkey else wallet.coldkeypub
    entry = _blank(wallet, role) | {
        "address": public_half.ss58_address,
        "scheme": public_half.scheme,
        "state": "plain",
    }
    if not secret_path.exists():
        return entry | {"state": "public", "file": str(public_path)}
    if wallet.is_encrypted(secret_path):
        return entry | {"state": "encrypted"}
    held = wallet.hotkey if is_hotkey else wallet.coldkey
    if held != public_half:
        raise errors.CorruptKeyfile(f"{public_path} is of another key than {secret_path}")
    return entry


def _entry(wallet: Wallet, role: str) -> dict[str, Any]:
    """As `_describe`, with an error noted in the entry instead of raised."""
    try:
        return _describe(wallet, role)
    except errors.WalletNotFound:
        return _blank(wallet, role) | {"file": None}
    except errors.WalletError as error:
        return _blank(wallet, role) | {"state": "broken", "error": str(error)}


def _blank(wallet: Wallet, role: str) -> dict[str, Any]:
    is_hotkey = role == "hotkey"
    return {
        "role": role,
        "name": wallet.hotkey_name if is_hotkey else wallet.name,
        "address": None,
        "scheme": None,
        "state": "none",
        "file": str(wallet.hotkey_path if is_hotkey else wallet.coldkey_path),
        "error": None,
    }


def _read_import(file: str | None, what: str) -> bytes:
    from node.keys.storage import read_keyfile

    if file not in (None, "-"):
        try:
            return read_keyfile(Path(str(file)).expanduser())[0]
        except FileNotFoundError:
            # The text is not quoted: it may be a phrase that was put in the wrong place.
            raise errors.WalletNotFound(
                "there is no file of the name given by --file; "
                "leave --file out to type a phrase or seed at a prompt"
            ) from None
    if file is None and sys.stdin.isatty():
        try:
            return getpass.getpass(f"Phrase, seed or key file of the {what}: ").encode()
        except EOFError:
            raise errors.InvalidSecret("nothing was typed") from None
    return sys.stdin.buffer.read(_MAX_INPUT_BYTES)


def _parse_import(data: bytes, scheme: str | None, source: Path) -> Keypair:
    """The keypair in what was typed or read: a key file, hex, an address, a URI or a phrase."""
    from node.keys.keyfile import parse_keyfile
    from node.keys.passwords import find_password
    from node.keys.sealing import is_sealed, unseal

    try:
        if is_sealed(data):
            data = unseal(data, find_password(None, source))
        if not data.lstrip().startswith(b"{"):
            return _parse_secret(data, scheme or _SCHEMES[0])
        keypair = parse_keyfile(data)
    except errors.CorruptKeyfile as error:
        raise errors.CorruptKeyfile(f"the key file can't be taken in: {error}") from None
    except errors.WrongPassword:
        raise errors.WrongPassword("the password does not open the key file") from None
    if scheme not in (None, keypair.scheme):
        raise errors.WalletError(f"the key file holds an {keypair.scheme} key, not {scheme}")
    return keypair


def _parse_secret(data: bytes, scheme: str) -> Keypair:
    from node.keys import Keypair

    text = data.decode("utf-8", "replace").strip()
    words = text.split()
    digits = text.removeprefix("0x")
    if len(digits) in (64, 128) and set(digits.lower()) <= set("0123456789abcdef"):
        key = bytes.fromhex(digits)
        is_seed = len(digits) == 64
        return Keypair.from_seed(key, scheme) if is_seed else Keypair.from_private_key(key, scheme)
    if "/" in text:
        return Keypair.from_uri(text, scheme)
    if not words:
        raise errors.InvalidSecret("nothing was given to import")
    if len(words) == 1:
        try:
            return Keypair.from_address(text, scheme)
        except errors.InvalidAddress:
            # Its text quotes the address, and this may be a mistyped seed or a password.
            raise errors.InvalidSecret(
                "what was given is no phrase, seed, secret URI, address or key file"
            ) from None
    return Keypair.from_mnemonic(text, scheme)


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2))


def _print_entries(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        if entry["address"] is None:
            print(f"{entry['role']:<8}{entry['error'] or 'none'}")
        else:
            print(f"{entry['role']:<8}{entry['address']}  {entry['scheme']}  {entry['state']}")
            print(f"{'':<8}{entry['file']}")


def _print_tree(wallets: list[dict[str, Any]]) -> None:
    """A table with one block per wallet; what can't be read is explained below it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_COLUMNS)
    table = Table(box=None, pad_edge=False)
    table.add_column("wallet", overflow="fold")
    for title in ("address", "scheme", "key"):
        table.add_column(title, no_wrap=True)
    for label, entry in _rows(wallets):
        state = f"[red]{entry['state']}[/red]" if entry["error"] else entry["state"]
        table.add_row(escape(label), entry["address"] or "-", entry["scheme"] or "-", state)
    console.print(table)
    for _, entry in _rows(wallets):
        if entry["error"]:
            console.print(escape(entry["error"]), style="red", soft_wrap=True, highlight=False)


def _rows(wallets: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for wallet in wallets:
        yield wallet["name"], wallet["coldkey"]
        for number, hotkey in enumerate(wallet["hotkeys"], 1):
            branch = "└─" if number == len(wallet["hotkeys"]) else "├─"
            yield f"{branch} {hotkey['name']}", hotkey
