"""Programs that a supervisor runs, for tests: `python -m tests.neuron.supervised WORK`.

Each worker writes what it does to standard output, a line at a time.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType

from node.errors import ConfigError
from node.network.guard_wire import ANSWER, ask_entry, say_ready
from node.neuron import supervisor
from node.neuron.supervisor import Supervisor

COUNT = 3


def say(number: int, what: str) -> None:
    """Write a line; short enough to be written in one piece."""
    os.write(1, f"{number} {os.getpid()} {what}\n".encode())


def ask(link: socket.socket, question: bytes) -> float:
    """Ask the guard."""
    link.sendall(question)
    answer: float = ANSWER.unpack(link.recv(ANSWER.size, socket.MSG_WAITALL))[0]
    return answer


def idle(number: int, link: socket.socket) -> int:
    """Serve, so to speak, until a signal; or until the guard goes."""

    def stop(received: int, frame: FrameType | None) -> None:
        say(number, signal.Signals(received).name)
        time.sleep(0.1)  # so that a second one would be heard
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    ask(link, say_ready())
    say(number, "ready")
    if link.recv(1):
        return 9
    say(number, "alone")
    return 3


def fails_at_start(number: int, link: socket.socket) -> int:
    """End before it serves."""
    say(number, "fails")
    return 2


def raises_at_start(number: int, link: socket.socket) -> int:
    """End by what nobody expected."""
    raise ZeroDivisionError(f"worker {number}")


def second_dies(number: int, link: socket.socket) -> int:
    """Let worker 1 die again and again, soon after it serves."""
    if number != 1:
        return idle(number, link)
    ask(link, say_ready())
    say(number, "dies")
    return 7


def talks_nonsense(number: int, link: socket.socket) -> int:
    """Let worker 1 ask what is no question, once."""
    if number == 1 and ask(link, ask_entry(b"nonsense was talked", 60.0)):
        ask(link, say_ready())
        link.sendall(b"\xff" * 49)
        return 5 if link.recv(1) == b"" else 6
    return idle(number, link)


def reads_no_answers(number: int, link: socket.socket) -> int:
    """Let worker 1 ask and ask, once, while the others are answered."""
    if number == 1 and ask(link, ask_entry(b"it was deaf", 60.0)):
        ask(link, say_ready())
        try:
            while True:
                link.sendall(ask_entry(b"x", 60.0) * 1000)
        except ConnectionError:
            return 5
    return idle(number, link)


def takes_in_turn(number: int, link: socket.socket) -> int:
    """Take the same entries in all workers."""
    ask(link, say_ready())
    taken = sum(ask(link, ask_entry(b"entry %d" % entry, 60.0)) for entry in range(200))
    say(number, f"took {taken:g}")
    return idle(number, link)


def with_thread(number: int, link: socket.socket) -> int:
    """Never run: a thread is there before."""
    return 0


WORKS = {
    work.__name__: work
    for work in (
        idle, fails_at_start, raises_at_start, second_dies, talks_nonsense, reads_no_answers,
        takes_in_turn, with_thread,
    )
}  # fmt: skip


def main() -> int:
    """Run the work that the command line names."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    supervisor._FIRST_PAUSE_S = 0.02
    sys.stdout.write("before the workers\n")  # which a pipe holds back
    work = WORKS[sys.argv[1]]
    if work is with_thread:
        threading.Thread(target=time.sleep, args=(60,), name="early", daemon=True).start()
    try:
        return Supervisor(work, COUNT, on_fork=lambda: say(0, "forked")).run()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
