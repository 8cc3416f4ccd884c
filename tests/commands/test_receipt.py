"""`ganglion receipt verify`, on files that `ganglion query --save` wrote from real axons."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node import Keypair, Peer, Wallet, cli
from node.commands.saved_reply import SavedReply
from node.keys import ss58_decode, ss58_encode
from node.wire import DigestName, ReplyDigest
from node.wire.receipt import Receipt, _signed_text

from .programs import run
from .served import PIECES, WHOLE, served

ALICE = Keypair.from_uri("//Alice").ss58_address
BOB = Keypair.from_uri("//Bob")
Saved = dict[str, Path]
Output = pytest.CaptureFixture[str]
Document = dict[str, Any]
Alter = Callable[[Callable[[Document], Any]], Path]


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, Peer]]:
    with served() as peers:
        yield peers


@pytest.fixture(scope="module")
def saved(peers: dict[str, Peer], tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A saved stream, another of the same peer, and a saved document."""
    home = tmp_path_factory.mktemp("home")
    Wallet("default", "default", home / "wallets").create()
    found = {}
    for name, peer in (("stream", "stream"), ("other", "stream"), ("document", "document")):
        folder = home / name
        wallet = ["--wallet.path", str(home / "wallets")]
        argv = ["query", name, "--peers", str(peers[peer]), "--save", str(folder), *wallet]
        assert cli.main(argv) == 0
        (found[name],) = folder.iterdir()
    return found


def verify(path: Path, *flags: str) -> int:
    return cli.main(["receipt", "verify", str(path), *flags])


def load(path: Path) -> Document:
    document: Document = json.loads(path.read_text())
    return document


@pytest.fixture
def altered(saved: Saved, tmp_path: Path) -> Alter:
    """Writes the saved stream as a function has changed it."""

    def write(change: Callable[[Document], Any]) -> Path:
        document = load(saved["stream"])
        change(document)
        path = tmp_path / "altered.json"
        path.write_text(json.dumps(document))
        return path

    return write


def assert_refused(path: Path, words: str, capsys: Output, *flags: str) -> None:
    capsys.readouterr()
    assert verify(path, *flags) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"ganglion receipt: {path} does not hold: ")
    assert words in err


# What holds -------------------------------------------------------------------------------------


def test_a_saved_stream_is_told_in_words_and_checked_whole(
    saved: Saved, peers: dict[str, Peer], capsys: Output
) -> None:
    assert verify(saved["stream"], "--hotkey", peers["stream"].hotkey) == 0
    out = capsys.readouterr().out
    receipt = load(saved["stream"])["receipt"]
    first = f"{peers['stream'].hotkey} answered {receipt['caller']} with status 200.\n"
    assert out.startswith(first)
    assert "POST /StreamPrompting?timeout=10.0&stream=frames&digest=blake3\n" in out
    digest = receipt["reply"].removeprefix("blake3:")
    assert f"{len(PIECES)} chunks, {len(WHOLE.encode())} bytes\n          BLAKE3 {digest}\n" in out
    checked, _, rest = out.partition("Checked:\n")[2].partition("Not checked:\n")
    assert checked.count("- ") == 6
    assert rest.count("- ") == 1
    assert "the caller's own signature is not in the file" in rest


def test_times_are_utc_and_the_nodes_own(altered: Alter, capsys: Output) -> None:
    times = {
        "nonce_ns": 1_700_000_000_123_000_000,
        "started_ns": 1_700_000_000_250_000_000,
        "ended_ns": 1_700_000_002_000_000_000,
    }

    def change(document: Document) -> None:
        document.clear()
        document.update(signed(**times).to_document())

    assert verify(altered(change)) == 0
    out = capsys.readouterr().out
    assert "          2023-11-14 22:13:20.123 UTC, by the caller's clock\n" in out
    assert (
        "answered  2023-11-14 22:13:20.250 UTC to\n"
        "          2023-11-14 22:13:22.000 UTC, by the node's clock\n"
        "          1.750 s\n"
    ) in out


