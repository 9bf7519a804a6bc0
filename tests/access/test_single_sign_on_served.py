"""Single sign-on and JWTs of Supabase Auth in `pullse serve`, as settings alone make it."""

import httpx

from pullse.kit.db import Database
from tests.access.people import hire
from tests.access.single_sign_on import refusal, visit
from tests.cli.program import AUTHORIZED, TOKEN, running
from tests.standins.oidc import CLIENT, SECRET, providing
from tests.standins.supabase import SERVICE_KEY, projected


async def test_settings_are_all_that_it_takes(database: Database, database_url: str) -> None:
    agent_id = await hire(database, "Ada")
    async with providing() as provider, projected() as project:
        settings = {
            "DATABASE_URL": database_url,
            "PULLSE_API_TOKEN": TOKEN,
            "PULLSE_OIDC": "big-corp,gone",
            "PULLSE_OIDC_BIG_CORP_ISSUER": provider.issuer,
            "PULLSE_OIDC_BIG_CORP_CLIENT_ID": CLIENT,
            "PULLSE_OIDC_BIG_CORP_CLIENT_SECRET": SECRET,
            "PULLSE_OIDC_BIG_CORP_TITLE": "The big one",
            "PULLSE_OIDC_GONE_ISSUER": "http://127.0.0.1:9",
            "PULLSE_OIDC_GONE_CLIENT_ID": CLIENT,
            "SUPABASE_URL": project.url,
            "SUPABASE_SERVICE_KEY": SERVICE_KEY,
            "PULLSE_SUPABASE_AUTH": "jwks",
        }
        with running("serve", "--port", "0", **settings) as program:
            url = await program.url()
            async with httpx.AsyncClient(base_url=url, verify=False) as client:
                answer = await client.get("/api/sign-in/providers")
                records = answer.json()["data"]["records"]
                assert [each["title"] for each in records] == ["The big one", "Gone"]

                answer = await client.get(records[0]["href"], params={"return_to": "/tickets"})
                answer = await client.get(await visit(answer.headers["location"]))
                assert answer.headers["location"] == "/tickets"
                answer = await client.get("/api/session/identities")
                assert answer.json()["data"]["records"][0]["provider"] == "big-corp"

                answer = await client.get(records[1]["href"])
                assert refusal(answer) == "provider_failed"
                await program.says("Nobody can sign in by gone: .* can't be reached")
                assert SECRET not in program.said

            async with httpx.AsyncClient(base_url=url, verify=False) as client:
                given = {"title": "A", "description": "B"}
                bearer = {"Authorization": f"Bearer {project.token()}"}
                answer = await client.post("/api/tickets", json=given, headers=bearer)
                assert answer.status_code == 201, answer.text
                feed = await client.get("/api/events?name=ticket.created", headers=AUTHORIZED)
                fact = feed.json()["data"]["records"][0]
                assert fact["actor"] == f"agent:{agent_id}"
