"""/api/links/{link}/passkey: a passkey instead of a password, with a link that is used once."""

from pullse.access.links import IsSetUp, no_link
from pullse.access.passkeys import by_link
from pullse.access.passkeys.actions import NoPasskey, PasskeyKnown
from pullse.access.passkeys.api import MADE, TO_MAKE, NoPasskeysHere, asked, device, site_of
from pullse.access.passkeys.by_link import SecondFactorSet
from pullse.access.passkeys.model import LinkedPasskey, Options
from pullse.access.secrets import is_secret
from pullse.access.sign_in_model import Person, WhoSetIt
from pullse.agents.actions import EmailTaken
from pullse.agents.api import EXAMPLE as AGENT
from pullse.kit.web import Answer, Call, Request, encoded, ok


async def begin(request: Request) -> Answer:
    given, token = await request.read_body(Person), link_in_path(request)
    return asked(request, await by_link.begin(request.database, token, given, site_of(request)))


async def finish(request: Request) -> Answer:
    given, token = await request.read_body(LinkedPasskey), link_in_path(request)
    agent_id, purpose = await by_link.finish(
        request.database,
        token,
        given,
        given.passkey_name or device(request),
        site_of(request),
        by=request.actor,
    )
    request.services.forget()
    request.services.tail.wake()
    return ok(request, f'{{"agent_id":{encoded(agent_id)},"purpose":{encoded(purpose)}}}')


def link_in_path(request: Request) -> str:
    token = request.path_params["link"]
    if not is_secret(token):
        no_link()
    return token


calls = [
    Call(
        "POST",
        "/api/links/{link}/passkey/options",
        begin,
        "Begin a passkey with a link: what the browser is to ask the authenticator",
        "Go on in the browser.",
        body=Person,
        data=Options,
        example=TO_MAKE,
        body_example={"name": AGENT["name"]},
        tag="sign-in",
        description="The link stays good.",
        refuses=[SecondFactorSet, NoPasskeysHere],
        is_open=True,
        is_repeatable=False,
    ),
    Call(
        "POST",
        "/api/links/{link}/passkey",
        finish,
        "Use a link: keep the passkey that the authenticator made",
        "Passkey has been set.",
        body=LinkedPasskey,
        data=WhoSetIt,
        example={"agent_id": AGENT["id"], "purpose": "invitation"},
        body_example={"credential": MADE, "name": AGENT["name"], "passkey_name": "My laptop"},
        tag="sign-in",
        description="A password that there was is removed, and all sessions of the agent end. It "
        "does not sign in.",
        refuses=[NoPasskey, SecondFactorSet, PasskeyKnown, EmailTaken, IsSetUp, NoPasskeysHere],
        is_open=True,
        is_repeatable=False,
    ),
]
