"""The one line of the status that the service manager shows."""

from types import SimpleNamespace

from agent.publish.status import BrokerStatus, LinkStatus, one_line


def link(*, connected: bool = True, other_agent: str = "") -> LinkStatus:
    return LinkStatus(connected, "5", {}, "" if connected else "refused", "paho", [], other_agent, 0)


def line(
    undecodable: dict[str, float] | None = None,
    silent: tuple[str, ...] = (),
    held: str = "",
    unheard: tuple[str, ...] = (),
    n_hidden: int = 0,
    **links: LinkStatus,
) -> str:
    broker = BrokerStatus(**{"inputs": {}} | links)
    devices, alerts = {"ok": 2, "gap": 1}, {"standing": 1, "hidden": n_hidden}
    says = {"undecodable": undecodable or {}, "silent": [*silent], "held": held, "unheard": [*unheard]}
    return one_line(SimpleNamespace(devices=devices, alerts=alerts, broker=broker, **says))


def test_the_line_says_who_is_away_and_that_another_agent_is_there():
    assert line(input=link(), output=link()) == "3 devices (2 ok), 1 alert stands, connected"
    away = line(input=link(connected=False), output=link(other_agent="x is connected"))
    assert away == "3 devices (2 ok), 1 alert stands, input away: refused, output: another agent of this name?"
    away = line(input=link(), inputs={"plant2": link(connected=False)}, output=link())
    assert away == "3 devices (2 ok), 1 alert stands, input plant2 away: refused"


def test_the_line_names_a_source_of_which_too_little_can_be_read():
    said = line({"press": 0.421}, input=link(), output=link())
    assert said == "3 devices (2 ok), 1 alert stands, press: 42% of its messages cannot be read"


def test_the_line_names_a_source_that_was_never_heard():
    said = line(unheard=("press",), input=link(), output=link())
    assert said == "3 devices (2 ok), 1 alert stands, nothing of press was ever read"


def test_the_line_says_that_nothing_can_be_kept():
    said = line(held="no space left on device", input=link(), output=link())
    assert said == "3 devices (2 ok), 1 alert stands, nothing is taken: no space left on device"


def test_the_line_names_a_source_that_is_silent():
    said = line(silent=("press",), input=link(), output=link())
    assert said == "3 devices (2 ok), 1 alert stands, press is silent"


def test_the_line_says_that_alerts_are_hidden():
    assert line(n_hidden=2, input=link(), output=link()) == "3 devices (2 ok), 1 alert stands, 2 hidden, connected"
