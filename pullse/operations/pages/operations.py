"""/operations: what runs here, how far it is, and what the doctor finds."""

from pullse.kit.pages import Shown, showing
from pullse.kit.web import Request
from pullse.operations import state
from pullse.reports import count_queries as counts
from pullse.reports import insight_queries as insight
from pullse.web.frame import shown

HERE = "/operations"
READERS = ("ably", "relay", counts.READER, insight.READER, insight.FIRST)
"""Of facts, that have names in words; another release may have left others."""


async def show(request: Request) -> Shown:
    found = await state.read(request)
    report = await request.services.checkup.report()
    wrong = [each for each in report.findings if not each.is_well]
    return await shown(
        request,
        "operations/operations.html",
        state=found,
        report=report,
        named=READERS,
        wrong=wrong,
        well=[each for each in report.findings if each.is_well],
    )


pages = [showing(HERE, show, "operations:read")]
