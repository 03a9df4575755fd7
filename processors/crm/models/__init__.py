"""The rows of the service CRM: who the customers are, what is sold to them, and what was told and charged.

Rows that other systems know by an id have text as their key and keep the id that they came with.
"""

from .billing import Invoice, Payment, StripeEvent
from .customers import Customer, CustomerChange, Segment, Suppression
from .figures import DailyAnalytics, Report, ReportFile
from .messages import Notification, SentMail
from .sales import Opportunity, Promotion, Review, Visit

__all__ = [
    "Customer",
    "CustomerChange",
    "DailyAnalytics",
    "Invoice",
    "Notification",
    "Opportunity",
    "Payment",
    "Promotion",
    "Report",
    "ReportFile",
    "Review",
    "Segment",
    "SentMail",
    "StripeEvent",
    "Suppression",
    "Visit",
]
