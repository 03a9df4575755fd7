"""The kinds of report, each a function from a period to its content."""

from collections.abc import Callable, Mapping
from typing import Final

from ..models import Report
from .opportunities import opportunities
from .promotions import promotions
from .revenue import revenue
from .shapes import Content, Period

KINDS: Final[Mapping[Report.Kind, Callable[[Period], Content]]] = {
    Report.Kind.REVENUE: revenue,
    Report.Kind.OPPORTUNITIES: opportunities,
    Report.Kind.PROMOTIONS: promotions,
}
