"""How the events of a stream are written: as Server-Sent Events, or as lines of JSON."""

import re
from abc import ABC, abstractmethod
from base64 import b64encode
from typing import Any, NamedTuple

import msgspec

from pullse.gateway.errors import Failure
from pullse.gateway.wire import JSON, Message
from pullse.kit.events import Place

RETRY = 1_000
"""Milliseconds after which an EventSource that was cut comes back."""
LINE = re.compile(r"\r\n|\r|\n")


class Event(NamedTuple):
    """`text` is the payload, or the JSON of the message."""

    place: Place
    name: str
    text: str


class Form(ABC):
    """How events are written."""

    content_type = b""
    is_enveloped = True
    has_heartbeats = False

    def content(self, message: Message, channel: str) -> str:
        if not self.is_enveloped:
            return self.raw(message.data)
        shown = msgspec.structs.replace(JSON.shown(message), channel=channel)
        return msgspec.json.encode(shown).decode()

    @abstractmethod
    def raw(self, data: Any) -> str: ...

    @abstractmethod
    def event(self, event: Event, id_: str) -> str: ...

    @abstractmethod
    def opening(self, id_: str) -> str: ...

    @abstractmethod
    def error(self, failure: Failure) -> str: ...

    @abstractmethod
    def place(self, id_: str) -> str:
        """An id without an event."""

    @abstractmethod
    def heartbeat(self) -> str: ...


class Events(Form):
    """Server-Sent Events. A block without data is no event, but its id counts."""

    content_type = b"text/event-stream"

    def raw(self, data: Any) -> str:
        return text_of(data)

    def event(self, event: Event, id_: str) -> str:
        data = "\n".join(f"data: {line}" for line in LINE.split(event.text))
        return f"id: {id_}\nevent: {event.name}\n{data}\n\n"

    def opening(self, id_: str) -> str:
        return f"retry: {RETRY}\n{self.place(id_)}"

    def error(self, failure: Failure) -> str:
        return f"event: error\ndata: {msgspec.json.encode(failure.info).decode()}\n\n"

    def place(self, id_: str) -> str:
        return f"id: {id_}\n\n"

    def heartbeat(self) -> str:
        return "event: heartbeat\ndata:\n\n" if self.has_heartbeats else ":keepalive\n\n"


class Lines(Form):
    """One JSON object a line; empty lines only say that we are still here."""

    content_type = b"application/x-ndjson"

    def raw(self, data: Any) -> str:
        return msgspec.json.encode(None if data is None else text_of(data)).decode()

    def event(self, event: Event, id_: str) -> str:
        return f'{{"id":"{id_}","event":"{event.name}","data":{event.text}}}\n'

    def opening(self, id_: str) -> str:
        return "\n"

    def error(self, failure: Failure) -> str:
        return f'{{"event":"error","data":{msgspec.json.encode(failure.info).decode()}}}\n'

    def place(self, id_: str) -> str:
        return ""

    def heartbeat(self) -> str:
        return '{"event":"heartbeat"}\n' if self.has_heartbeats else "\n"


def text_of(data: Any) -> str:
    """A payload alone: bytes are base64."""
    if isinstance(data, bytes):
        return b64encode(data).decode()
    return data or ""
