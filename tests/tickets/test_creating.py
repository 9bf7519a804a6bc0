"""Creating tickets: the shapes, the defaults, and what is refused."""

import httpx


async def test_a_ticket_comes_back_as_the_contract_says(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/tickets", json={"title": "Help", "description": "It broke."})

    assert answer.status_code == 201
    body = answer.json()
    assert (body["status"], body["message"]) == (True, "Ticket has been created.")
    assert body["data"]["status"] == "open"
    assert body["data"]["priority"] == "low"
    assert body["data"]["assigned_to"] is None
    assert answer.headers["etag"] == '"1"'


async def test_a_stream_tells_of_it(live: httpx.AsyncClient) -> None:
    async with live.stream("GET", "/api/events", headers={"accept": "text/event-stream"}) as stream:
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("retry")
        await live.post("/api/tickets", json={"title": "Help", "description": "It broke."})
        async for line in lines:
            if line.startswith("data:"):
                assert "ticket.created" in line
                break
