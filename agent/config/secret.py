"""A password in a file of its own."""

import stat
from pathlib import Path

from agent.errors import ConfigurationRefused

SECRET_BYTES_MAX = 4096


def read_secret(file: Path) -> str:
    """The secret in `file`, less the line's end. Raises ConfigurationRefused."""
    fault, secret = _read(file)
    if fault:
        raise ConfigurationRefused(file, fault, next_step="See password_file in docs/configuration.md.")
    return secret


def secret_fault(file: Path) -> str:
    """Why a secret's file is refused, "" when it is fine."""
    return _read(file)[0]


def _read(file: Path) -> tuple[str, str]:
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            return "is not a file", ""
        if mode & stat.S_IROTH:
            return f"may be read by everybody (mode {stat.S_IMODE(mode):04o}): chmod o-rwx {file}", ""
        secret = file.read_bytes().decode().rstrip("\r\n")
    except OSError as error:
        return (error.strerror or str(error)).lower(), ""
    except ValueError:  # UTF-8, or a NUL in the path
        return "is not text", ""
    if not 1 <= len(secret) <= SECRET_BYTES_MAX:
        return f"has {len(secret)} characters, must be 1 to {SECRET_BYTES_MAX}", ""
    return "", secret
