"""Whom a TLS connection trusts: the system's certificates, or those of a file."""

import ssl
from pathlib import Path

from agent.errors import ConfigurationRefused


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """A client's context that verifies the broker's certificate. Raises ConfigurationRefused."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        where = str(ca_file or "the system's certificates")
        raise ConfigurationRefused(where, f"cannot be used: {error}", next_step="See broker.ca_file.") from None


def trust_fault(ca_file: Path) -> str:
    """Why a file of certificates is refused, "" when it is fine."""
    try:
        if not ca_file.is_file():
            return "is not a file that may be read"
        trust(ca_file)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except ConfigurationRefused as error:
        return error.what
    return ""
