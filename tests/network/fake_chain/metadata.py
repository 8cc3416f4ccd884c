"""The description of a runtime that has only what a neuron needs of the Bittensor chain.

Names, order, indices and types are those of the chain's own runtime (mainnet, and the SDK's
generated tables for what is newer); what is left out is what no call of ours touches.
"""

from __future__ import annotations

from collections.abc import Sequence

from .registry import Fields, Registry, Variant
from .scale import blob, compact, option, text, vec

SPEC_VERSION = 438
TRANSACTION_VERSION = 1
SUBTENSOR_INDEX = 7
SLOT_MS = 12_000


def _named(written: str) -> list[tuple[str | None, str]]:
    """Fields written `name: type`, one a line or parted by semicolons outside brackets."""
    pairs = (part.split(":", 1) for part in written.replace("\n", "|").split("|") if part.strip())
    return [(name.strip(), kind.strip()) for name, kind in pairs]


AXON = _named(
    "block: u64|version: u32|ip: u128|port: u16|ip_type: u8|protocol: u8|placeholder1: u8|"
    "placeholder2: u8"
)
METAGRAPH = _named("""
    netuid: Compact<u16>
    name: Vec<Compact<u8>>
    symbol: Vec<Compact<u8>>
    identity: Option<SubnetIdentityV3>
    network_registered_at: Compact<u64>
    owner_hotkey: AccountId32
    owner_coldkey: AccountId32
    block: Compact<u64>
    tempo: Compact<u16>
    last_step: Compact<u64>
    blocks_since_last_step: Compact<u64>
    subnet_emission: Compact<u64>
    alpha_in: Compact<u64>
    alpha_out: Compact<u64>
    tao_in: Compact<u64>
    alpha_out_emission: Compact<u64>
    alpha_in_emission: Compact<u64>
    tao_in_emission: Compact<u64>
    pending_alpha_emission: Compact<u64>
    pending_root_emission: Compact<u64>
    subnet_volume: Compact<u128>
    moving_price: FixedI128
    rho: Compact<u16>
    kappa: Compact<u16>
    min_allowed_weights: Compact<u16>
    max_weights_limit: Compact<u16>
    weights_version: Compact<u64>
    weights_rate_limit: Compact<u64>
    activity_cutoff: Compact<u64>
    max_validators: Compact<u16>
    num_uids: Compact<u16>
    max_uids: Compact<u16>
    burn: Compact<u64>
    difficulty: Compact<u64>
    registration_allowed: bool
    pow_registration_allowed: bool
    immunity_period: Compact<u16>
    min_difficulty: Compact<u64>
    max_difficulty: Compact<u64>
    min_burn: Compact<u64>
    max_burn: Compact<u64>
    adjustment_alpha: Compact<u64>
    adjustment_interval: Compact<u16>
    target_regs_per_interval: Compact<u16>
    max_regs_per_block: Compact<u16>
    serving_rate_limit: Compact<u64>
    commit_reveal_weights_enabled: bool
    commit_reveal_period: Compact<u64>
    liquid_alpha_enabled: bool
    alpha_high: Compact<u16>
    alpha_low: Compact<u16>
    bonds_moving_avg: Compact<u64>
    hotkeys: Vec<AccountId32>
    coldkeys: Vec<AccountId32>
    identities: Vec<Option<ChainIdentityV2>>
    axons: Vec<AxonInfo>
    active: Vec<bool>
    validator_permit: Vec<bool>
    pruning_score: Vec<Compact<u16>>
    last_update: Vec<Compact<u64>>
    emission: Vec<Compact<u64>>
    dividends: Vec<Compact<u16>>
    incentives: Vec<Compact<u16>>
    consensus: Vec<Compact<u16>>
    trust: Vec<Compact<u16>>
    rank: Vec<Compact<u16>>
    block_at_registration: Vec<Compact<u64>>
    alpha_stake: Vec<Compact<u64>>
    tao_stake: Vec<Compact<u64>>
    total_stake: Vec<Compact<u64>>
    tao_dividends_per_hotkey: Vec<(AccountId32,Compact<u64>)>
    alpha_dividends_per_hotkey: Vec<(AccountId32,Compact<u64>)>
""")
_TEXTS = "Vec<u8>"
STRUCTS: dict[str, tuple[str, Fields]] = {
    "AccountId32": ("sp_core::crypto::AccountId32", [(None, "[u8;32]")]),
    "H256": ("primitive_types::H256", [(None, "[u8;32]")]),
    "FixedI128": ("substrate_fixed::FixedI128", _named("bits: i128")),
    "Weight": (
        "sp_weights::weight_v2::Weight",
        _named("ref_time: Compact<u64>|proof_size: Compact<u64>"),
    ),
    "DispatchEventInfo": (
        "frame_system::DispatchEventInfo",
        _named("weight: Weight|class: DispatchClass|pays_fee: Pays"),
    ),
    "ModuleError": ("sp_runtime::ModuleError", _named("index: u8|error: [u8;4]")),
    "EventRecord": (
        "frame_system::EventRecord",
        _named("phase: Phase|event: RuntimeEvent|topics: Vec<H256>"),
    ),
    "RuntimeDispatchInfo": (
        "pallet_transaction_payment::types::RuntimeDispatchInfo",
        _named("weight: Weight|class: DispatchClass|partial_fee: u64"),
    ),
    "UncheckedExtrinsic": (
        "sp_runtime::generic::unchecked_extrinsic::UncheckedExtrinsic",
        [(None, "Vec<u8>")],
    ),
    "OpaqueMetadata": ("sp_core::OpaqueMetadata", [(None, "Vec<u8>")]),
    "BoundedVec": ("bounded_collections::bounded_vec::BoundedVec", [(None, "Vec<u8>")]),
    "AxonInfo": ("pallet_subtensor::pallet::AxonInfo", AXON),
    "SubnetIdentityV3": (
        "pallet_subtensor::pallet::SubnetIdentityV3",
        [
            (name, _TEXTS)
            for name in (
                "subnet_name", "github_repo", "subnet_contact", "subnet_url", "discord",
                "description", "logo_url", "additional",
            )
        ],
    ),
    "ChainIdentityV2": (
        "pallet_subtensor::pallet::ChainIdentityV2",
        [
            (name, _TEXTS)
            for name in (
                "name", "url", "github_repo", "image", "discord", "description", "additional",
            )
        ],
    ),
    "Metagraph": ("pallet_subtensor::rpc_info::metagraph::Metagraph", METAGRAPH),
    "HyperparamEntry": (
        "pallet_subtensor::rpc_info::subnet_info::HyperparamEntry",
        _named("name: Vec<u8>|value: HyperparamValue"),
    ),
    "CheckNonZeroSender": ("frame_system::CheckNonZeroSender", []),
    "CheckSpecVersion": ("frame_system::CheckSpecVersion", []),
    "CheckTxVersion": ("frame_system::CheckTxVersion", []),
    "CheckGenesis": ("frame_system::CheckGenesis", []),
    "CheckMortality": ("node_subtensor_runtime::check_mortality::CheckMortality", [(None, "Era")]),
    "CheckNonce": ("node_subtensor_runtime::check_nonce::CheckNonce", [(None, "Compact<u32>")]),
    "CheckWeight": ("frame_system::CheckWeight", []),
    "ChargeTransactionPayment": (
        "pallet_transaction_payment::ChargeTransactionPayment",
        [(None, "Compact<u64>")],
    ),
    "CheckMetadataHash": (
        "frame_metadata_hash_extension::CheckMetadataHash",
        _named("mode: Mode"),
    ),
}  # fmt: skip


