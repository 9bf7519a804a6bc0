"""Settings: read once, from the environment and `.env`; all that is wrong is said at once."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from pullse import settings
from pullse.providers import Provider
from pullse.settings import NAMES, Settings, Wrong, load

NOWHERE = Path("/nonexistent")
TOKEN = "a-token-of-more-than-twenty-characters"
SECRET = "a-secret-of-more-than-thirty-two-characters"


def given(**values: str) -> Settings:
    return load(values, folder=NOWHERE)


def refused(**values: str) -> str:
    with pytest.raises(Wrong) as refusal:
        given(**values)
    return str(refusal.value)


def test_nothing_has_to_be_set() -> None:
    found = given()
    assert found == Settings()
    assert (found.port, found.pool_size, found.log_format, found.rate) == (3000, 10, "text", 50)


def test_each_setting_is_read() -> None:
    found = given(
        DATABASE_URL="postgresql://me:pw@db.example.org:6543/tickets",
        DATABASE_DIRECT_URL="postgresql://me:pw@db.example.org:5432/tickets",
        ABLY_API_KEY="app.key:secret",
        SUPABASE_URL="https://project.supabase.co",
        SUPABASE_SERVICE_KEY="service",
        SUPABASE_JWT_SECRET=SECRET,
        PORT="8080",
        PULLSE_ABLY_HOST="localhost",
        PULLSE_ABLY_PORT="9000",
        PULLSE_ABLY_TLS="false",
        PULLSE_API_TOKEN=TOKEN,
        PULLSE_DATA_DIR="/srv/pullse",
        PULLSE_HOSTS="help.example.org, [::1]",
        PULLSE_LOG_FORMAT="json",
        PULLSE_LOG_LEVEL="DEBUG",
        PULLSE_OIDC="Corp, big-search",
        PULLSE_OIDC_CORP_ISSUER="https://sso.example.org/realms/corp",
        PULLSE_OIDC_CORP_CLIENT_ID="pullse",
        PULLSE_OIDC_CORP_CLIENT_SECRET="a secret",
        PULLSE_OIDC_CORP_TITLE="Our own: ä",
        PULLSE_OIDC_CORP_SCOPES="openid  email",
        PULLSE_OIDC_CORP_CREATES="collaborator",
        PULLSE_OIDC_CORP_DOMAINS="Example.org, example.com",
        PULLSE_OIDC_BIG_SEARCH_ISSUER="http://127.0.0.1:9000/",
        PULLSE_OIDC_BIG_SEARCH_CLIENT_ID="public",
        PULLSE_ORIGINS="https://app.example.org,http://localhost:5173",
        PULLSE_POOL_SIZE="25",
        PULLSE_POSTGRES="system",
        PULLSE_PROXIES="10.0.0.7, fd00::/8",
        PULLSE_RATE="0",
        PULLSE_SECRET=SECRET,
        PULLSE_SUPABASE_AUTH="jwks",
    )
    assert found == Settings(
        database_url="postgresql://me:pw@db.example.org:6543/tickets",
        database_direct_url="postgresql://me:pw@db.example.org:5432/tickets",
        ably=settings.Ably("app.key:secret", "localhost", 9000, False),
        supabase_url="https://project.supabase.co",
        supabase_service_key="service",
        supabase_jwt_secret=SECRET,
        supabase_auth="jwks",
        port=8080,
        api_token=TOKEN,
        secret=SECRET,
        data_dir=Path("/srv/pullse"),
        postgres="system",
        pool_size=25,
        log_format="json",
        log_level="DEBUG",
        hosts=("help.example.org", "[::1]"),
        origins=("https://app.example.org", "http://localhost:5173"),
        proxies=(ip_network("10.0.0.7/32"), ip_network("fd00::/8")),
        rate=0,
        oidc=(
            Provider(
                name="corp",
                title="Our own: ä",
                issuer="https://sso.example.org/realms/corp",
                client_id="pullse",
                client_secret="a secret",
                scopes="openid email",
                creates="collaborator",
                domains=("example.org", "example.com"),
            ),
            Provider("big-search", "Big search", "http://127.0.0.1:9000/", "public"),
        ),
    )


def test_what_is_empty_is_not_set() -> None:
    assert given(**dict.fromkeys(NAMES, ""), PATH="/bin") == Settings()
    assert given(PORT="  ", ABLY_API_KEY=" ") == Settings()


def test_all_that_is_wrong_is_in_one_message() -> None:
    message = refused(
        DATABASE_URL="mysql://localhost/x",
        ABLY_API_KEY="nonsense",
        SUPABASE_URL="project.supabase.co",
        PORT="http",
        PULLSE_ABLY_PORT="0",
        PULLSE_ABLY_TLS="yes",
        PULLSE_API_TOKEN="short",
        PULLSE_HOSTS="https://help.example.org",
        PULLSE_LOG_FORMAT="xml",
        PULLSE_LOG_LEVEL="LOUD",
        PULLSE_OIDC="a b",
        PULLSE_ORIGINS="*",
        PULLSE_POOL_SIZE="1",
        PULLSE_POSTGRES="mine",
        PULLSE_PROXIES="nginx",
        PULLSE_RATE="fast",
        PULLSE_SECRET="too-short-for-a-secret",
        PULLSE_SUPABASE_AUTH="on",
        SUPABASE_JWT_SECRET="short",
        PULLSE_COLOUR="blue",
    )
    for name in (
        "DATABASE_URL",
        "ABLY_API_KEY",
        "SUPABASE_URL",
        "PORT",
        "PULLSE_ABLY_PORT",
        "PULLSE_ABLY_TLS",
        "PULLSE_API_TOKEN",
        "PULLSE_HOSTS",
        "PULLSE_LOG_FORMAT",
        "PULLSE_LOG_LEVEL",
        "PULLSE_OIDC",
        "PULLSE_ORIGINS",
        "PULLSE_POOL_SIZE",
        "PULLSE_POSTGRES",
        "PULLSE_PROXIES",
        "PULLSE_RATE",
        "PULLSE_SECRET",
        "PULLSE_SUPABASE_AUTH",
        "SUPABASE_JWT_SECRET",
        "PULLSE_COLOUR",
    ):
        assert f"\n  {name}: " in message


@pytest.mark.parametrize("port", ["-1", "65536", "3000.0", "0x50", "٣٠٠٠", "3 000", "9" * 5000])
def test_a_port_is_a_number_that_ports_have(port: str) -> None:
    assert "PORT: a number from 0 to 65535" in refused(PORT=port)


@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        "sqlite:///x",
        "http://db",
        "postgresql://db:port/x",
        "postgresql://[::1/x",
        "postgresql://db:99999/x",
    ],
)
def test_a_database_is_given_by_its_url(url: str) -> None:
    assert "DATABASE_URL: write it as postgresql://" in refused(DATABASE_URL=url)


@pytest.mark.parametrize(
    "token",
    ["x" * 19, "with a space in between it", "nön-ascii-token-of-length", "tab\tin-a-long-token"],
)
def test_a_token_is_long_and_plain(token: str) -> None:
    assert "PULLSE_API_TOKEN" in refused(PULLSE_API_TOKEN=token)


@pytest.mark.parametrize(
    "secret",
    ["x" * 31, "with a space in between and more of it", "nön-ascii-" * 4],
)
def test_a_secret_is_longer_still(secret: str) -> None:
    assert "PULLSE_SECRET: at least 32" in refused(PULLSE_SECRET=secret)


def test_lists_are_read_as_browsers_write_what_is_compared() -> None:
    found = given(
        PULLSE_HOSTS=" Help.Example.ORG,, 10.0.0.1 ,",
        PULLSE_ORIGINS="HTTPS://App.example.org:443, http://[::1]:8080, http://a:80",
        PULLSE_PROXIES="10.0.0.0/8",
    )
    assert found.hosts == ("help.example.org", "10.0.0.1")
    assert found.origins == ("https://app.example.org", "http://[::1]:8080", "http://a")
    assert found.proxies == (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    "name",
    [
        "help.example.org:443",
        "https://help.example.org",
        "*",
        "*.example.org",
        "a b",
        "a..b",
        ".a",
        "a.",
        "-a",
        "hülfe.example.org",
        "me@help.example.org",
        "::1",
        "[127.0.0.1]",
        "[::1",
        "[0:0::1]",
        "x" * 254,
    ],
)
def test_a_host_is_a_name_alone(name: str) -> None:
    message = refused(PULLSE_HOSTS=f"good.example.org,{name}")
    assert f"PULLSE_HOSTS: {name} is no host name" in message


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "app.example.org",
        "https://",
        "https://app.example.org/",
        "https://app.example.org/x",
        "https://me@app.example.org",
        "https://*.example.org",
        "https://app.example.org:0",
        "https://app.example.org:",
        "https://app.example.org:65536",
        "https://app.example.org:٣",
        "https://app.example.org?x",
        "https://[::1",
        "https://[::1]x",
        "ftp://app.example.org",
        "file:///x",
    ],
)
def test_an_origin_is_a_scheme_a_host_and_a_port(text: str) -> None:
    assert f"PULLSE_ORIGINS: {text} is no origin" in refused(PULLSE_ORIGINS=text)


@pytest.mark.parametrize("text", ["nginx", "10.0.0.256", "10.0.0.1/8", "10/8", "fd00::/129", "*"])
def test_a_proxy_is_an_address_or_a_network(text: str) -> None:
    message = refused(PULLSE_PROXIES=f"127.0.0.1,{text}")
    assert f"PULLSE_PROXIES: {text} is no address and no network" in message


def test_a_transaction_pooler_needs_a_direct_address_too() -> None:
    pooler = "postgresql://me:pw@db.example.org:6543/x"
    assert "DATABASE_DIRECT_URL: needed" in refused(DATABASE_URL=pooler)
    assert "pooler too" in refused(DATABASE_URL=pooler, DATABASE_DIRECT_URL=pooler)


def test_secrets_are_in_no_message_and_no_repr() -> None:
    secrets = {
        "DATABASE_URL": "postgresql://me:hush-1@db/x",
        "DATABASE_DIRECT_URL": "postgresql://me:hush-2@db/x",
        "ABLY_API_KEY": "app.key:hush-3",
        "SUPABASE_SERVICE_KEY": "hush-4",
        "PULLSE_API_TOKEN": "hush-5-and-then-some-more",
        "PULLSE_SECRET": "hush-6-and-then-some-more-characters",
    }
    assert "hush" not in repr(given(**secrets))
    assert "hush" not in str(given(**secrets))
    wrong = {
        "DATABASE_URL": "mysql://me:hush-1@db/x",
        "DATABASE_DIRECT_URL": "mysql://me:hush-2@db/x",
        "ABLY_API_KEY": "hush-3",
        "PULLSE_API_TOKEN": "hush-5",
        "PULLSE_SECRET": "hush-6",
    }
    assert "hush" not in refused(**wrong)


def test_the_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# a comment\nPORT=4000\nexport PULLSE_POOL_SIZE='7'\nPULLSE_LOG_LEVEL=DEBUG\n"
        'ABLY_API_KEY="app.key:se$cret"\nSOMETHING_ELSE=1\n'
    )
    found = load({"PORT": "5000"}, folder=tmp_path)

    assert (found.port, found.pool_size, found.log_level) == (5000, 7, "DEBUG")
    assert found.ably
    assert found.ably.key == "app.key:se$cret"


def test_a_wrong_name_in_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PULLSE_TOKEN=abc\n")
    with pytest.raises(Wrong, match="PULLSE_TOKEN: there is no such setting"):
        load({}, folder=tmp_path)


def test_a_folder_is_told_from_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert given(PULLSE_DATA_DIR="~/data").data_dir == Path("/home/ada/data")


CORP = {
    "PULLSE_OIDC": "corp",
    "PULLSE_OIDC_CORP_ISSUER": "https://sso.example.org",
    "PULLSE_OIDC_CORP_CLIENT_ID": "pullse",
}


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "sso.example.org",
        "http://sso.example.org",
        "http://10.0.0.7",
        "http://localhost.evil.example",
        "https://",
        "https://me:pw@sso.example.org",
        "https://sso.example.org?a=b",
        "https://sso.example.org#a",
        "https://sso.example.org:port",
        "https://sso.example.org/a b",
        "https://sso.example.org\\@evil.example",
        "ftp://sso.example.org",
        "https://ssö.example.org",
    ],
)
def test_an_issuer_is_reached_over_tls_or_is_this_machine(issuer: str) -> None:
    message = refused(**{**CORP, "PULLSE_OIDC_CORP_ISSUER": issuer})
    assert "\n  PULLSE_OIDC_CORP_ISSUER: " in message


@pytest.mark.parametrize(
    "issuer", ["http://localhost:1", "http://127.0.0.9/a", "http://[::1]:8080", "https://a.b/c/"]
)
def test_an_issuer_is_kept_as_it_is_written(issuer: str) -> None:
    assert given(**{**CORP, "PULLSE_OIDC_CORP_ISSUER": issuer}).oidc[0].issuer == issuer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PULLSE_OIDC", "corp,corp"),
        ("PULLSE_OIDC", "-corp"),
        ("PULLSE_OIDC", "co_rp"),
        ("PULLSE_OIDC", "c" * 31),
        ("PULLSE_OIDC_CORP_CLIENT_ID", ""),
        ("PULLSE_OIDC_CORP_CLIENT_ID", "é"),
        ("PULLSE_OIDC_CORP_CLIENT_SECRET", "é"),
        ("PULLSE_OIDC_CORP_SCOPES", "email profile"),
        ("PULLSE_OIDC_CORP_SCOPES", 'openid "'),
        ("PULLSE_OIDC_CORP_TITLE", "t" * 101),
        ("PULLSE_OIDC_CORP_CREATES", "owner"),
        ("PULLSE_OIDC_CORP_CREATES", "admin"),
        ("PULLSE_OIDC_CORP_NAME", "x"),
        ("PULLSE_OIDC_OTHER_ISSUER", "https://other.example"),
    ],
)
def test_a_providers_setting_that_cant_be_used_is_named(name: str, value: str) -> None:
    domains = {"PULLSE_OIDC_CORP_DOMAINS": "example.org"} if name.endswith("_CREATES") else {}
    assert f"\n  {name}: " in refused(**{**CORP, **domains, name: value})


def test_accounts_are_made_for_domains_that_are_named_alone() -> None:
    for more in (
        {"PULLSE_OIDC_CORP_CREATES": "agent"},
        {"PULLSE_OIDC_CORP_DOMAINS": "example.org"},
        {"PULLSE_OIDC_CORP_CREATES": "agent", "PULLSE_OIDC_CORP_DOMAINS": "*"},
        {"PULLSE_OIDC_CORP_CREATES": "agent", "PULLSE_OIDC_CORP_DOMAINS": "org"},
    ):
        assert "\n  PULLSE_OIDC_CORP_DOMAINS: " in refused(**CORP, **more)


def test_two_providers_have_two_issuers() -> None:
    more = {
        "PULLSE_OIDC": "corp,other",
        "PULLSE_OIDC_OTHER_ISSUER": "https://sso.example.org",
        "PULLSE_OIDC_OTHER_CLIENT_ID": "pullse",
    }
    assert "PULLSE_OIDC_OTHER_ISSUER: another provider has the same" in refused(**{**CORP, **more})


def test_a_providers_secret_is_not_shown() -> None:
    found = given(**CORP, PULLSE_OIDC_CORP_CLIENT_SECRET="hidden-one")
    assert found.oidc[0].client_secret == "hidden-one"
    assert "hidden-one" not in repr(found)


@pytest.mark.parametrize("url", [None, "http://project.supabase.co", "https://"])
def test_supabase_auth_needs_its_project_over_tls(url: str | None) -> None:
    more = {} if url is None else {"SUPABASE_URL": url}
    for each in ({"PULLSE_SUPABASE_AUTH": "jwks"}, {"SUPABASE_JWT_SECRET": SECRET}):
        assert "\n  SUPABASE_URL: needed" in refused(**more, **each)
