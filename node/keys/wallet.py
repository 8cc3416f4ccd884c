"""Wallet folders as Bittensor users have them (WIRE.md §6).

::

    <path>/<name>/coldkey               the owner's key, usually encrypted
    <path>/<name>/coldkeypub.txt        its public half
    <path>/<name>/hotkeys/<hot>         a node's key, usually not encrypted
    <path>/<name>/hotkeys/<hot>pub.txt  its public half

A node signs with its hotkey and needs nothing else of the wallet.
"""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Any

from node import errors

from .keyfile import encode_keyfile, parse_keyfile
from .keypair import Keypair
from .passwords import PasswordSource, find_password
from .sealing import is_sealed, seal, unseal
from .storage import already_there, prepared_file, publish, read_keyfile

__all__ = ["DEFAULT_WALLET_PATH", "Wallet", "signer_of"]

DEFAULT_WALLET_PATH = "~/.bittensor/wallets"

_PUBLIC_SUFFIX = "pub.txt"
_MAX_NAME_CHARS = 200

_log = logging.getLogger(__name__)


class Wallet:
    """A named wallet: one coldkey and one of its hotkeys.

    The constructor touches no file. A key is read when it is first asked for and then kept, so
    that a password is asked once. Reading an encrypted key takes a second or two in which the
    interpreter does nothing else: do it before a node serves.

    Args:
        name: Folder of the wallet in `path`.
        hotkey: File of the hotkey in the folder's `hotkeys`.
        path: Folder of all wallets; a leading `~` is the home folder.
        password: For encrypted key files: a text, a callable that gives it when it is needed, or
            None to take it from the environment or a prompt (`node.keys.passwords`).

    Attributes:
        name: As given.
        hotkey_name: The `hotkey` argument.
        path: As given, expanded.
        coldkey_path: The four files, whether or not they are there.
        coldkeypub_path: See above.
        hotkey_path: See above.
        hotkeypub_path: See above.

    Raises:
        WalletError: A name could lead out of its folder or be taken for another file.
    """

    def __init__(
        self,
        name: str = "default",
        hotkey: str = "default",
        path: str | Path = DEFAULT_WALLET_PATH,
        password: PasswordSource = None,
    ) -> None:
        self.name = _check_name(name, "wallet")
        self.hotkey_name = _check_name(hotkey, "hotkey")
        if hotkey.endswith(_PUBLIC_SUFFIX):
            raise errors.WalletError(
                f"hotkey name {hotkey!r} ends like the file of a public key; choose another"
            )
        self.path = _expand(path)
        folder = self.path / name
        self.coldkey_path = folder / "coldkey"
        self.coldkeypub_path = folder / f"coldkey{_PUBLIC_SUFFIX}"
        self.hotkey_path = folder / "hotkeys" / hotkey
        self.hotkeypub_path = folder / "hotkeys" / f"{hotkey}{_PUBLIC_SUFFIX}"
        self._password = password
        self._kept: dict[Path, Keypair] = {}
        self._warned: set[Path] = set()

    @property
    def hotkey(self) -> Keypair:
        """The key that signs; read once and kept.

        Raises:
            WalletNotFound: No such file; the text says how to make one.
            CorruptKeyfile: Not a key file, or damaged.
            WrongPassword: The password does not open it.
            WalletError: It can't be read, or no password was given.
        """
        return self._secret_half(self.hotkey_path)

    @property
    def coldkey(self) -> Keypair:
        """The owner's key; read once and kept. Raises as `hotkey`."""
        return self._secret_half(self.coldkey_path)

    @property
    def hotkeypub(self) -> Keypair:
        """The public half of the hotkey; never asks for a password.

        Raises:
            WalletNotFound: Neither the public nor the secret file is there.
            CorruptKeyfile: The file that was read is not a key file, or damaged.
            WalletError: It can't be read, or there is only an encrypted file.
        """
        return self._public_half(self.hotkeypub_path, self.hotkey_path)

    @property
    def coldkeypub(self) -> Keypair:
        """The public half of the coldkey; never asks for a password. Raises as `hotkeypub`."""
        return self._public_half(self.coldkeypub_path, self.coldkey_path)

    @property
    def exists(self) -> bool:
        """Whether the file of the hotkey is there, which is all that a node needs."""
        return self.hotkey_path.is_file()

    @property
    def has_coldkey(self) -> bool:
        """Whether the coldkey or its public half is there."""
        return self.coldkey_path.exists() or self.coldkeypub_path.exists()

    def create(
        self,
        scheme: str = "sr25519",
        password: PasswordSource = None,
        overwrite: bool = False,
        *,
        encrypt_hotkey: bool = False,
    ) -> Wallet:
        """Make a new hotkey, and a coldkey too where the wallet has none. Returns itself.

        A coldkey that is there is never replaced: it may own funds. `set_coldkey` does that.

        Args:
            scheme: `sr25519` or `ed25519`, for both.
            password: Encrypts the coldkey; defaults to the wallet's own. A callable is called at
                most once, and only when something is to be encrypted. None writes plain files.
            overwrite: Replace a hotkey that is there.
            encrypt_hotkey: Encrypt the hotkey as well.

        Raises:
            WalletExists: The hotkey is there and is not to be replaced.
            WalletError: A file can't be written, the scheme is unknown, or `encrypt_hotkey` is
                asked for without a password. Nothing that was there is changed.
        """
        if self.exists and not overwrite:
            raise already_there(self.hotkey_path)
        # Both keys before the first write: an unknown scheme leaves no half wallet.
        hotkey, coldkey = Keypair.generate(scheme), Keypair.generate(scheme)
        needs_coldkey = not self.has_coldkey
        source = self._password if password is None else password
        if encrypt_hotkey and source is None:
            raise errors.WalletError("an encrypted hotkey needs a password")
        chosen: str | None = None
        if source is not None and (needs_coldkey or encrypt_hotkey):
            chosen = find_password(source, self.coldkey_path, new=True)
        if needs_coldkey:
            self.set_coldkey(coldkey, password=chosen)
        return self.set_hotkey(
            hotkey, password=chosen if encrypt_hotkey else None, overwrite=overwrite
        )

    def set_hotkey(
        self, keypair: Keypair, *, password: PasswordSource = None, overwrite: bool = False
    ) -> Wallet:
        """Write a hotkey and its public half. Returns the wallet.

        Args:
            keypair: A key that can sign.
            password: Encrypts the file; None writes it plain.
            overwrite: Replace a hotkey that is there.

        Raises:
            WalletExists: The hotkey is there and is not to be replaced.
            WalletError: The key can't sign, or a file can't be written.
        """
        self._write(keypair, self.hotkey_path, self.hotkeypub_path, password, overwrite)
        return self

    def set_coldkey(
        self, keypair: Keypair, *, password: PasswordSource = None, overwrite: bool = False
    ) -> Wallet:
        """Write a coldkey and its public half. Arguments and errors as `set_hotkey`."""
        self._write(keypair, self.coldkey_path, self.coldkeypub_path, password, overwrite)
        return self

    def set_coldkeypub(self, keypair: Keypair, *, overwrite: bool = False) -> Wallet:
        """Write only `coldkeypub.txt`, for a machine that is not to hold the coldkey.

        Raises:
            WalletExists: The file is there and is not to be replaced, or the coldkey itself is
                there, whose public half it must stay.
            WalletError: The file can't be written.
        """
        if self.coldkey_path.exists():
            raise already_there(self.coldkey_path)
        public_half = keypair.public_half()
        with prepared_file(self.coldkeypub_path, encode_keyfile(public_half)) as temporary:
            publish(temporary, self.coldkeypub_path, overwrite=overwrite)
        self._kept[self.coldkeypub_path] = public_half
        return self

    def is_encrypted(self, path: Path) -> bool:
        """Whether one of the wallet's files needs a password.

        Raises:
            WalletNotFound: It is not there.
            WalletError: It can't be read.
        """
        return is_sealed(self._read(path))

    def hotkey_names(self) -> list[str]:
        """The names of the wallet's hotkeys, sorted; also those with a public half only.

        Raises:
            WalletError: The folder can't be read.
        """
        names = {
            path.name.removesuffix(_PUBLIC_SUFFIX)
            for path in _visible(self.hotkey_path.parent)
            if path.is_file()
        }
        return sorted(name for name in names if not _fault_of(name))

    @classmethod
    def find(cls, path: str | Path = DEFAULT_WALLET_PATH) -> list[Wallet]:
        """The wallets in a folder, sorted by name, each with hotkey `default`.

        A folder that is not there has none. Folders that hold no key file are left out.

        Raises:
            WalletError: The folder can't be read.
        """
        folder = _expand(path)
        names = sorted(entry.name for entry in _visible(folder) if entry.is_dir())
        wallets = [cls(name, path=folder) for name in names]
        return [wallet for wallet in wallets if wallet.has_coldkey or wallet.hotkey_names()]

    def _secret_half(self, path: Path) -> Keypair:
        if path not in self._kept:
            keypair = self._parse(path, self._read(path), may_ask=True)
            self._kept[path] = keypair
        return self._kept[path]

    def _public_half(self, public_path: Path, secret_path: Path) -> Keypair:
        if public_path not in self._kept:
            if secret_path in self._kept:
                keypair = self._kept[secret_path]
            elif public_path.exists():
                keypair = self._parse(public_path, self._read(public_path), may_ask=False)
            else:
                keypair = self._parse(secret_path, self._read(secret_path), may_ask=False)
            self._kept[public_path] = keypair.public_half()
        return self._kept[public_path]

    def _read(self, path: Path) -> bytes:
        try:
            data, exposed = read_keyfile(path)
        except FileNotFoundError:
            raise self._not_found(path) from None
        except errors.CorruptKeyfile as error:
            raise self._damaged(path, error) from None
        is_public = path.name.endswith(_PUBLIC_SUFFIX)
        if exposed and not is_public and path not in self._warned:
            self._warned.add(path)
            _log.warning("other users may read the key file %s; run `chmod 600` on it", path)
        return data

    def _parse(self, path: Path, data: bytes, *, may_ask: bool) -> Keypair:
        """The keypair in a file's bytes; the border that puts its name into the errors."""
        try:
            if is_sealed(data):
                if not may_ask:
                    raise errors.WalletError(
                        f"{path} is encrypted and there is no public file beside it; "
                        f"import the key again to write one"
                    )
                data = unseal(data, find_password(self._password, path))
            return parse_keyfile(data)
        except errors.CorruptKeyfile as error:
            raise self._damaged(path, error) from None
        except errors.WrongPassword:
            raise errors.WrongPassword(f"the password does not open {path}") from None

    def _write(
        self,
        keypair: Keypair,
        secret_path: Path,
        public_path: Path,
        password: PasswordSource,
        overwrite: bool,
    ) -> None:
        if not keypair.can_sign:
            raise errors.WalletError(f"{keypair.ss58_address} is only the public half of a key")
        if not overwrite:
            self._check_free(keypair, secret_path, public_path)
        public_data, secret_data = encode_keyfile(keypair.public_half()), encode_keyfile(keypair)
        if password is not None:
            secret_data = seal(secret_data, find_password(password, secret_path, new=True))
        with (
            prepared_file(public_path, public_data) as public_temporary,
            prepared_file(secret_path, secret_data) as secret_temporary,
        ):
            # An old public file must not outlive its secret: without one, the secret is read.
            if overwrite:
                public_path.unlink(missing_ok=True)
            publish(secret_temporary, secret_path, overwrite=overwrite)
            publish(public_temporary, public_path, overwrite=True)
        self._kept[secret_path] = keypair
        self._kept[public_path] = keypair.public_half()

    def _check_free(self, keypair: Keypair, secret_path: Path, public_path: Path) -> None:
        if secret_path.exists():
            raise already_there(secret_path)
        # The public half alone may be kept here; it must not become another key's.
        if public_path.exists() and self._public_half(public_path, secret_path) != keypair:
            raise already_there(public_path)

    def _not_found(self, path: Path) -> errors.WalletNotFound:
        command = f"ganglion wallet new --wallet.name {shlex.quote(self.name)}"
        what = "coldkey"
        if path in (self.hotkey_path, self.hotkeypub_path):
            command += f" --wallet.hotkey {shlex.quote(self.hotkey_name)}"
            what = f"hotkey {self.hotkey_name!r}"
        if self.path != _expand(DEFAULT_WALLET_PATH):
            command += f" --wallet.path {shlex.quote(str(self.path))}"
        return errors.WalletNotFound(
            f"wallet {self.name!r} has no {what}: {path} does not exist; make one with `{command}`"
        )

    def _damaged(self, path: Path, error: errors.CorruptKeyfile) -> errors.CorruptKeyfile:
        is_coldkey = path in (self.coldkey_path, self.coldkeypub_path)
        command = "ganglion wallet import --overwrite" + (" --key coldkey" if is_coldkey else "")
        return errors.CorruptKeyfile(
            f"{path} is damaged or no key file: {error}; it was left as it is, so restore it "
            f"from a backup, or its key from the phrase with `{command}`"
        )

    def __repr__(self) -> str:
        return f"<Wallet {self.name!r} hotkey {self.hotkey_name!r} in {str(self.path)!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # The name of a wallet may travel to another process; keys and passwords may not.
        return Wallet, (self.name, self.hotkey_name, self.path)