def _units(*names: str) -> list[Variant]:
    return [(index, name, ()) for index, name in enumerate(names)]


# By name the index in the chain's own enum.
ERRORS = {
    "InvalidIpType": 1,
    "InvalidIpAddress": 2,
    "InvalidPort": 3,
    "HotKeyNotRegisteredInSubNet": 4,
    "HotKeyNotRegisteredInNetwork": 6,
    "NeuronNoValidatorPermit": 15,
    "UidVecContainInvalidOne": 18,
    "SettingWeightsTooFast": 29,
    "IncorrectWeightVersionKey": 30,
    "ServingRateLimitExceeded": 31,
    "CommitRevealEnabled": 53,
    "CommitRevealDisabled": 54,
}
CALLS: list[Variant] = [
    (
        4,
        "serve_axon",
        _named(
            "netuid: u16|version: u32|ip: u128|port: u16|ip_type: u8|protocol: u8|"
            "placeholder1: u8|placeholder2: u8"
        ),
    ),
    (
        118,
        "commit_timelocked_mechanism_weights",
        _named(
            "netuid: u16|mecid: u8|commit: BoundedVec|reveal_round: u64|commit_reveal_version: u16"
        ),
    ),
    (
        119,
        "set_mechanism_weights",
        _named("netuid: u16|mecid: u8|dests: Vec<u16>|weights: Vec<u16>|version_key: u64"),
    ),
]
ENUMS: dict[str, tuple[str, Sequence[Variant]]] = {
    "DispatchClass": (
        "frame_support::dispatch::DispatchClass",
        _units("Normal", "Operational", "Mandatory"),
    ),
    "Pays": ("frame_support::dispatch::Pays", _units("Yes", "No")),
    "Mode": ("frame_metadata_hash_extension::Mode", _units("Disabled", "Enabled")),
    "Phase": (
        "frame_system::Phase",
        [
            (0, "ApplyExtrinsic", [(None, "u32")]),
            (1, "Finalization", ()),
            (2, "Initialization", ()),
        ],
    ),
    "Era": (
        "sp_runtime::generic::era::Era",
        [
            (0, "Immortal", ()),
            *((number, f"Mortal{number}", [(None, "u8")]) for number in range(1, 256)),
        ],
    ),
    "MultiAddress": (
        "sp_runtime::multiaddress::MultiAddress",
        [
            (0, "Id", [(None, "AccountId32")]),
            (1, "Index", [(None, "Compact<()>")]),
            (2, "Raw", [(None, "Vec<u8>")]),
            (3, "Address32", [(None, "[u8;32]")]),
            (4, "Address20", [(None, "[u8;20]")]),
        ],
    ),
    "MultiSignature": (
        "sp_runtime::MultiSignature",
        [
            (0, "Ed25519", [(None, "[u8;64]")]),
            (1, "Sr25519", [(None, "[u8;64]")]),
            (2, "Ecdsa", [(None, "[u8;65]")]),
        ],
    ),
    "DispatchError": (
        "sp_runtime::DispatchError",
        [
            (0, "Other", ()),
            (1, "CannotLookup", ()),
            (2, "BadOrigin", ()),
            (3, "Module", [(None, "ModuleError")]),
        ],
    ),
    "HyperparamValue": (
        "pallet_subtensor::rpc_info::subnet_info::HyperparamValue",
        [
            (0, "Bool", [(None, "bool")]),
            (1, "U16", [(None, "Compact<u16>")]),
            (2, "U32", [(None, "Compact<u32>")]),
            (3, "U64", [(None, "Compact<u64>")]),
        ],
    ),
    "EpochConsensus": ("pallet_subtensor::EpochConsensus", _units("Yuma", "Null")),
    "SystemEvent": (
        "frame_system::pallet::Event",
        [
            (0, "ExtrinsicSuccess", _named("dispatch_info: DispatchEventInfo")),
            (
                1,
                "ExtrinsicFailed",
                _named("dispatch_error: DispatchError|dispatch_info: DispatchEventInfo"),
            ),
        ],
    ),
    "PaymentEvent": (
        "pallet_transaction_payment::pallet::Event",
        [(0, "TransactionFeePaid", _named("who: AccountId32|actual_fee: u64|tip: u64"))],
    ),
    "SubtensorEvent": (
        "pallet_subtensor::pallet::Event",
        [
            (5, "WeightsSet", [(None, "u16"), (None, "u16")]),
            (28, "AxonServed", [(None, "u16"), (None, "AccountId32")]),
        ],
    ),
    "SubtensorCall": ("pallet_subtensor::pallet::Call", CALLS),
    "SubtensorError": (
        "pallet_subtensor::pallet::Error",
        [(index, name, ()) for name, index in ERRORS.items()],
    ),
    "RuntimeCall": (
        "node_subtensor_runtime::RuntimeCall",
        [(SUBTENSOR_INDEX, "SubtensorModule", [(None, "SubtensorCall")])],
    ),
    "RuntimeError": (
        "node_subtensor_runtime::RuntimeError",
        [(SUBTENSOR_INDEX, "SubtensorModule", [(None, "SubtensorError")])],
    ),
    "RuntimeEvent": (
        "node_subtensor_runtime::RuntimeEvent",
        [
            (0, "System", [(None, "SystemEvent")]),
            (6, "TransactionPayment", [(None, "PaymentEvent")]),
            (SUBTENSOR_INDEX, "SubtensorModule", [(None, "SubtensorEvent")]),
        ],
    ),
}

