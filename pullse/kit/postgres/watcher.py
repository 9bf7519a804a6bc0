"""A tiny process that stops PostgreSQL when the application is gone, kill -9 included.

It reads a pipe whose only other end the application holds: the end of the pipe is the end of the
application. What comes through the pipe is the number of the server to stop.
"""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress

from pullse.kit.postgres.account import Account
from pullse.kit.postgres.lock import Private

# A stop of the whole machine or service may signal everyone at once: it stays until the
# application is gone. Fast shutdown first, immediate after 3 s; the data survives either.
SCRIPT = """\
# pullse: stops PostgreSQL when the application is gone.
trap '' HUP INT TERM
server=0
while read -r line; do server=$line; done
[ "$server" -gt 1 ] || exit 0
kill -INT "$server" 2>/dev/null || exit 0
for tenth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    sleep 0.1
    kill -0 "$server" 2>/dev/null || exit 0
done
kill -QUIT "$server" 2>/dev/null
"""

# The server's number is in the pipe before there is a server: no moment to die in between.
ANNOUNCE_AND_BECOME = """
(trap '' PIPE; echo "$$" >&0) 2>/dev/null
exec "$@" </dev/null
"""


class Watcher:
    def __init__(self, account: Account) -> None:
        read, write = os.pipe()
        self._pipe = Private(write)
        self._writing = threading.Lock()  # never to a number that is another file's by now
        try:
            self.process = account.popen(
                ["/bin/sh", "-c", SCRIPT, "pullse-watcher"],
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except BaseException:
            self._pipe.close()
            raise
        finally:
            os.close(read)

    def popen(self, account: Account, command: list[str], *, log: int) -> subprocess.Popen[str]:
        """Start the server, watched from its first moment."""
        announced = ["/bin/sh", "-c", ANNOUNCE_AND_BECOME, "sh", *command]
        return account.popen(announced, stdin=self._pipe.fd, stdout=log, stderr=log)

    def watch(self, server: int) -> None:
        """0 watches nothing."""
        with self._writing, suppress(OSError):
            os.write(self._pipe.fd, b"%d\n" % server)

    def close(self) -> None:
        """Dismiss it, and leave the server alone."""
        self.watch(0)
        with self._writing:
            self._pipe.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
