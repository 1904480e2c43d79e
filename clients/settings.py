"""Where the address and the key come from: arguments, then CPX_URL and CPX_KEY, then `client.toml` of the user."""

import os
import tomllib
from pathlib import Path
from typing import NamedTuple

from clients.errors import ConfigError


class Access(NamedTuple):
    """Address and key of an exchange; "" = no key."""

    url: str
    key: str


def config_file() -> Path:
    """`~/.config/cpx/client.toml`, or below XDG_CONFIG_HOME: url = "…" and key = "…" (or key_file = "…")."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "cpx" / "client.toml"


def find_access(url: str | None = None, key: str | None = None) -> Access:
    """The address and key to use; ConfigError that says what to set where there is no address."""
    url = url or os.environ.get("CPX_URL")
    key = key if key is not None else os.environ.get("CPX_KEY")
    if not url or key is None:
        stored = _stored()
        # A stored key belongs to the stored address and is sent nowhere else.
        if key is None and (not url or url.rstrip("/") == stored.url.rstrip("/")):
            key = stored.key
        url = url or stored.url
    if not url:
        raise ConfigError(f"no exchange is named: give url=, set CPX_URL, or write url and key into {config_file()}")
    return Access(url, key or "")


def _stored() -> Access:
    path = config_file()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Access("", "")
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path} cannot be read: {fault}") from fault
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError(f"{path} is no TOML: {fault}") from fault
    url, key, key_file = (table.get(name, "") for name in ("url", "key", "key_file"))
    if not all(isinstance(value, str) for value in (url, key, key_file)):
        raise ConfigError(f"{path}: url, key and key_file are texts")
    if key_file and not key:
        try:
            key = Path(key_file).expanduser().read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise ConfigError(f"{path}: key_file {key_file} cannot be read: {fault}") from fault
    return Access(url, key)