def test_as_json(saved: Saved, peers: dict[str, Peer], capsys: Output) -> None:
    assert verify(saved["stream"], "--json") == 0
    found = json.loads(capsys.readouterr().out)
    receipt = load(saved["stream"])["receipt"]
    assert found["holds"] is True
    assert (found["axon"], found["caller"]) == (peers["stream"].hotkey, receipt["caller"])
    assert (found["status"], found["chunks"]) == (200, len(PIECES))
    assert found["bytes"] == len(WHOLE.encode())
    assert found["reply_digest"] == receipt["reply"]
    assert found["duration_s"] == (receipt["ended_ns"] - receipt["started_ns"]) / 1e9
    assert found["checked"] == ["signature", "request", "request_ends", "request_body", "reply"]
    assert found["not_checked"] == ["hotkey"]
    verify(saved["stream"], "--json", "--hotkey", ALICE)
    found = json.loads(capsys.readouterr().out)
    assert found["holds"] is False
    assert ALICE in found["reason"]


def test_a_saved_document_is_checked_whole(saved: Saved, capsys: Output) -> None:
    document = load(saved["document"])
    assert "chunks" not in document
    assert json.loads(base64.b64decode(document["body"]))["completion"] == WHOLE
    assert verify(saved["document"]) == 0
    out = capsys.readouterr().out
    assert "reply     in one piece, " in out
    assert "the reply is the one that was signed" in out


def test_the_saved_body_of_the_request_has_the_prompt(saved: Saved) -> None:
    body = json.loads(base64.b64decode(load(saved["other"])["request_body"]))
    assert body["messages"] == ["other"]


def test_a_bare_receipt_holds_and_what_is_missing_is_told(
    saved: Saved, tmp_path: Path, capsys: Output
) -> None:
    path = tmp_path / "bare.json"
    path.write_bytes(SavedReply.parse(saved["stream"].read_bytes()).receipt.encode())
    assert verify(path) == 0
    out = capsys.readouterr().out
    assert "Checked:\n- the node's signature, which covers all of the above\nNot checked:" in out
    for missing in ("--hotkey ADDRESS", "the request itself is not", "the reply itself is not"):
        assert missing in out


@pytest.mark.parametrize("gone", ["request", "request_body", "chunks"])
def test_what_is_left_out_is_told(altered: Alter, gone: str, capsys: Output) -> None:
    assert verify(altered(lambda document: document.pop(gone)), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert ("reply" if gone == "chunks" else gone) in found["not_checked"]


def test_fields_that_nobody_signed_are_told(altered: Alter, capsys: Output) -> None:
    def change(document: Document) -> None:
        document["text"] = "what it never said"
        document["receipt"]["note"] = "\x1b[2Jgood"
        document["receipt"]["\x1b[2J"] = 1

    assert verify(altered(change)) == 0
    out = capsys.readouterr().out
    assert "nobody signed these fields of the file: text, receipt.note, receipt.\\x1b[2J\n" in out
    assert "\x1b" not in out


def test_standard_input_will_do(
    saved: Saved, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    data = saved["stream"].read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert cli.main(["receipt", "verify", "-"]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data[:-9])))
    assert cli.main(["receipt", "verify", "-"]) == 1
    assert "standard input does not hold: it is not JSON" in capsys.readouterr().err


def test_an_address_may_have_any_prefix(
    saved: Saved, peers: dict[str, Peer], capsys: Output
) -> None:
    other = ss58_encode(ss58_decode(peers["stream"].hotkey), 0)
    assert other != peers["stream"].hotkey
    assert verify(saved["stream"], "--hotkey", other) == 0