def signer_of(wallet: Wallet | Keypair) -> Keypair:
    """The key that signs for a node: the hotkey of a wallet, or the keypair itself.

    Raises:
        WalletError: There is only the public half, or as `Wallet.hotkey`.
        TypeError: It is neither.
    """
    if not isinstance(wallet, Wallet | Keypair):
        raise TypeError(f"a Wallet or a Keypair is needed, not {type(wallet).__name__}")
    keypair = wallet.hotkey if isinstance(wallet, Wallet) else wallet
    if not keypair.can_sign:
        raise errors.WalletError(f"{keypair.ss58_address} can't sign: it is only a public key")
    return keypair


def _check_name(name: str, what: str) -> str:
    if fault := _fault_of(name):
        raise errors.WalletError(f"{what} name {name[:_MAX_NAME_CHARS]!r} {fault}")
    return name


def _fault_of(name: str) -> str:
    """Why a name can't be one folder's or file's own name, or nothing."""
    if not 0 < len(name) <= _MAX_NAME_CHARS:
        return f"is not 1 to {_MAX_NAME_CHARS} characters long"
    if name.startswith("."):
        return "starts with a dot"
    if not name.isprintable() or set(name) & set("/\\:"):
        return "holds a slash, a colon or a character that can't be printed"
    return ""


def _expand(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise errors.WalletError(f"the home folder in {str(path)!r} is unknown") from None


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, less what no wallet or hotkey can be called."""
    try:
        return [entry for entry in folder.iterdir() if not _fault_of(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise errors.WalletError(f"{folder} can't be read: {error.strerror}") from error
