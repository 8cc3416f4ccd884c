"""Old ends: one axon and one dendrite for each version of the SDK, for the whole run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .old_peers import SDKS, OldAxon, OldDendrite


@pytest.fixture(scope="session", params=list(SDKS))
def sdk(request: pytest.FixtureRequest) -> str:
    """The version of the old SDK."""
    version: str = request.param
    return version


@pytest.fixture(scope="session")
def old_axon(sdk: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldAxon]:
    """//Bob's old axon."""
    axon = OldAxon(sdk, tmp_path_factory.mktemp("axon"))
    yield axon
    axon.close()


@pytest.fixture(scope="session")
def old_dendrite(sdk: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldDendrite]:
    """//Alice's old dendrite."""
    dendrite = OldDendrite(sdk, tmp_path_factory.mktemp("dendrite"))
    yield dendrite
    dendrite.close()


@pytest.fixture
def mortal_axon(
    sdk: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], OldAxon]]:
    """Starts an old axon that the test may kill."""
    started: list[OldAxon] = []

    def start() -> OldAxon:
        started.append(OldAxon(sdk, tmp_path_factory.mktemp("mortal")))
        return started[-1]

    yield start
    for axon in started:
        axon.close()
