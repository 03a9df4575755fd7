"""The providers of analyses, simulated over real HTTP: OpenAI, what speaks like it, Anthropic and Gemini.

`application` is an ASGI callable, mounted under `/papers/` by `manage.py sandbox`. It needs no database.
"""

from .service import KEYS, application

__all__ = ["KEYS", "application", "environment"]


def environment(url: str) -> dict[str, str]:
    """The settings that send our clients here, when this is mounted at `url`."""
    return {
        "OPENAI_BASE_URL": f"{url}/openai/v1",
        "OPENAI_API_KEY": KEYS["openai"],
        "ANTHROPIC_BASE_URL": f"{url}/anthropic",
        "ANTHROPIC_API_KEY": KEYS["anthropic"],
        "GEMINI_BASE_URL": f"{url}/gemini",
        "GEMINI_API_KEY": KEYS["gemini"],
        "XAI_BASE_URL": f"{url}/xai/v1",
        "XAI_API_KEY": KEYS["xai"],
    }
