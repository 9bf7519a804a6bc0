"""The page of one ticket."""

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.sign_in import hire_with_password
from tests.desk.desk import at_desk, now, opened
from tests.web.visiting import led_to, parsed, send


async def test_a_ticket_is_shown_and_changed(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    ticket = await opened(served, "The lamp is dark")
    async with at_desk(served) as client:
        page = await client.get("/tickets/1")
        assert page.status_code == 200
        assert "The lamp is dark" in parsed(page).text
        assert "It broke." in parsed(page).text
        fields = {"version": 1, "status": "resolved", "priority": "low", "assigned_to": ada}
        answer = await send(client, "/tickets/1/changes", fields | {"team_id": "none"})
        assert led_to(answer) == "/tickets/1?done=changed"
        page = await client.get("/tickets/1?done=changed")
        assert "Ada set status to Resolved, from Open" in parsed(page).text
        assert "Ada took this ticket" in parsed(page).text
        changed = await now(served, ticket)
        assert (changed["status"], changed["assigned_to"]) == ("resolved", str(ada))
        assert (await client.get("/tickets/1?edit=text")).status_code == 200
        assert (await client.get("/tickets/new")).status_code == 200
        answer = await send(client, "/tickets", {"title": "Another", "description": "a\r\nb"})
        assert led_to(answer) == "/tickets/2?done=created"
        answer = await send(client, "/tickets", {"title": " ", "description": "a\r\nb"})
        assert answer.status_code == 400
        answer = await send(
            client, "/tickets/1/changes", {"version": 1, "title": "x", "status": "closed"}
        )
        assert answer.status_code == 409, answer.text
        answer = await send(client, "/tickets/1/delete", {"version": 3})
        assert led_to(answer) == "/tickets/1?done=deleted"
        assert "Restore" in (await client.get("/tickets/1?done=deleted")).text
        answer = await send(client, "/tickets/1/restore")
        assert led_to(answer) == "/tickets/1?done=restored"
