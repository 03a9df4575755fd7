"""The rows of the EVE companion: characters with what they allowed, what ESI told of them, and their history.

Everything of a character goes with it.
"""

from .answers import Asset, EsiAnswer, Snapshot
from .characters import Character, Grant
from .history import DataType, HistoryRun, IndustryJob, JournalEntry, MarketOrder, SkillTraining, WalletTransaction

__all__ = [
    "Asset",
    "Character",
    "DataType",
    "EsiAnswer",
    "Grant",
    "HistoryRun",
    "IndustryJob",
    "JournalEntry",
    "MarketOrder",
    "SkillTraining",
    "Snapshot",
    "WalletTransaction",
]
