from .dock import ToolRunnerWidget
from .forms.form import FormWidget
from .tool_widget import ToolWidget

__all__ = ["FormWidget", "ToolRunnerWidget", "ToolWidget"]
