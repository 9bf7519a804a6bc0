"""A stand-in for Supabase Auth: its keys, its users, and what it says of itself."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from joserfc import jwk

from tests.standins.http import Request, Response, serve
from tests.standins.oidc import answered, signed

SHARED = "the-shared-secret-of-a-project-in-tests-0123"
SERVICE_KEY = "sb_secret_of-the-project"


class Project:
    """A Supabase project's Auth, with one user, whose address it has confirmed."""

    def __init__(self) -> None:
        self.url = ""
        self.key: Any = jwk.ECKey.generate_key("P-256", {"kid": "of the project"})
        self.user: dict[str, Any] = {
            "id": str(uuid4()),
            "email": "ada@example.org",
            "email_confirmed_at": "2026-11-22T09:00:00Z",
        }
        self.settings: dict[str, Any] = {"mailer_autoconfirm": False}
        self.is_away = False
        self.asked: list[str] = []

    @property
    def issuer(self) -> str:
        return f"{self.url}/auth/v1"

    def told(self, **more: Any) -> dict[str, Any]:
        """What is in an access token of the user; None takes a claim away."""
        now = int(time.time())
        told = {
            "iss": self.issuer,
            "sub": self.user["id"],
            "aud": "authenticated",
            "role": "authenticated",
            "iat": now,
            "exp": now + 3600,
            "email": self.user["email"],
            "phone": "",
            "app_metadata": {"provider": "email", "providers": ["email"]},
            "user_metadata": {"email_verified": True},
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": now}],
            "session_id": str(uuid4()),
            "is_anonymous": False,
            **more,
        }
        return {name: value for name, value in told.items() if value is not None}

    def token(self, **more: Any) -> str:
        return signed(self.told(**more), self.key, "ES256")

    def shared(self, secret: str = SHARED, **more: Any) -> str:
        key = jwk.OctKey.import_key(secret)
        return signed(self.told(**more), key, "HS256", kid=None)

    async def answer(self, request: Request) -> Response:
        self.asked.append(request.path)
        if self.is_away:
            return answered({}, 500)
        if request.headers.get("apikey") != SERVICE_KEY:
            return answered({"message": "No API key found in request"}, 401)
        if request.path == "/auth/v1/.well-known/jwks.json":
            return answered({"keys": [self.key.as_dict(private=False)]})
        if request.path == "/auth/v1/settings":
            return answered(self.settings)
        if request.path == "/auth/v1/user":
            assert request.headers["authorization"].startswith("Bearer ey")
            return answered(self.user)
        return answered({}, 404)


@asynccontextmanager
async def projected() -> AsyncIterator[Project]:
    project = Project()
    server = await serve(project.answer, 0)
    project.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield project
    finally:
        server.close()
        await server.wait_closed()