# Name, hashers and types of the keys, type of the value, whether it is optional, default.
Item = tuple[str, str, str, bytes | None]
IDENTITY, BLAKE2_CONCAT, TWOX_CONCAT = 6, 2, 5
HASHERS = {"id": IDENTITY, "blake": BLAKE2_CONCAT, "twox": TWOX_CONCAT}
_U16, _U64 = bytes(2), bytes(8)
STORAGE: list[Item] = [
    ("Uids", "id u16, blake AccountId32", "u16", None),
    ("Axons", "id u16, blake AccountId32", "AxonInfo", None),
    ("Weights", "id u16, id u16", "Vec<(u16,u16)>", b"\0"),
    ("LastUpdate", "id u16", "Vec<u64>", b"\0"),
    ("ValidatorPermit", "id u16", "Vec<bool>", b"\0"),
    ("SubnetworkN", "id u16", "u16", _U16),
    ("Tempo", "id u16", "u16", (360).to_bytes(2, "little")),
    ("WeightsSetRateLimit", "id u16", "u64", (100).to_bytes(8, "little")),
    ("MinAllowedWeights", "id u16", "u16", (1024).to_bytes(2, "little")),
    ("MaxWeightsLimit", "id u16", "u16", b"\xff\xff"),
    ("CommitRevealWeightsEnabled", "id u16", "bool", b"\1"),
    ("RevealPeriodEpochs", "twox u16", "u64", (1).to_bytes(8, "little")),
    ("SubnetEpochConsensus", "id u16", "EpochConsensus", b"\0"),
    ("LastEpochBlock", "id u16", "u64", _U64),
    ("PendingEpochAt", "id u16", "u64", _U64),
    ("SubnetEpochIndex", "id u16", "u64", _U64),
    ("BlocksSinceLastStep", "id u16", "u64", _U64),
    ("TokenSymbol", "id u16", "Vec<u8>", b"\0"),
]

