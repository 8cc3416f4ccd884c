"""Receipts: what is signed can be proved from stored bytes, and nothing else can."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import BadReceipt, BadSignature, WalletError
from node.keys import Keypair, ss58_encode
from node.wire import Caller, DigestName, Receipt, ReplyDigest, btauth, sign_receipt

NOW = 1_735_689_600_123_456_789
ALICE = Keypair.from_uri("//Alice")
BOB = Keypair.from_uri("//Bob")
BOB_ED = Keypair.from_uri("//Bob", scheme="ed25519")
MALLORY = Keypair.from_uri("//Mallory")
CHUNKS = [b"one", b"", b"\x00two", "drei é".encode()]
TARGET = "/Words?timeout=12.0&stream=frames"


def alices_request(nonce_ns: int = NOW, target: str = TARGET) -> Caller:
    """Return Alice as verified by Bob's node for one request."""
    headers = btauth.sign(
        ALICE, method="POST", target=target, body=b"{}", receiver=BOB.ss58_address,
        nonce_ns=nonce_ns,
    )  # fmt: skip
    return btauth.verify(
        headers, b"{}", method="POST", target=target, receiver=BOB.ss58_address, now_ns=nonce_ns
    )


def digest_of(chunks: list[bytes], name: DigestName = DigestName.SHA256) -> str:
    digest = ReplyDigest(name)
    digest.add_all(chunks)
    return digest.signed_text()


def signed(keypair: Keypair = BOB, **changes: Any) -> Receipt:
    options: dict[str, Any] = {
        "status": 200,
        "chunks": len(CHUNKS),
        "reply": digest_of(CHUNKS),
        "started_ns": NOW + 1,
        "ended_ns": NOW + 2,
        **changes,
    }
    return sign_receipt(keypair, alices_request(), **options)


RECEIPT = signed()


def altered(**changes: Any) -> Receipt:
    return replace(RECEIPT, **changes)


@pytest.mark.parametrize("keypair", [BOB, BOB_ED], ids=["sr25519", "ed25519"])
def test_a_receipt_holds_for_its_signer_and_says_what_was_signed(keypair: Keypair) -> None:
    receipt = signed(keypair)
    receipt.verify()
    receipt.verify(keypair.ss58_address)
    receipt.check_chunks(CHUNKS)
    receipt.check_request(alices_request().request_digest)
    assert (receipt.axon, receipt.scheme) == (keypair.ss58_address, keypair.scheme)
    assert (receipt.caller, receipt.nonce_ns) == (ALICE.ss58_address, NOW)
    assert (receipt.status, receipt.chunks) == (200, 4)
    assert (receipt.started_ns, receipt.ended_ns) == (NOW + 1, NOW + 2)


def test_the_signed_text_is_that_of_the_protocol() -> None:
    """The eleven lines of docs/protocol.md §8.3, made here by hand."""
    request = "\n".join(
        ["btauth/1", "sr25519", "POST", TARGET, hashlib.sha256(b"{}").hexdigest(), str(NOW),
         ALICE.ss58_address, BOB.ss58_address]
    )  # fmt: skip
    framed = b"".join(len(chunk).to_bytes(4, "big") + chunk for chunk in CHUNKS)
    text = "\n".join(
        ["ganglion/receipt/1", "sr25519", BOB.ss58_address, ALICE.ss58_address, str(NOW),
         hashlib.sha256(request.encode()).hexdigest(), "200", "4",
         hashlib.sha256(framed).hexdigest(), str(NOW + 1), str(NOW + 2)]
    )  # fmt: skip
    BOB.verify(text.encode(), bytes.fromhex(RECEIPT.signature.removeprefix("0x")))


def test_stored_bytes_are_enough() -> None:
    stored = RECEIPT.encode()
    found = Receipt.parse(stored)
    assert found == RECEIPT
    found.verify(BOB.ss58_address)
    assert Receipt.parse(stored.decode()) == RECEIPT
    assert Receipt.of_document(json.loads(stored)) == RECEIPT
    assert {field.name for field in fields(Receipt)} == json.loads(stored).keys()


