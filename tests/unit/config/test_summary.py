"""What `check` says of several models: a line for each, with what it reads."""

import msgspec

from agent.bundle import file
from agent.config.load import Examined
from agent.config.plan import plan
from agent.config.settings import Settings
from agent.config.summary import report, text
from tests.bundles import write_small_bundle


def test_each_of_several_models_has_a_line_of_its_own(tmp_path):
    path = write_small_bundle(tmp_path / "small.fwb")
    names = [f"s{number}" for number in range(5)]
    time = {"field": "cycle", "unit": "cycle"}
    settings = Settings.model_validate(
        {
            "agent": {"node": "gateway-1"},
            "model": [{"bundle": path, "name": "old"}, {"bundle": path, "name": "new", "sources": ["s1", "s2"]}],
            "source": [{"name": name, "topic": f"{name}/{{device}}", "time": time} for name in names],
        }
    )
    planned = plan(settings, {"old": file.read(path), "new": file.read(path)})
    runs = report(Examined((), settings, planned)).would_run
    assert runs is not None
    assert [(model.name, model.bundle, model.reads) for model in runs.models] == [
        ("old", "small", tuple(names)),
        ("new", "small", ("s1", "s2")),
    ]
    whole, *sources, old, new = text(runs)
    broker = "mqtt://localhost:1883"
    assert whole.endswith(f", 2 more from {broker}, runs 2 models, publishes forewarn/gateway-1/ to {broker}")
    assert sources == [f"{name}: json, device {{device}}: temp, load, wear; a row a reading" for name in names]
    assert old.startswith("old: small 1.0.0 (")
    assert old.endswith(", reads s0, s1, s2 and 2 more")
    assert 'at threshold 0.5 for "1 per 1000 cycles"' in new
    assert new.endswith(", reads s1, s2")
    assert runs.durability == "snapshot"
    assert [line for line in text(msgspec.structs.replace(runs, durability="journal")) if "journal" in line] == [
        "keeps a journal: what is acknowledged to a broker is on the disk, so a crash loses none of it"
    ]
