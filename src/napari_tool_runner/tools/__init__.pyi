from .binding import bind
from .checker import Report, check_paths
from .isolation.looking import read_tool
from .model import LayerKind, Note, Severity, Tool
from .reader import dialect_of, dialects
from .toolbox.box import Toolbox, find_tool, load_toolbox
from .toolbox.entries import ToolEntry
from .toolbox.trust import require_trust, trust_state

__all__ = [
    "LayerKind",
    "Note",
    "Report",
    "Severity",
    "Tool",
    "ToolEntry",
    "Toolbox",
    "bind",
    "check_paths",
    "dialect_of",
    "dialects",
    "find_tool",
    "load_toolbox",
    "read_tool",
    "require_trust",
    "trust_state",
]