def test_fields_that_are_not_known_do_not_spoil_a_receipt() -> None:
    document = {**RECEIPT.to_document(), "later": [1, None]}
    Receipt.parse(json.dumps(document)).verify(BOB.ss58_address)


def test_a_header_holds_a_receipt() -> None:
    text = RECEIPT.to_header()
    assert text.isascii()
    assert not set(text) & set("\r\n ,;")
    assert Receipt.of_header(text) == RECEIPT


@pytest.mark.parametrize("prefix", [0, 2, 42, 13116])
def test_the_key_counts_and_not_the_spelling_of_its_address(prefix: int) -> None:
    RECEIPT.verify(ss58_encode(BOB.public_key, prefix))


def other_value(field: str) -> Any:
    value = getattr(RECEIPT, field)
    if isinstance(value, int):
        return value + 1
    return {
        "axon": MALLORY.ss58_address,
        "caller": BOB.ss58_address,
        "scheme": "ed25519",
        "signature": signed(MALLORY).signature,
    }.get(field, hashlib.sha256(b"another").hexdigest())


@pytest.mark.parametrize("field", [field.name for field in fields(Receipt)])
def test_any_field_that_is_altered_breaks_it(field: str) -> None:
    receipt = altered(**{field: other_value(field)})
    assert receipt != RECEIPT
    with pytest.raises(BadReceipt):
        receipt.verify()
    with pytest.raises(BadReceipt):
        receipt.verify(BOB.ss58_address)
    with pytest.raises(BadReceipt):
        Receipt.parse(receipt.encode()).verify()


@pytest.mark.parametrize("field", ["axon", "caller"])
def test_another_spelling_of_an_address_was_not_signed(field: str) -> None:
    key = BOB.public_key if field == "axon" else ALICE.public_key
    with pytest.raises(BadReceipt):
        altered(**{field: ss58_encode(key, 0)}).verify()


@given(st.integers(0, 63), st.integers(0, 7))
def test_any_flipped_bit_of_the_signature_breaks_it(position: int, bit: int) -> None:
    signature = bytearray.fromhex(RECEIPT.signature.removeprefix("0x"))
    signature[position] ^= 1 << bit
    with pytest.raises(BadReceipt):
        altered(signature="0x" + signature.hex()).verify()


