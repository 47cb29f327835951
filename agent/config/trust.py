"""Whom a TLS connection trusts, and by what it proves who it is itself."""

import ssl
import stat
from pathlib import Path

from agent.config.broker_settings import Broker
from agent.errors import ConfigurationRefused


def trust(broker: Broker) -> ssl.SSLContext:
    """A client's context: verifies the broker's certificate, shows the client's own. Raises ConfigurationRefused."""
    try:
        context = ssl.create_default_context(cafile=broker.ca_file)
    except (OSError, ValueError) as error:
        where = str(broker.ca_file or "the system's certificates")
        raise ConfigurationRefused(where, f"cannot be used: {error}", next_step="See broker.ca_file.") from None
    if broker.cert_file:
        try:
            context.load_cert_chain(broker.cert_file, broker.key_file, password=_no_pass_phrase)
        except (OSError, ValueError) as error:
            what = _why_no_identity(error)
            raise ConfigurationRefused(broker.cert_file, what, next_step="See broker.cert_file.") from None
    return context


def trust_fault(broker: Broker) -> tuple[str, str]:
    """The key of a file of certificates that is refused and why, ("", "") when all are fine."""
    for key in ("ca_file", "cert_file", "key_file"):
        file: Path | None = getattr(broker, key)
        if file is None:
            continue
        try:
            if not file.is_file():
                return key, f"{file} is not a file that may be read"
            file.open("rb").close()
        except (OSError, ValueError) as error:
            return key, f"{file} {(getattr(error, 'strerror', '') or str(error)).lower()}"
    if not broker.tls:  # all that the system trusts takes long to read
        return "", ""
    try:
        trust(broker)
    except ConfigurationRefused as error:
        return "cert_file" if error.where == broker.cert_file else "ca_file", f"{error.where} {error.what}"
    return "", ""


def readers_of_key(broker: Broker) -> str:
    """Why the file of the private key is doubtful, "" when it is fine."""
    file = broker.key_file or broker.cert_file
    mode = file.stat().st_mode if file and file.is_file() else 0
    if mode & stat.S_IROTH:
        return f"may be read by everybody (mode {stat.S_IMODE(mode):04o}): chmod o-rwx {file}"
    return ""


def _no_pass_phrase() -> str:
    """OpenSSL would ask for one at the terminal."""
    raise ValueError("its private key has a pass phrase, which nobody is there to type: store the key without one")


def _why_no_identity(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "does not belong to the private key in key_file"
        return f"cannot be used: it must hold the certificate, and it or key_file its private key, as PEM: {error}"
    return f"cannot be used: {error}"
