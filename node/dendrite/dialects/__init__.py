"""The signing protocols that a dendrite can speak, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from node.dendrite.dialect import Dialect

from .btauth import BtauthDialect
from .epistula import EpistulaDialect
from .synapse import SynapseDialect

__all__ = ["DIALECTS"]

DIALECTS: Mapping[str, Callable[..., Dialect]] = MappingProxyType(
    {dialect.name: dialect for dialect in (BtauthDialect, SynapseDialect, EpistulaDialect)}
)