@given(st.integers(0, len(RECEIPT.encode()) * 8 - 1))
def test_any_flipped_bit_of_stored_bytes_is_told_or_changes_nothing(position: int) -> None:
    stored = bytearray(RECEIPT.encode())
    stored[position // 8] ^= 1 << position % 8
    try:
        found = Receipt.parse(bytes(stored))
        found.verify(BOB.ss58_address)
    except BadReceipt:
        return
    # The case of a hex digit is no part of the number that it spells.
    signature = replace(found, signature=found.signature.lower())
    assert signature == RECEIPT


@pytest.mark.parametrize("signature", ["", "0x", "zz", "0x" + "00" * 64, "0x" + "ab" * 63, "é"])
def test_what_is_no_signature_is_a_bad_receipt(signature: str) -> None:
    with pytest.raises(BadReceipt):
        altered(signature=signature).verify()


@pytest.mark.parametrize("scheme", ["", "ed25519", "SR25519", "sr25519\n", "rsa"])
def test_a_scheme_that_was_not_signed_with_is_a_bad_receipt(scheme: str) -> None:
    with pytest.raises(BadReceipt):
        altered(scheme=scheme).verify()


def test_a_receipt_of_another_key_names_both() -> None:
    receipt = signed(MALLORY)
    receipt.verify()
    with pytest.raises(BadReceipt) as caught:
        receipt.verify(BOB.ss58_address)
    assert MALLORY.ss58_address in str(caught.value)
    assert BOB.ss58_address in str(caught.value)


@pytest.mark.parametrize("hotkey", ["", "nobody", "5" * 48])
def test_what_is_no_address_never_signed(hotkey: str) -> None:
    with pytest.raises(BadReceipt):
        RECEIPT.verify(hotkey)


def test_a_receipt_is_for_one_request() -> None:
    for other in (alices_request(NOW + 1), alices_request(target="/Words")):
        with pytest.raises(BadReceipt, match="another request"):
            RECEIPT.check_request(other.request_digest)


@pytest.mark.parametrize(
    "chunks",
    [
        CHUNKS[:-1],
        CHUNKS[1:],
        [*CHUNKS, b""],
        [*CHUNKS, CHUNKS[-1]],
        CHUNKS[::-1],
        [CHUNKS[0] + CHUNKS[1], *CHUNKS[2:]],
        [CHUNKS[0] + CHUNKS[2], b"", *CHUNKS[3:]],
        [b"onE", *CHUNKS[1:]],
        [b"on", b"e", *CHUNKS[2:]],
        [],
    ],
    ids=["last dropped", "first dropped", "empty added", "last twice", "reversed", "empty dropped",
         "joined", "altered", "border moved", "nothing"],
)  # fmt: skip
def test_chunks_that_are_not_those_that_were_signed(chunks: list[bytes]) -> None:
    with pytest.raises(BadReceipt, match="another reply"):
        RECEIPT.check_chunks(chunks)


def test_the_receipt_says_by_which_function_its_chunks_are_digested() -> None:
    receipt = signed(reply=digest_of(CHUNKS, DigestName.BLAKE3))
    assert receipt.reply.startswith("blake3:")
    receipt.verify(BOB.ss58_address)
    receipt.check_chunks(CHUNKS)
    with pytest.raises(BadReceipt, match="another reply"):
        receipt.check_chunks([*CHUNKS[:-1], b"another"])


@pytest.mark.parametrize(
    "reply",
    [
        digest_of(CHUNKS, DigestName.BLAKE3).removeprefix("blake3:"),
        "blake3:" + digest_of(CHUNKS),
        digest_of(CHUNKS, DigestName.BLAKE3).upper().replace("BLAKE3", "blake3"),
        digest_of(CHUNKS, DigestName.BLAKE3) + " ",
        "blake3:",
    ],
    ids=["no name", "the other's name", "capitals", "a space", "nothing"],
)
def test_a_digest_under_another_name_is_another_reply(reply: str) -> None:
    """Also where the node itself has signed it so."""
    with pytest.raises(BadReceipt, match="another reply"):
        signed(reply=reply).check_chunks(CHUNKS)


def test_the_name_of_the_function_is_signed() -> None:
    """Who swaps a digest for a right one by the other function breaks the signature."""
    for was, now in (
        (DigestName.SHA256, DigestName.BLAKE3),
        (DigestName.BLAKE3, DigestName.SHA256),
    ):
        swapped = replace(signed(reply=digest_of(CHUNKS, was)), reply=digest_of(CHUNKS, now))
        swapped.check_chunks(CHUNKS)
        with pytest.raises(BadReceipt, match="signature"):
            swapped.verify()


def test_a_receipt_by_an_unknown_function_holds_for_nothing_but_its_signer() -> None:
    receipt = signed(reply="sha3:" + "0" * 64)
    receipt.verify(BOB.ss58_address)
    with pytest.raises(BadReceipt, match="'sha3', which is not known here"):
        receipt.check_chunks(CHUNKS)
    with pytest.raises(BadReceipt, match="'sha3', which is not known here"):
        receipt.check_reply(digest_of(CHUNKS), len(CHUNKS))


def test_no_receipt_passes_for_a_request_nor_a_request_for_a_receipt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every message that this library signs begins with the name of its own kind."""
    messages: list[bytes] = []
    real = Keypair.sign

    def sign(self: Keypair, message: bytes) -> bytes:
        messages.append(message)
        return real(self, message)

    monkeypatch.setattr(Keypair, "sign", sign)
    alices_request()
    signed()
    request, _, receipt = messages
    assert request.partition(b"\n")[0] == b"btauth/1"
    assert receipt.partition(b"\n")[0] == b"ganglion/receipt/1"
    # A signed request, whose sender fills in a method and target at will, is no receipt of his.
    words = request.decode().split("\n")
    forged = replace(
        RECEIPT,
        axon=ALICE.ss58_address,
        signature="0x" + real(ALICE, request).hex(),
        caller=words[6],
        request=words[4],
    )
    with pytest.raises(BadReceipt):
        forged.verify()
    with pytest.raises(BadSignature):
        btauth.verify(
            {
                "X-Bittensor-Version": "1",
                "X-Bittensor-Hotkey": BOB.ss58_address,
                "X-Bittensor-Nonce": str(NOW),
                "X-Bittensor-Signature": RECEIPT.signature,
                "X-Bittensor-Receiver": ALICE.ss58_address,
            },
            b"", method="POST", target="/", receiver=ALICE.ss58_address, now_ns=NOW,
        )  # fmt: skip


@pytest.mark.parametrize("field", ["caller", "request", "reply", "scheme", "axon"])
def test_lines_can_not_be_shifted_from_field_to_field(field: str) -> None:
    """A newline in a field makes a text of more lines, which nobody signed."""
    value = getattr(RECEIPT, field)
    for text in (f"{value}\n{value}", f"\n{value}", f"{value}\n"):
        with pytest.raises(BadReceipt):
            altered(**{field: text}).verify()


def test_who_has_no_secret_signs_nothing() -> None:
    with pytest.raises(WalletError):
        signed(Keypair.from_address(BOB.ss58_address))


def test_a_caller_that_was_not_verified_can_not_be_made() -> None:
    with pytest.raises(TypeError):
        Caller(hotkey=ALICE.ss58_address)


ODD_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()),
    st.dictionaries(st.text(), st.none()), st.sampled_from([10**400, -(10**5000), "\udc80", ""]),
)  # fmt: skip


@given(st.sampled_from([field.name for field in fields(Receipt)]), ODD_VALUES)
def test_a_field_of_any_value_is_told_or_does_not_hold(field: str, value: Any) -> None:
    document = {**RECEIPT.to_document(), field: value}
    if value == RECEIPT.to_document()[field]:
        return
    with pytest.raises(BadReceipt):
        Receipt.of_document(document).verify()


@pytest.mark.parametrize("field", [field.name for field in fields(Receipt)])
def test_a_field_that_is_missing_is_named(field: str) -> None:
    document = RECEIPT.to_document()
    del document[field]
    with pytest.raises(BadReceipt, match=field):
        Receipt.of_document(document)


@pytest.mark.parametrize("field", ["nonce_ns", "status", "chunks", "started_ns", "ended_ns"])
@pytest.mark.parametrize("value", [True, 200.0, "200"])
def test_a_number_is_an_integer(field: str, value: Any) -> None:
    with pytest.raises(BadReceipt, match=field):
        Receipt.of_document({**RECEIPT.to_document(), field: value})


GARBAGE = [b"", b"{", b"[]", b"null", b"5", b'"x"', b"{}", b"\xff\xfe", b"[" * 100_000,
           b'{"axon":' * 50_000, b'{"axon":"\\ud800"}']  # fmt: skip


@pytest.mark.parametrize("data", GARBAGE)
def test_garbage_is_a_bad_receipt(data: bytes) -> None:
    with pytest.raises(BadReceipt):
        Receipt.parse(data)
    with pytest.raises(BadReceipt):
        Receipt.of_header(base64.urlsafe_b64encode(data).decode())


@given(st.binary() | st.text())
def test_any_bytes_or_text_are_a_bad_receipt(data: bytes | str) -> None:
    with pytest.raises(BadReceipt):
        Receipt.parse(data)


@given(st.text())
def test_any_text_of_a_header_is_a_bad_receipt(text: str) -> None:
    with pytest.raises(BadReceipt):
        Receipt.of_header(text)
