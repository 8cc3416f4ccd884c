"""Running a user's hooks: each sees the verified caller and the parsed request.

A hook may be sync or async. A sync one runs on the event loop, so it must not block; one that
needs a disk or a network is written `async`.
"""

from __future__ import annotations

import inspect
import logging
import math
from typing import Any

from node.errors import AuthError, Forbidden, ForwardFailed, WireError
from node.synapse import Synapse
from node.wire import Caller

from .routes import Hook, Route

__all__ = ["run_hooks"]

logger = logging.getLogger(__name__)


async def run_hooks(route: Route, synapse: Synapse, caller: Caller) -> float:
    """Run a route's verify, blacklist and priority hooks, in this order.

    Returns:
        The priority, 0.0 without a hook.

    Raises:
        AuthError: The verify hook returned False or raised.
        Forbidden: The blacklist hook said so; its reason is sent to the caller.
        ForwardFailed: The blacklist or priority hook raised, or returned what it may not.
    """
    if route.verify is not None:
        await _verify(route.verify, synapse, caller)
    if route.blacklist is not None:
        await _blacklist(route.blacklist, synapse, caller)
    if route.priority is not None:
        return await _priority(route.priority, synapse, caller)
    return 0.0


async def _verify(hook: Hook, synapse: Synapse, caller: Caller) -> None:
    try:
        verdict = await _call(hook, synapse, caller)
    except WireError:
        raise
    except Exception as error:
        raise AuthError(f"{hook.name} refused the request: {type(error).__name__}") from error
    if verdict is False:
        raise AuthError(f"{hook.name} refused the request")


async def _blacklist(hook: Hook, synapse: Synapse, caller: Caller) -> None:
    verdict = await _call_or_fail(hook, synapse, caller)
    refused, reason = verdict if isinstance(verdict, tuple) else (verdict, "")
    if refused is None:
        # A forgotten `return` must not open the door.
        raise ForwardFailed(f"{hook.name} returned None; return True to refuse, False to admit")
    if refused:
        raise Forbidden(str(reason)[:500] or "This caller is on the node's blacklist.")


async def _priority(hook: Hook, synapse: Synapse, caller: Caller) -> float:
    value = await _call_or_fail(hook, synapse, caller)
    try:
        priority = float(value)
    except (TypeError, ValueError) as error:
        raise ForwardFailed(f"{hook.name} returned {type(value).__name__}, not a number") from error
    if math.isnan(priority):
        raise ForwardFailed(f"{hook.name} returned NaN, which has no order")
    return priority


async def _call_or_fail(hook: Hook, synapse: Synapse, caller: Caller) -> Any:
    try:
        return await _call(hook, synapse, caller)
    except WireError:
        raise
    except Exception as error:
        # A broken check lets nobody through.
        logger.exception("%s raised", hook.name)
        raise ForwardFailed(f"{hook.name} raised {type(error).__name__}") from error


async def _call(hook: Hook, synapse: Synapse, caller: Caller) -> Any:
    value = hook.function(synapse, caller) if hook.wants_caller else hook.function(synapse)
    return await value if inspect.isawaitable(value) else value
