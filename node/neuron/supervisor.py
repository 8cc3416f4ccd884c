"""Several processes that do one work: started, kept alive, asked to end, and given one memory.

The parent forks the workers and does nothing else but this. It has one thread and no event loop,
so that a fork copies nothing that runs. Each worker has one end of a socket pair; at the other end
the parent answers for the memory that all of them share. The sockets have no name, so that nobody
else can reach it.

When a worker dies another takes its place. When the parent dies the workers see their sockets
close, and end: none goes on without the memory.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from node.errors import ConfigError
from node.network.guard_wire import Answering
from node.network.once import OnceMemory

from .lifecycle import end_process

__all__ = ["Supervisor", "Work"]

logger = logging.getLogger(__name__)

Work = Callable[[int, socket.socket], int]
"""What a worker does: given its number and its socket, returns the exit code."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WATCHED = (*_SIGNALS, signal.SIGCHLD)
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_MAX_DEATHS = 5
_DEATHS_WITHIN_S = 60.0
_MAX_UNSENT = 2**20
_CRASHED = 1


@dataclass
class _Worker:
    """One place for a worker.

    Attributes:
        number: From 0.
        pid: Of the process in it, or None.
        is_ready: Whether that process has said that it serves.
        deaths: When processes died here, lately.
        start_at: When the next one is started, if none runs.
        link: The parent's end of its socket.
        unsent: Answers that the socket had no room for.
    """

    number: int
    pid: int | None = None
    is_ready: bool = False
    deaths: deque[float] = field(default_factory=deque)
    start_at: float = 0.0
    link: socket.socket | None = None
    unsent: bytes = b""


