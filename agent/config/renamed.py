"""Keys that had another name in an older forewarn: a configuration of its time is told the new one."""

RENAMED: dict[str, str] = {
    "agent.max_batch": "agent.batch_max",
    "agent.max_delay": "agent.delay_max",
    "agent.max_devices": "agent.devices_max",
    "model": "[[model]]",
}


def renamed(key: str) -> str:
    """What to say of a key that has another name now, "" for one that never had this name."""
    return f"is called {RENAMED[key]} now" if key in RENAMED else ""
