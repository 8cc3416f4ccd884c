"""The signing protocols that an axon can accept, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from node.axon.admission import Rules
from node.axon.dialect import Dialect

from .btauth import BtauthDialect
from .epistula import EpistulaDialect, EpistulaV1Dialect
from .synapse import SynapseDialect

__all__ = ["DIALECTS"]

DIALECTS: Mapping[str, Callable[[Rules], Dialect]] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (BtauthDialect, SynapseDialect, EpistulaDialect, EpistulaV1Dialect)
    }
)