def test_it_needs_no_network_and_no_wallet(saved: Saved, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom node.cli import main\ncode = main(sys.argv[1:])\n"
        "heavy = {'aiohttp', 'sqlite3', 'rich', 'yaml', 'bittensor_core', 'matplotlib'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))\nsys.exit(code)\n"
    )
    done = run(
        tmp_path, "receipt", "verify", str(saved["stream"]), program=[sys.executable, "-c", script]
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


# What was tampered with -------------------------------------------------------------------------


@pytest.mark.parametrize("field", [f for f in Receipt.__slots__ if f != "scheme"])
def test_every_field_of_the_receipt_is_signed(altered: Alter, field: str, capsys: Output) -> None:
    def change(document: Document) -> None:
        value = document["receipt"][field]
        if isinstance(value, int):
            document["receipt"][field] = value + 1
        elif field in ("axon", "caller"):
            document["receipt"][field] = ALICE
        else:
            document["receipt"][field] = value[:-1] + ("0" if value[-1] != "0" else "1")

    # Bare, so that nothing but the signature speaks against it.
    def bare(document: Document) -> None:
        change(document)
        receipt = document["receipt"]
        document.clear()
        document.update(receipt)

    assert_refused(altered(change), "the receipt", capsys)
    assert_refused(altered(bare), "signature does not hold", capsys)


@pytest.mark.parametrize("field", Receipt.__slots__)
@pytest.mark.parametrize("value", [None, 1.5, True, [], "x", -1])
def test_a_field_of_another_kind_does_not_hold(
    altered: Alter,
    field: str,
    value: object,
    capsys: Output,
) -> None:
    assert_refused(
        altered(lambda document: document["receipt"].update({field: value})), "receipt", capsys
    )


def other_scheme(document: Document) -> None:
    document["receipt"]["scheme"] = "ed25519"


def flip(document: Document) -> None:
    chunk = bytearray(base64.b64decode(document["chunks"][2]))
    chunk[0] ^= 1
    document["chunks"][2] = base64.b64encode(chunk).decode()


def move_border(document: Document) -> None:
    first, second = (base64.b64decode(chunk) for chunk in document["chunks"][:2])
    document["chunks"][:2] = [
        base64.b64encode(part).decode() for part in (first + second[:1], second[1:])
    ]


def swap(document: Document) -> None:
    document["chunks"][0], document["chunks"][1] = document["chunks"][1], document["chunks"][0]


def as_body(document: Document) -> None:
    document["body"] = base64.b64encode(WHOLE.encode()).decode()
    del document["chunks"]


def request_line(number: int, text: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        lines = document["request"].split("\n")
        lines[number] = text
        document["request"] = "\n".join(lines)

    return change


TAMPERING: dict[str, tuple[Callable[[Document], Any], str]] = {
    "the scheme": (other_scheme, "signature does not hold"),
    "one bit of a chunk": (flip, "another reply"),
    "a chunk gone": (lambda d: d["chunks"].pop(3), "another reply"),
    "the last chunk gone": (lambda d: d["chunks"].pop(), "another reply"),
    "all chunks gone": (lambda d: d["chunks"].clear(), "another reply"),
    "a chunk twice": (lambda d: d["chunks"].insert(1, d["chunks"][1]), "another reply"),
    "an empty chunk more": (lambda d: d["chunks"].append(""), "another reply"),
    "two chunks swapped": (swap, "another reply"),
    "a border moved": (move_border, "another reply"),
    "chunks as a body": (as_body, "another reply"),
    "a body beside the chunks": (lambda d: d.update(body=""), "both chunks and a body"),
    "a chunk that is no base64": (lambda d: d["chunks"].__setitem__(1, "é"), "chunk 2 is not"),
    "a chunk with a line feed": (lambda d: d["chunks"].__setitem__(0, "b25l\n"), "chunk 1 is not"),
    "a chunk of a number": (lambda d: d["chunks"].__setitem__(0, 1), "chunk 1 is not base64"),
    "chunks of null": (lambda d: d.update(chunks=None), "chunks are not a list"),
    "chunks of text": (lambda d: d.update(chunks="b25l"), "chunks are not a list"),
    "the protocol": (request_line(0, "btauth/2"), "another request"),
    "the scheme of the request": (request_line(1, "ed25519"), "another request"),
    "the method": (request_line(2, "GET"), "another request"),
    "the target": (request_line(3, "/Other"), "another request"),
    "the digest of the body": (request_line(4, "0" * 64), "another request"),
    "the nonce": (request_line(5, "1"), "another request"),
    "the sender": (request_line(6, ALICE), "another request"),
    "the receiver": (request_line(7, "-"), "another request"),
    "a line more": (lambda d: d.update(request=d["request"] + "\n"), "another request"),
    "a request of null": (lambda d: d.update(request=None), "request is not a text"),
    "a request of a list": (lambda d: d.update(request=[]), "request is not a text"),
    "a request with half a character": (lambda d: d.update(request="\ud800"), "is not UTF-8"),
    "the request's body": (lambda d: d.update(request_body="e30="), "request's body is not the"),
    "a request's body of null": (lambda d: d.update(request_body=None), "is not base64"),
    "no receipt": (lambda d: d.pop("receipt"), "axon is missing"),
    "a receipt of null": (lambda d: d.update(receipt=None), "a receipt is a JSON object"),
    "a receipt of a list": (lambda d: d.update(receipt=[]), "a receipt is a JSON object"),
    "a field less": (lambda d: d["receipt"].pop("status"), "status is missing"),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_a_tampered_file_does_not_hold(altered: Alter, name: str, capsys: Output) -> None:
    change, words = TAMPERING[name]
    assert_refused(altered(change), words, capsys)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("receipt", "another request"),
        ("request", "another request"),
        ("request_body", "request's body is not the one"),
    ],
)
def test_a_part_of_another_reply_does_not_hold(
    saved: Saved,
    altered: Alter,
    field: str,
    words: str,
    capsys: Output,
) -> None:
    part = load(saved["other"])[field]
    assert_refused(altered(lambda document: document.update({field: part})), words, capsys)


def test_the_body_of_another_document_does_not_hold(
    saved: Saved, tmp_path: Path, capsys: Output
) -> None:
    path = tmp_path / "altered.json"
    path.write_text(json.dumps(load(saved["document"]) | {"body": "e30="}))
    assert_refused(path, "another reply", capsys)


def test_another_node_than_asked_for_does_not_hold(saved: Saved, capsys: Output) -> None:
    assert_refused(saved["stream"], f"not of {ALICE}", capsys, "--hotkey", ALICE)


def twice(data: bytes) -> bytes:
    return data.replace(b'"chunks": [', b'"chunks": ["Zm9v"],\n "chunks": [', 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (twice, "names a field twice"),
        (lambda data: data.replace(b'"status"', b'"status": 1, "status"'), "names a field twice"),
        (lambda data: data[:-5], "is not JSON"),
        (lambda data: data + b"{}", "is not JSON"),
        (lambda data: b"", "is not JSON"),
        (lambda data: b"\xff" + data, "is not JSON"),
        (lambda data: b"[" * 100_000, "is not JSON"),
        (lambda data: b"[" + data + b"]", "is a JSON object"),
        (lambda data: b"5", "is a JSON object"),
        (lambda data: b'{"status": 1' + b"0" * 5000 + b"}", "is not JSON"),
        (lambda data: b"{}", "axon is missing"),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_or_in_none_does_not_hold(
    saved: Saved, tmp_path: Path, change: Callable[[bytes], bytes], words: str, capsys: Output
) -> None:
    data = saved["stream"].read_bytes()
    path = tmp_path / "altered.json"
    path.write_bytes(change(data))
    assert path.read_bytes() != data
    assert_refused(path, words, capsys)


# A node that signs what is not so ---------------------------------------------------------------


def signed(**changes: Any) -> Receipt:
    """A receipt of Bob's for an answer to Alice, with a signature that holds."""
    fields: Document = {
        "axon": BOB.ss58_address,
        "caller": ALICE,
        "nonce_ns": 7,
        "request": "0" * 64,
        "status": 200,
        "chunks": 0,
        "reply": ReplyDigest().hexdigest(),
        "started_ns": 8,
        "ended_ns": 9,
        "scheme": "sr25519",
    }
    fields |= changes
    return Receipt(**fields, signature="0x" + BOB.sign(_signed_text(**fields)).hex())


@pytest.mark.parametrize("name", DigestName)
def test_a_stream_is_checked_by_either_digest(
    name: DigestName, tmp_path: Path, capsys: Output
) -> None:
    chunks = (b"one", b"two")
    digest = ReplyDigest(name)
    digest.add_all(chunks)
    receipt = signed(reply=digest.signed_text(), chunks=2)
    path = tmp_path / "reply.json"
    path.write_bytes(SavedReply(receipt, chunks=chunks).encode())
    assert verify(path) == 0
    out = capsys.readouterr().out
    assert f"{'SHA-256' if name == 'sha256' else 'BLAKE3'} {digest.hexdigest()}\n" in out
    assert "- the reply is the one that was signed, in all its bytes\n" in out
    path.write_bytes(SavedReply(receipt, chunks=(b"one", b"twO")).encode())
    assert_refused(path, "another reply", capsys)


def test_a_digest_that_is_not_known_is_told(tmp_path: Path, capsys: Output) -> None:
    receipt = signed(reply="sha3:" + "0" * 64, chunks=1)
    path = tmp_path / "reply.json"
    path.write_bytes(SavedReply(receipt, chunks=(b"one",)).encode())
    assert_refused(path, "'sha3', which is not known here", capsys)
    path.write_bytes(receipt.encode())
    assert verify(path) == 0
    out = capsys.readouterr().out
    assert "SHA3 " + "0" * 64 in out
    assert "- the reply itself is not in the file\n" in out


def request_text(**changes: str) -> bytes:
    lines = {
        "name": "btauth/1", "scheme": "sr25519", "method": "POST", "target": "/Echo",
        "body": "0" * 64, "nonce": "7", "sender": ALICE, "receiver": BOB.ss58_address,
    }  # fmt: skip
    return "\n".join((lines | changes).values()).encode()


def lied(request: bytes, **changes: Any) -> SavedReply:
    receipt = signed(**({"request": hashlib.sha256(request).hexdigest()} | changes))
    return SavedReply(receipt, request=request, chunks=())


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lied(request_text(sender=BOB.ss58_address)), "another caller than the request"),
        (lied(request_text(sender="x")), "the request's sender is not an address"),
        (lied(request_text(nonce="8")), "another nonce than the request"),
        (lied(request_text(nonce="07")), "another nonce than the request"),
        (lied(request_text(receiver=ALICE)), "the request was for another node"),
        (lied(request_text(receiver="x")), "the request's receiver is not an address"),
        (lied(request_text(target="/E\nx")), "not the eight lines of btauth/1"),
        (lied(request_text(), caller="x"), "the receipt's caller is not an address"),
        (SavedReply(signed(caller="x")), "the receipt's caller is not an address"),
        (lied(request_text(), ended_ns=10**40), "times is no time"),
        (replace(lied(request_text()), chunks=(b"x",)), "another reply"),
    ],
)
def test_a_receipt_that_contradicts_its_request_does_not_hold(
    reply: SavedReply, words: str, tmp_path: Path, capsys: Output
) -> None:
    path = tmp_path / "lie.json"
    path.write_bytes(reply.encode())
    assert_refused(path, words, capsys)


