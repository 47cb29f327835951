"""All fuzz targets, by name. Only the module of the one that runs is imported: the core would take the others long."""

from importlib import import_module

from agent.decode.codec import CODECS
from tests.fuzz.target import Target

MODULES = {
    **dict.fromkeys(CODECS, "codecs"),
    **dict.fromkeys(("expand", "topics", "times"), "values"),
    **dict.fromkeys(("intake", "core"), "whole"),
}


def target_of(name: str) -> Target:
    targets: dict[str, Target] = import_module(f"tests.fuzz.{MODULES[name]}").TARGETS
    return targets[name]
