"""The rows of the EVE companion: characters with what they allowed, what ESI told of them, and their history.

Everything of a character goes with it.
"""

from .answers import EsiAnswer, Snapshot
from .characters import Character, Grant
from .history import DataType, HistoryRun, IndustryJob, JournalEntry, MarketOrder, SkillTraining, WalletTransaction
from .holdings import Asset, Blueprint, Mail, MinedOre, Notice

__all__ = [
    "Asset",
    "Blueprint",
    "Character",
    "DataType",
    "EsiAnswer",
    "Grant",
    "HistoryRun",
    "IndustryJob",
    "JournalEntry",
    "Mail",
    "MarketOrder",
    "MinedOre",
    "Notice",
    "SkillTraining",
    "Snapshot",
    "WalletTransaction",
]
