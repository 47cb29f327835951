"""The core: messages in, scores and alerts out."""

from agent.core.bounds import Bounds
from agent.core.core import Core

__all__ = ["Bounds", "Core"]
