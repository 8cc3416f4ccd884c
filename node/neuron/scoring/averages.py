"""Moving averages of rewards, by hotkey.

Keys are hotkeys and not uids, so a uid that changes hands starts from nothing, and a hotkey that
moves to another uid keeps what it earned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from node import errors
from node.keys import normalise_address

from .measured import finite

__all__ = ["Averages"]


class Averages:
    """`new = alpha * reward + (1 - alpha) * old` for each hotkey that was rewarded.

    A hotkey that was never seen stands at 0. Not safe to change from several threads at once.

    Args:
        alpha: Share of the newest reward, above 0 and up to 1.
        scores: Where to go on from, as `as_dict` gave it. Addresses may have any prefix; a score
            that is no finite number from 0 is taken for 0.

    Raises:
        errors.ConfigError: `alpha` is out of range.
        errors.InvalidAddress: A key of `scores` is not an address.
    """

    def __init__(self, alpha: float = 0.1, scores: Mapping[str, float] | None = None) -> None:
        share = finite(alpha)
        if share is None or not 0.0 < share <= 1.0:
            raise errors.ConfigError(
                f"alpha of the moving average is above 0 and up to 1, not {alpha!r}"
            )
        self.alpha = share
        self._scores = {
            normalise_address(hotkey): _counted(score) for hotkey, score in (scores or {}).items()
        }

    def update(self, rewards: Mapping[str, float]) -> None:
        """Move the averages of these hotkeys; all others stay.

        Args:
            rewards: By address of any prefix. What is no finite number from 0 counts 0; there is
                no upper limit here.

        Raises:
            errors.InvalidAddress: A key is not an address; then nothing has moved.
        """
        moved = {normalise_address(hotkey): reward for hotkey, reward in rewards.items()}
        for hotkey, reward in moved.items():
            old = self._scores.get(hotkey, 0.0)
            self._scores[hotkey] = self.alpha * _counted(reward) + (1.0 - self.alpha) * old

    def score_of(self, hotkey: str) -> float:
        """The average of an address of any prefix; 0 for one that was never rewarded.

        Raises:
            errors.InvalidAddress: It is not an address.
        """
        return self._scores.get(normalise_address(hotkey), 0.0)

    def for_hotkeys(self, hotkeys: Iterable[str]) -> list[float]:
        """The averages of many hotkeys, in their order.

        Args:
            hotkeys: Spelt as a metagraph spells them, with prefix 42. They are not decoded,
                which for a large subnet would take seconds.
        """
        return [self._scores.get(hotkey, 0.0) for hotkey in hotkeys]

    def keep_only(self, hotkeys: Collection[str]) -> None:
        """Forget every hotkey that is not among these, spelt as for `for_hotkeys`."""
        kept = set(hotkeys)
        self._scores = {key: score for key, score in self._scores.items() if key in kept}

    def as_dict(self) -> dict[str, float]:
        """A copy: score by address with prefix 42."""
        return dict(self._scores)

    def __len__(self) -> int:
        return len(self._scores)

    def __repr__(self) -> str:
        return f"<Averages of {len(self)} hotkeys, alpha={self.alpha:g}>"


def _counted(reward: object) -> float:
    number = finite(reward)
    return number if number is not None and number > 0.0 else 0.0
