"""The old SDK's making of weights: scores to what would be sent to the chain.

Each line of stdin is a list of cases, each line of stdout the list of their answers, both JSON; it
ends with its stdin.

A case has `scores`, one for each uid, `min_allowed_weights` and `max_weight_limit`. An answer is
`[uids, numbers]`. Cases that the SDK raises out of have `{"crash": traceback}` for their answers.
"""

from __future__ import annotations

import json
import sys
import traceback
from types import SimpleNamespace
from typing import Any

from offline import claim_stdout, refuse_other_hosts, write_line

LINES = claim_stdout()
refuse_other_hosts()

import bittensor as bt  # noqa: E402  after the guards
import numpy as np  # noqa: E402
from bittensor.utils import weight_utils  # noqa: E402


def answer(case: dict[str, Any]) -> list[list[int]]:
    """Return what one case becomes."""
    chain = SimpleNamespace(
        min_allowed_weights=lambda netuid: case["min_allowed_weights"],
        max_weight_limit=lambda netuid: case["max_weight_limit"],
    )
    scores = np.array(case["scores"], dtype=np.float32)
    uids, weights = weight_utils.process_weights_for_netuid(
        uids=np.arange(len(scores)),
        weights=scores,
        netuid=1,
        subtensor=chain,
        metagraph=SimpleNamespace(n=len(scores)),
    )
    return [*weight_utils.convert_weights_and_uids_for_emit(uids, weights)]


def main() -> None:
    """Answer until stdin ends."""
    write_line(LINES, {"version": bt.__version__})
    for line in sys.stdin:
        try:
            write_line(LINES, [answer(case) for case in json.loads(line)])
        except Exception:
            write_line(LINES, {"crash": traceback.format_exc()})


if __name__ == "__main__":
    main()
