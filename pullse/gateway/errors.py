"""
What the gateway says no with, in the codes that Ably's clients know.

Codes and their HTTP status are Ably's, as its SDKs and its published list use them.
"""

from typing import Any


class Failure(Exception):
    """A refusal as Ably's clients read it: `code` tells what, `status` is HTTP's."""

    def __init__(self, code: int, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or status_of(code)

    @property
    def info(self) -> dict[str, Any]:
        """ErrorInfo: all three are required by ably-js."""
        return {"message": self.message, "code": self.code, "statusCode": self.status}


def status_of(code: int) -> int:
    """40142 is a 401, 40400 a 404, 50003 a 503; codes of connections and channels are 400."""
    if code == UNAVAILABLE:
        return 503
    first = code // 100
    return first if 400 <= first < 600 else 400


BAD_REQUEST = 40000
BAD_BODY = 40001
BAD_PARAMETER = 40003
BAD_CONNECTION_KEY = 40006
TOO_LARGE = 40009
BAD_CHANNEL = 40010
BAD_CLIENT_ID = 40012
BAD_DATA = 40013
NO_VERSION = 40017
BATCH_FAILED = 40020
BAD_MESSAGE_ID = 40031
BAD_EXTRAS = 40032
FORCED = 40099
BAD_CREDENTIALS = 40101
INCOMPATIBLE = 40102
BAD_TIMESTAMP = 40104
NONCE_USED = 40105
TOKEN_REVOKED = 40141
TOKEN_EXPIRED = 40142
BAD_TOKEN = 40144
NOT_CAPABLE = 40160
NOT_REVOCABLE = 40163
NO_MODE = 40165
NOT_FOUND = 40400
OTHER_METHOD = 40500
TOO_MANY_CHANNELS = 90010
UNAVAILABLE = 50003
INTERNAL = 50000
DISCONNECTED = 80003
UNKNOWN_CONNECTION = 80018
CHANNEL_CONTINUITY_LOST = 80012
NO_CLIENT_ID = 91000
NOT_ATTACHED = 91001
TOO_MANY_MEMBERS = 91003
