"""
A description as HTML, for who reads it.

It is made when it is written. What an older release wrote, or came in bulk, has none, and what
another renderer made is not trusted: whoever reads that first makes it, and leaves it there.
"""

from contextlib import suppress
from uuid import UUID

from pullse.errors import Unavailable
from pullse.kit.db import Database, Db
from pullse.kit.markdown import VERSION, rendered

HTML = f"CASE WHEN description_html_version = {VERSION} THEN description_html END"
"""For statements that read a ticket: null where `html_of` has to make it."""


async def html_of(
    database: Database, ticket_id: UUID, version: int, description: str, html: str | None
) -> str:
    """`html` as it was read together with the rest, or else made now, and kept."""
    if html is None:
        html = await rendered(description)
        with suppress(Unavailable):
            async with database.session() as db:
                await keep(db, ticket_id, version, html)
    return html


async def keep(db: Db, ticket_id: UUID, version: int, html: str) -> None:
    """No change of the ticket; who is writing it right now writes the HTML too."""
    await db.run(
        f"""
        UPDATE tickets
           SET description_html = $3, description_html_version = {VERSION}
         WHERE id = (SELECT id FROM tickets
                      WHERE id = $1 AND version = $2
                        FOR NO KEY UPDATE SKIP LOCKED)
        """,
        ticket_id,
        version,
        html,
    )
