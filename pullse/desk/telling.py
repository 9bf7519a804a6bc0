"""What a list says of the form that was sent from it."""

from typing import Any

from pullse.kit.pages import Form
from pullse.kit.web import Request
from pullse.tickets import receipts


def told(request: Request, form: Form, done: str | None) -> dict[str, Any]:
    """What was done, or what was wrong."""
    return {
        "form": form,
        "receipt": receipts.find(request, done),
        "token": done,
        "chosen": {each.partition(".")[0]: True for each in form.values("ticket")},
    }
