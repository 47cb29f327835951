"""Keys and values that had another name in an older forewarn: a configuration of its time is told the new one."""

RENAMED: dict[str, str] = {
    "agent.max_batch": "agent.batch_max",
    "agent.max_delay": "agent.delay_max",
    "agent.max_devices": "agent.devices_max",
    "model": "[[model]]",
}


RENAMED_VALUES: dict[str, dict[str, str]] = {"source.codec": {"json_object": "json"}}


def renamed(key: str) -> str:
    """What to say of a key that has another name now, "" for one that never had this name."""
    return f"is called {RENAMED[key]} now" if key in RENAMED else ""


def renamed_value(key: str, value: object) -> str:
    """What to say of a value of a key that has another name now, "" for one that never had this name."""
    new = RENAMED_VALUES.get(key, {}).get(value) if isinstance(value, str) else None
    return f'"{value}" is called "{new}" now' if new else ""