class Supervisor:
    """Runs a work in several processes at once, until a signal or until they can't be kept up.

    Worker 0 is started first, and the others once it serves, so that what is wrong for all of them
    is told once. A worker that ends before it has ever served ends all.

    Args:
        work: Runs in each worker.
        count: How many.
        on_fork: Called in each worker before its work, to undo what is only the parent's.
        clock: Monotonic seconds.

    Raises:
        ConfigError: This system can't fork.
    """

    def __init__(
        self,
        work: Work,
        count: int,
        *,
        on_fork: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not hasattr(os, "fork"):
            raise ConfigError("this system has no fork, which --axon.workers needs; leave it at 1")
        self._work = work
        self._on_fork = on_fork
        self._clock = clock
        self._memory = OnceMemory()
        self._workers = [_Worker(number) for number in range(count)]
        self._selector = selectors.DefaultSelector()
        self._signals = socket.socketpair()
        for sock in self._signals:
            sock.setblocking(False)
        self._stopping: signal.Signals | None = None
        self._code = 0
        self._has_served = False

    def run(self) -> int:
        """Start the workers and stay until all have ended; in the main thread only.

        SIGINT and SIGTERM are passed on to the workers, which drain; a second one too, which ends
        them at once.

        Returns:
            0 when the workers ended as they were told to, else the exit code of the one that could
            not be kept up.

        Raises:
            ConfigError: Threads run in this process, which a fork would not copy.
        """
        threads = [each.name for each in threading.enumerate()]
        if len(threads) > 1:
            raise ConfigError(
                f"--axon.workers starts processes, and threads run already ({', '.join(threads)}); "
                "start them in start(), not in the constructor"
            )
        noticing, noticed = self._signals
        before = {number: signal.signal(number, _do_nothing) for number in _WATCHED}
        wakeup = signal.set_wakeup_fd(noticing.fileno(), warn_on_full_buffer=False)
        self._selector.register(noticed, selectors.EVENT_READ, self._notice)
        try:
            while self._stopping is None or any(worker.pid for worker in self._workers):
                self._start_due()
                for key, events in self._selector.select(self._pause_s()):
                    key.data(events)
                self._reap()
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._close()
        return self._code

    def _close(self) -> None:
        """Close what the parent has open; in a worker it is only the copy that closes."""
        self._selector.close()
        links = [worker.link for worker in self._workers if worker.link is not None]
        for sock in (*self._signals, *links):
            sock.close()

    # Starting -----------------------------------------------------------------------------------

    def _missing(self) -> list[_Worker]:
        """Return the places that are to be filled, now or later."""
        if self._stopping is not None:
            return []
        wanted = self._workers if self._has_served else self._workers[:1]
        return [worker for worker in wanted if worker.pid is None]

    def _start_due(self) -> None:
        now = self._clock()
        for worker in self._missing():
            if worker.start_at <= now:
                self._start(worker)

    def _pause_s(self) -> float | None:
        missing = self._missing()
        if not missing:
            return None
        return max(0.0, min(worker.start_at for worker in missing) - self._clock())

    def _start(self, worker: _Worker) -> None:
        ours, theirs = socket.socketpair()
        worker.is_ready = False
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # else each worker would write what the parent had not written yet
        # A signal that came between the fork and what follows it would be taken for the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        try:
            worker.pid = os.fork()
            if not worker.pid:
                self._become(worker.number, ours, theirs)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        theirs.close()
        ours.setblocking(False)
        worker.link, worker.unsent = ours, b""
        answering = Answering(self._memory, partial(self._serves, worker))
        handle = partial(self._exchange, worker, answering)
        self._selector.register(ours, selectors.EVENT_READ, handle)

    def _become(self, number: int, ours: socket.socket, theirs: socket.socket) -> None:
        """Be the worker: let go of all that is the parent's, work, and end. Does not return."""
        code = _CRASHED
        try:
            signal.set_wakeup_fd(-1)
            for each in _WATCHED:
                signal.signal(each, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # Ctrl-C reaches the parent alone, which passes it on; twice would end a worker at once.
            os.setpgid(0, 0)
            ours.close()
            self._close()
            self._on_fork()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            code = self._work(number, theirs)
        except BaseException as error:  # noqa: BLE001  border: nothing may run on as the parent
            code = _code_of(error)
        finally:
            end_process(code)

    # What workers say ---------------------------------------------------------------------------

    def _exchange(self, worker: _Worker, answering: Answering, events: int) -> None:
        """Answer what a worker asks, without ever waiting for one."""
        assert worker.link is not None
        try:
            if events & selectors.EVENT_READ:
                data = worker.link.recv(2**16)
                if not data:
                    self._let_go(worker)
                    return
                worker.unsent += answering.feed(data, self._clock())
            if worker.unsent:
                worker.unsent = worker.unsent[worker.link.send(worker.unsent) :]
        except BlockingIOError:
            pass
        except (OSError, ValueError) as error:
            logger.warning("worker %d is not understood: %s", worker.number, error)
            self._let_go(worker)
            return
        if len(worker.unsent) > _MAX_UNSENT:
            logger.warning("worker %d reads no answers", worker.number)
            self._let_go(worker)
            return
        more = selectors.EVENT_WRITE if worker.unsent else 0
        handle = partial(self._exchange, worker, answering)
        self._selector.modify(worker.link, selectors.EVENT_READ | more, handle)

    def _let_go(self, worker: _Worker) -> None:
        """Close a worker's link; one that still runs ends by itself then."""
        if worker.link is not None:
            self._selector.unregister(worker.link)
            worker.link.close()
            worker.link = None

    def _serves(self, worker: _Worker) -> None:
        worker.is_ready = True
        self._has_served = True
        if all(each.is_ready for each in self._workers):
            logger.info("all %d workers serve", len(self._workers))

    # How they end -------------------------------------------------------------------------------

    def _notice(self, events: int) -> None:
        """Read which signals came. For SIGCHLD that is all: the loop looks for the dead anyway."""
        for number in self._signals[1].recv(4096):
            if number in _SIGNALS:
                self._pass_on(signal.Signals(number))

    def _pass_on(self, number: signal.Signals) -> None:
        if self._stopping is None:
            logger.info("%s: the workers drain; send it again to end at once", number.name)
        self._stopping = self._stopping or number
        for worker in self._workers:
            if worker.pid is not None:
                os.kill(worker.pid, number)  # not reaped yet, so it is no stranger's

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.pid is None:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._bury(worker, os.waitstatus_to_exitcode(status))

    def _bury(self, worker: _Worker, code: int) -> None:
        pid, worker.pid = worker.pid, None
        self._let_go(worker)
        if self._stopping is not None:
            early = code == -self._stopping and not worker.is_ready
            self._code = self._code or (0 if early else _shell_code(code))
        elif not self._has_served:
            # It has told why by itself.
            self._give_up(_shell_code(code) or _CRASHED)
        else:
            logger.error("worker %d (pid %s) %s", worker.number, pid, _tell_end(code))
            self._plan_next(worker)

    def _plan_next(self, worker: _Worker) -> None:
        now = self._clock()
        worker.deaths.append(now)
        while worker.deaths[0] < now - _DEATHS_WITHIN_S:
            worker.deaths.popleft()
        died = len(worker.deaths)
        if died >= _MAX_DEATHS:
            logger.error(
                "worker %d died %d times within %g s; all end", worker.number, died,
                _DEATHS_WITHIN_S,
            )  # fmt: skip
            self._give_up(_CRASHED)
            return
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (died - 1))
        worker.start_at = now + pause_s
        logger.info("worker %d starts again in %g s", worker.number, pause_s)

    def _give_up(self, code: int) -> None:
        self._code = code
        self._stopping = signal.SIGTERM
        for worker in self._workers:
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGTERM)


def _do_nothing(number: int, frame: object) -> None:
    """Stand for the default, which would end the process; the wake-up tells of the signal."""


def _code_of(error: BaseException) -> int:
    """Return the exit code that an exception stands for, and tell one that nobody expected."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    sys.excepthook(type(error), error, error.__traceback__)
    return _CRASHED


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code


def _tell_end(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
