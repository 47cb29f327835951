"""The tables [broker], [output] and [brokers.NAME]."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from agent.config.quantity import Duration
from agent.config.table import DAY, HOUR, MINUTE, SECOND, Table

SCHEMES = {"mqtt": False, "mqtts": True}  # with TLS or without
PORT, TLS_PORT = 1883, 8883


class Broker(Table):
    """An MQTT broker and how to get in."""

    host: str = Field(
        default="localhost",
        min_length=1,
        max_length=253,
        description="Name or address of the broker; or a URL, `mqtt://10.0.0.5:1883` or `mqtts://` with TLS, which "
        "says `port` and `tls` too.",
    )
    port: int = Field(default=PORT, ge=1, le=65_535, description="Its port; with TLS usually 8883.")
    client_id: str = Field(
        default="", max_length=64, description='Prefix of the MQTT client ids ("" = `forewarn-NODE`).'
    )
    username: str = Field(default="", max_length=256, description='User name ("" = none).')
    password_file: Path | None = Field(
        default=None, description="File with the password; a name without `/` is looked up in $CREDENTIALS_DIRECTORY."
    )
    tls: bool = Field(default=False, description="Encrypt, and verify the broker's certificate.")
    ca_file: Path | None = Field(default=None, description="Certificates to trust instead of the system's.")
    cert_file: Path | None = Field(
        default=None, description="Certificate by which this agent proves to the broker who it is."
    )
    key_file: Path | None = Field(
        default=None, description="Its private key, without a pass phrase (default: in `cert_file`)."
    )
    keepalive: Duration = Field(default=MINUTE, ge=5 * SECOND, le=HOUR, description="MQTT keepalive.")
    connect_timeout: Duration = Field(
        default=10 * SECOND, ge=SECOND, le=MINUTE, description="Time a connection may take."
    )
    session_expiry: Duration = Field(
        default=HOUR,
        ge=SECOND,
        le=30 * DAY,
        description='With `durability = "journal"`: how long the broker is asked to keep messages for an agent that is '
        "away (MQTT 5; with 3.1.1 the broker alone decides). How many it keeps is the broker's setting.",
    )
    protocol: Literal["auto", "5", "3.1.1"] = Field(
        default="auto", description="MQTT version; `auto` tries 5 and falls back to 3.1.1."
    )

    @model_validator(mode="before")
    @classmethod
    def _a_url_is_read_as_what_it_means(cls, values: object) -> object:
        if not isinstance(values, dict) or not isinstance(values.get("host"), str) or "://" not in values["host"]:
            return values
        try:
            meant = _read_url(values["host"])
        except ValueError:
            return values  # the check of `host` says what is wrong with it, beside its line
        for key in meant.keys() & values.keys() - {"host"}:
            if values[key] != meant[key]:
                given = str(values[key]).lower()
                raise ValueError(f"host = {values['host']!r} and {key} = {given} contradict each other: leave one out")
        return {"port": TLS_PORT if meant["tls"] else PORT, **values, **meant}

    @field_validator("host", mode="before")
    @classmethod
    def _host_is_no_faulty_url(cls, host: object) -> object:
        """Before all other checks, whose errors would show a password that is in a URL."""
        if isinstance(host, str) and ("://" in host or "@" in host):
            _read_url(host)
        return host

    @field_validator("host")
    @classmethod
    def _host_can_be_looked_up(cls, host: str) -> str:
        name, colon, port = host.rpartition(":")
        if colon and ":" not in name and port.isdecimal():
            raise ValueError(f'is a name or an address alone: host = "{name}", port = {port}')
        try:
            host.encode("idna")  # as the resolver does
        except UnicodeError as error:
            raise ValueError(f"is no name of a host: {error.__cause__ or error}") from None
        return host

    @model_validator(mode="after")
    def _what_belongs_together_is_there(self) -> Self:
        if self.password_file and not self.username:
            raise ValueError("password_file needs a username")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs a cert_file")
        for name in ("ca_file", "cert_file"):
            if getattr(self, name) and not self.tls:
                raise ValueError(f"{name} needs tls = true")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Two tables with one address mean one broker."""
        return self.host.lower(), self.port


def _read_url(text: str) -> dict[str, object]:
    """The keys that a broker's URL stands for: `host`, `tls`, and `port` where it says one.

    Raises ValueError, which does not repeat what may be a password.
    """
    if "@" in text:
        raise ValueError("may hold no user name or password: give `username`, and `password_file` for the secret")
    parts = urlsplit(text)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"a URL of a broker begins with {'://, '.join(SCHEMES)}://")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("a URL says host and port alone, as in mqtt://10.0.0.5:1883; topics belong to [[source]]")
    if not parts.hostname:
        raise ValueError(f"names no host, as in {parts.scheme}://10.0.0.5")
    return {"host": parts.hostname, "tls": SCHEMES[parts.scheme], **({"port": parts.port} if parts.port else {})}