# Identifier, what an extrinsic carries, what is signed besides.
EXTENSIONS = [
    ("CheckNonZeroSender", "CheckNonZeroSender", "()"),
    ("CheckSpecVersion", "CheckSpecVersion", "u32"),
    ("CheckTxVersion", "CheckTxVersion", "u32"),
    ("CheckGenesis", "CheckGenesis", "H256"),
    ("CheckMortality", "CheckMortality", "H256"),
    ("CheckNonce", "CheckNonce", "()"),
    ("CheckWeight", "CheckWeight", "()"),
    ("ChargeTransactionPayment", "ChargeTransactionPayment", "()"),
    ("SudoTransactionExtension", "()", "()"),
    ("CheckShieldedTxValidity", "()", "()"),
    ("SubtensorTransactionExtension", "()", "()"),
    ("DrandPriority", "()", "()"),
    ("CheckMetadataHash", "CheckMetadataHash", "Option<[u8;32]>"),
]
APIS = [
    ("SubnetInfoRuntimeApi", "get_metagraph", [("netuid", "u16")], "Option<Metagraph>"),
    (
        "SubnetInfoRuntimeApi",
        "get_subnet_hyperparams_v3",
        [("netuid", "u16")],
        "Option<Vec<HyperparamEntry>>",
    ),
    (
        "TransactionPaymentApi",
        "query_info",
        [("uxt", "UncheckedExtrinsic"), ("len", "u32")],
        "RuntimeDispatchInfo",
    ),
    ("Metadata", "metadata_at_version", [("version", "u32")], "Option<OpaqueMetadata>"),
]


