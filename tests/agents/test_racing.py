"""An agent leaves while others work: nobody waits for ever, and no open ticket stays behind."""

import asyncio

import httpx

from tests.api.calls import Body, change, delete, get, new_agent, new_ticket

ROUNDS = 50


async def left_behind(client: httpx.AsyncClient, agent: Body) -> list[Body]:
    params = {"assigned_to": agent["id"], "status": "open,in_progress", "limit": 200}
    return list((await get(client, "/api/tickets", **params))["records"])


async def test_nobody_is_assigned_to_one_who_leaves(client: httpx.AsyncClient) -> None:
    tickets = [await new_ticket(client) for _ in range(4)]
    for number in range(ROUNDS):
        agent = await new_agent(client, f"Agent {number}")
        mine = [
            await new_ticket(client, assigned_to=agent["id"]),
            await new_ticket(client, assigned_to=agent["id"], status="closed"),
        ]
        path = f"/api/agents/{agent['id']}"
        assign = {"assigned_to": agent["id"]}

        answers = await asyncio.gather(
            *(client.patch(f"/api/tickets/{each['id']}", json=assign) for each in tickets[:2]),
            client.post(
                "/api/tickets", json={"title": "Help", "description": "It broke.", **assign}
            ),
            client.delete(path),
            client.patch(f"/api/tickets/{mine[0]['id']}", json={"status": "in_progress"}),
            client.patch(f"/api/tickets/{mine[1]['id']}", json={"status": "open"}),
            *(client.patch(f"/api/tickets/{each['id']}", json=assign) for each in tickets[2:]),
        )

        assert answers[3].status_code == 200
        assert {answer.status_code for answer in answers} <= {200, 201, 400}, answers
        assert await left_behind(client, agent) == []


async def test_nothing_comes_out_of_the_trash_to_one_who_leaves(client: httpx.AsyncClient) -> None:
    for number in range(ROUNDS):
        agent = await new_agent(client, f"Agent {number}")
        ticket = await new_ticket(client, assigned_to=agent["id"])
        await delete(client, ticket)

        answers = await asyncio.gather(
            client.delete(f"/api/agents/{agent['id']}"),
            client.post(f"/api/tickets/{ticket['id']}/restore"),
        )

        assert {answer.status_code for answer in answers} == {200}
        assert await left_behind(client, agent) == []


async def test_agents_leave_and_change_at_once(client: httpx.AsyncClient) -> None:
    """Each statement locks agents before tickets, so none waits for one that waits for it."""
    for number in range(ROUNDS // 5):
        agents = [await new_agent(client, f"Agent {number} {letter}") for letter in "abc"]
        tickets = [await new_ticket(client, assigned_to=each["id"]) for each in agents]

        answers = await asyncio.gather(
            *(
                client.patch(
                    f"/api/tickets/{ticket['id']}", json={"assigned_to": agents[turn]["id"]}
                )
                for turn in (1, 2, 0)
                for ticket in tickets
            ),
            *(client.delete(f"/api/agents/{each['id']}") for each in agents[:2]),
            client.patch(f"/api/agents/{agents[2]['id']}", json={"name": "Cem"}),
        )

        assert {answer.status_code for answer in answers} <= {200, 400}
        for agent in agents[:2]:
            assert await left_behind(client, agent) == []
        await asyncio.gather(*(change(client, ticket, status="closed") for ticket in tickets))
