"""Small line icons that take the colour of the theme, without style sheets.

napari colours its widgets with a style sheet, which ends up in each widget's palette;
an `IconButton` draws its icon in that colour and again whenever the palette changes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from qtpy.QtCore import QByteArray, QEvent, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPalette, QPixmap
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QMenu, QPushButton, QToolButton, QWidget

from napari_tool_runner.widgets.parts.tips import let_clicks_through

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QAbstractButton as _Button

    _Widget = QWidget
else:
    _Button = _Widget = object

__all__ = [
    "SHAPES",
    "IconButton",
    "MenuButton",
    "TextIconButton",
    "Themed",
    "icon",
    "pixmap",
    "sign_color",
    "text_color",
]

_LINE = 'fill="none" stroke="{c}" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'
SHAPES = {
    "back": f'<path d="M15 5l-7 7 7 7" {_LINE}/>',
    "right": f'<path d="M9 5l7 7-7 7" {_LINE}/>',
    "down": f'<path d="M5 9l7 7 7-7" {_LINE}/>',
    "download": f'<path d="M12 4v11M7 10.5l5 5 5-5M5 20h14" {_LINE}/>',
    "play": '<path d="M7 4.5v15l12.5-7.5z" fill="{c}"/>',
    "stop": '<rect x="6" y="6" width="12" height="12" rx="1.5" fill="{c}"/>',
    "reset": f'<path d="M4 4v6h6" {_LINE}/><path d="M4.8 10a8 8 0 1 1-.6 4.5" {_LINE}/>',
    "search": f'<circle cx="10.5" cy="10.5" r="6" {_LINE}/><path d="M15.2 15.2L20 20" {_LINE}/>',
    "star": (
        '<path d="M12 3.5l2.6 5.6 6 .7-4.5 4.1 1.2 6L12 16.9 6.7 19.9l1.2-6L3.4 9.8l6-.7z" '
        f"{_LINE}/>"
    ),
    "starred": (
        '<path d="M12 3l2.8 5.9 6.3.8-4.7 4.3 1.3 6.3L12 17.1l-5.7 3.2 1.3-6.3L2.9 9.7l6.3-.8z" '
        'fill="{c}"/>'
    ),
    "settings": (
        f'<circle cx="12" cy="12" r="3.2" {_LINE}/><path d="M12 3v3M12 18v3M3 12h3M18 12h3'
        f'M5.6 5.6l2.1 2.1M16.3 16.3l2.1 2.1M5.6 18.4l2.1-2.1M16.3 7.7l2.1-2.1" {_LINE}/>'
    ),
    "help": (
        f'<circle cx="12" cy="12" r="9" {_LINE}/><path d="M9.3 9.4a2.8 2.8 0 1 1 3.9 2.6c-.8.4'
        f'-1.2.9-1.2 1.8" {_LINE}/><circle cx="12" cy="17" r="1.2" fill="{{c}}"/>'
    ),
    "folder": f'<path d="M3 6.5h6l2 2.5h10v9.5H3z" {_LINE}/>',
    "file": f'<path d="M6 3h8l4 4v14H6z" {_LINE}/><path d="M14 3v4h4" {_LINE}/>',
    "copy": (
        f'<rect x="8" y="8" width="12" height="12" rx="1.5" {_LINE}/>'
        f'<path d="M16 4H5.5A1.5 1.5 0 0 0 4 5.5V16" {_LINE}/>'
    ),
    "plus": f'<path d="M12 5v14M5 12h14" {_LINE}/>',
    "cross": f'<path d="M6 6l12 12M18 6L6 18" {_LINE}/>',
    "check": f'<path d="M4.5 12.5l5 5 10-11" {_LINE}/>',
    "more": (
        '<circle cx="5" cy="12" r="1.8" fill="{c}"/><circle cx="12" cy="12" r="1.8" fill="{c}"/>'
        '<circle cx="19" cy="12" r="1.8" fill="{c}"/>'
    ),
    "warning": (
        f'<path d="M12 3.5L22 20H2z" {_LINE}/><path d="M12 10v4.5" {_LINE}/>'
        '<circle cx="12" cy="17.3" r="1.1" fill="{c}"/>'
    ),
    "info": (
        f'<circle cx="12" cy="12" r="9" {_LINE}/><path d="M12 11v5.5" {_LINE}/>'
        '<circle cx="12" cy="7.5" r="1.3" fill="{c}"/>'
    ),
    "failed": f'<circle cx="12" cy="12" r="9" {_LINE}/><path d="M9 9l6 6M15 9l-6 6" {_LINE}/>',
    # with grounds of their own, so that any colour of a theme is seen on any of its grounds
    "failed_sign": (
        '<circle cx="12" cy="12" r="11" fill="{c}"/><path d="M8 8l8 8M16 8l-8 8" fill="none" '
        'stroke="#ffffff" stroke-width="2.6" stroke-linecap="round"/>'
    ),
    "warning_sign": (
        '<path d="M12 2L23.5 22H.5z" fill="{c}"/><path d="M12 9v6.5" fill="none" '
        'stroke="#000000" stroke-width="2.4" stroke-linecap="round"/>'
        '<circle cx="12" cy="18.8" r="1.4" fill="#000000"/>'
    ),
    "log": f'<path d="M4 6h16M4 11h16M4 16h10" {_LINE}/>',
    "clock": f'<circle cx="12" cy="12" r="9" {_LINE}/><path d="M12 7v5.3l3.5 2" {_LINE}/>',
    "picture": (
        f'<rect x="3" y="5" width="18" height="14" rx="1.5" {_LINE}/>'
        f'<path d="M4 17l5-5 4 4 3-3 4 4" {_LINE}/>'
        '<circle cx="15.5" cy="9.5" r="1.5" fill="{c}"/>'
    ),
    "colors": (
        f'<path d="M12 3a9 9 0 1 0 0 18c1.6 0 2.2-1 1.7-2.3-.6-1.7.3-2.9 2-2.9h2.2'
        f'c2 0 3.1-1.5 3.1-3.8C21 7 17 3 12 3z" {_LINE}/><circle cx="7.5" cy="11.5" r="1.5" '
        'fill="{c}"/><circle cx="11" cy="7.5" r="1.5" fill="{c}"/><circle cx="15.8" cy="8.5" '
        'r="1.5" fill="{c}"/>'
    ),
    "plot": f'<path d="M4 4v16h16" {_LINE}/><path d="M8 16v-5M12 16V7M16 16v-3" {_LINE}/>',
    "pin": f'<path d="M9 4h6M10 4v6l-3 4h10l-3-4V4M12 14v6" {_LINE}/>',
    "grid": f'<path d="M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z" {_LINE}/>',
    "duplicate": (
        f'<rect x="4" y="4" width="12" height="12" rx="1.5" {_LINE}/>'
        f'<path d="M20 9v11H9" {_LINE}/>'
    ),
}
"""Name of an icon -> what is drawn."""


@lru_cache(maxsize=256)
def pixmap(name: str, color: str, size: int, ratio: float = 1.0, opacity: float = 1.0) -> QPixmap:
    """Draw the icon `name` in `color` (``#rrggbb``), `size` logical pixels wide."""
    body = SHAPES[name].replace("{c}", color)
    xml = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">{body}</svg>'
    image = QPixmap(round(size * ratio), round(size * ratio))
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setOpacity(opacity)
    renderer = QSvgRenderer(QByteArray(xml.encode()))
    renderer.render(painter, QRectF(0, 0, image.width(), image.height()))
    painter.end()
    image.setDevicePixelRatio(ratio)
    return image


def text_color(widget: QWidget, role: QPalette.ColorRole = QPalette.ColorRole.Text) -> QColor:
    """Return the colour that the theme gives to the text of `widget`."""
    return widget.palette().color(QPalette.ColorGroup.Active, role)


def sign_color(name: str, widget: QWidget) -> QColor:
    """Return the colour that the theme gives to ``error`` or ``warning``; else that of text."""
    try:
        from napari.settings import get_settings
        from napari.utils.theme import get_theme
    except ImportError:  # a form alone, without napari
        return text_color(widget, QPalette.ColorRole.WindowText)
    return QColor(getattr(get_theme(get_settings().appearance.theme), name).as_hex())


def icon(name: str, widget: QWidget, size: int = 16) -> QIcon:
    """Return the icon `name` in the text colour of `widget`, paler when disabled."""
    color = text_color(widget, QPalette.ColorRole.ButtonText).name()
    ratio = widget.devicePixelRatioF()
    made = QIcon(pixmap(name, color, size, ratio))
    made.addPixmap(pixmap(name, color, size, ratio, 0.35), QIcon.Mode.Disabled)
    return made


class Themed(_Widget):
    """Hears when the colours of the theme may have changed (a mixin)."""

    def follow_theme(self) -> None:
        """Take the colours of now."""
        raise NotImplementedError

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        kinds = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
        if event is not None and event.type() in kinds:
            self.follow_theme()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the theme's colour, known only now."""
        super().showEvent(event)
        self.follow_theme()


class _ThemedButton(Themed, _Button):
    """Keeps the icon of a button in the colour of the theme (a mixin)."""

    _icon_name = ""
    _icon_color = ""

    def show_icon(self, name: str) -> None:
        """Show the icon `name`."""
        if name != self._icon_name:
            self._icon_name = name
            self._redraw()

    def follow_theme(self) -> None:
        """Draw the icon again in another colour."""
        # setIcon itself may raise StyleChange: redraw only when the colour changed
        if text_color(self, QPalette.ColorRole.ButtonText).name() != self._icon_color:
            self._redraw()

    def _redraw(self) -> None:
        if self._icon_name:
            self._icon_color = text_color(self, QPalette.ColorRole.ButtonText).name()
            self.setIcon(icon(self._icon_name, self, self.iconSize().width()))


class IconButton(_ThemedButton, QToolButton):
    """A flat button that shows only an icon; `text` is its tooltip and spoken name."""

    def __init__(self, name: str, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAutoRaise(True)
        self.setToolTip(text)
        self.setAccessibleName(text)
        self.setIconSize(QSize(14, 14))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.show_icon(name)
        let_clicks_through()


class MenuButton(IconButton):
    """An icon that opens a menu; without the arrow that Qt draws over small icons."""

    def __init__(self, name: str, text: str, parent: QWidget | None = None) -> None:
        super().__init__(name, text, parent)
        self._menu: QMenu | None = None
        self.clicked.connect(self.open_menu)

    def set_menu(self, menu: QMenu) -> None:
        """Take the menu to open."""
        self._menu = menu

    def open_menu(self) -> None:
        """Open the menu below the button."""
        if self._menu is not None:
            self._menu.popup(self.mapToGlobal(self.rect().bottomLeft()))


class TextIconButton(_ThemedButton, QPushButton):
    """A push button with an icon and a text."""

    def __init__(self, name: str, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        # one that goes when it is pressed would leave the keyboard to the cross of the dock
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setIconSize(QSize(14, 14))
        if name:
            self.show_icon(name)