def metadata() -> bytes:
    """The description, version 15, as `Metadata_metadata_at_version` has it."""
    types = Registry(STRUCTS, ENUMS)
    pallets = _pallets(types)
    tail = _extrinsic(types) + types.ref("()") + _apis(types)
    tail += b"".join(types.ref(name) for name in ("RuntimeCall", "RuntimeEvent", "RuntimeError"))
    # The registry goes first, and is whole only now.
    return b"meta\x0f" + types.encode() + pallets + tail + vec([])


def _pallets(types: Registry) -> bytes:
    events = _item(types, ("Events", "", "Vec<EventRecord>", b"\0"))
    storage = vec(_item(types, item) for item in STORAGE)
    slot = text("SlotDuration") + types.ref("u64") + blob(SLOT_MS.to_bytes(8, "little")) + vec([])
    return vec(
        [
            _pallet(types, "System", 0, storage=vec([events]), event="SystemEvent"),
            _pallet(types, "Aura", 3, constants=[slot]),
            _pallet(types, "TransactionPayment", 6, event="PaymentEvent"),
            _pallet(
                types,
                "SubtensorModule",
                SUBTENSOR_INDEX,
                storage=storage,
                calls="SubtensorCall",
                event="SubtensorEvent",
                error="SubtensorError",
            ),
        ]
    )


def _pallet(
    types: Registry,
    name: str,
    index: int,
    *,
    storage: bytes | None = None,
    calls: str | None = None,
    event: str | None = None,
    error: str | None = None,
    constants: Sequence[bytes] = (),
) -> bytes:
    def maybe(kind: str | None) -> bytes:
        return option(None if kind is None else types.ref(kind))

    return (
        text(name)
        + option(None if storage is None else text(name) + storage)
        + maybe(calls)
        + maybe(event)
        + vec(constants)
        + maybe(error)
        + bytes([index])
        + vec([])
    )


def _item(types: Registry, item: Item) -> bytes:
    name, keys, value, default = item
    pairs = [part.split() for part in keys.split(",")] if keys else []
    kind = b"\0" + types.ref(value)
    if pairs:
        hashers = compact(len(pairs)) + bytes(HASHERS[hasher] for hasher, _ in pairs)
        names = [key for _, key in pairs]
        key = names[0] if len(names) == 1 else f"({','.join(names)})"
        kind = b"\1" + hashers + types.ref(key) + types.ref(value)
    modifier = b"\0" if default is None else b"\1"
    return text(name) + modifier + kind + blob(b"\0" if default is None else default) + vec([])


def _extrinsic(types: Registry) -> bytes:
    extra = f"({','.join(kind for _, kind, _ in EXTENSIONS)})"
    return (
        b"\4"
        + types.ref("MultiAddress")
        + types.ref("RuntimeCall")
        + types.ref("MultiSignature")
        + types.ref(extra)
        + vec(text(name) + types.ref(kind) + types.ref(more) for name, kind, more in EXTENSIONS)
    )


def _apis(types: Registry) -> bytes:
    names = dict.fromkeys(name for name, *_ in APIS)
    return vec(
        text(api)
        + vec(
            text(method)
            + vec(text(name) + types.ref(kind) for name, kind in inputs)
            + types.ref(output)
            + vec([])
            for owner, method, inputs, output in APIS
            if owner == api
        )
        + vec([])
        for api in names
    )