def test_a_request_of_another_protocol_is_known_by_its_digest_alone(
    saved: Saved, peers: dict[str, Peer], tmp_path: Path, capsys: Output
) -> None:
    asked = ["--peers", str(peers["stream"]), "--dendrite.protocols", "epistula"]
    wallets = str(saved["stream"].parents[1] / "wallets")
    folder = tmp_path / "saved"
    argv = ["query", "hi", *asked, "--save", str(folder), "--wallet.path", wallets]
    assert cli.main(argv) == 0
    (path,) = folder.iterdir()
    capsys.readouterr()
    assert verify(path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["checked"] == ["signature", "request", "reply"]
    assert found["not_checked"] == ["hotkey", "request_ends", "request_body"]
    document = load(path)
    document["request"] += "x"
    path.write_text(json.dumps(document))
    assert_refused(path, "another request", capsys)


def test_an_unbound_request_and_a_clock_that_stepped_back_do_hold(
    tmp_path: Path, capsys: Output
) -> None:
    path = tmp_path / "unbound.json"
    path.write_bytes(lied(request_text(receiver="-"), started_ns=2_000_000_000).encode())
    assert verify(path) == 0
    assert "          -2.000 s\n" in capsys.readouterr().out


def test_what_a_node_signed_can_not_drive_the_terminal(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "evil.json"
    path.write_bytes(lied(request_text(method="\x1b[2J", target="/\x9b\r\x07")).encode())
    assert verify(path) == 0
    out = capsys.readouterr().out
    assert "\\x1b[2J /\\x9b\\x0d\\x07\n" in out.replace("\\r", "\\x0d")
    assert not {"\x1b", "\x9b", "\r", "\x07"} & set(out)


def test_bytes_that_are_no_text_come_back_as_they_were() -> None:
    reply = lied(request_text() + b"\xff")
    assert SavedReply.parse(reply.encode()) == reply


# What can't be used -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["receipt", "verify", "no/such.json"], "no/such.json can't be read: No such file"),
        (["receipt", "verify", "."], ". can't be read: Is a directory"),
        (["receipt", "verify", "a\0b"], "can't be read: embedded null byte"),
        (["receipt", "verify", "~nobody-of-that-name/x"], "can't be read"),
        (["receipt", "verify", "-", "--hotkey", ALICE[:-1]], "--hotkey can't be used"),
        (["receipt", "verify"], "FILE"),
        (["receipt"], "COMMAND"),
        (["receipt", "verfy", "x"], "not 'verfy'; did you mean verify?"),
        (["receipt", "verify", "x", "--hotky", "y"], "--hotky; did you mean --hotkey?"),
    ],
)
def test_what_can_not_be_used_is_one_line_and_2(
    argv: list[str], words: str, capsys: Output
) -> None:
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


def test_a_file_without_end_is_not_read_to_its_end(
    saved: Saved, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr("node.commands.receipt._MAX_BYTES", 100)
    assert verify(saved["stream"]) == 2
    assert "is over 100 bytes" in capsys.readouterr().err
