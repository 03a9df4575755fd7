"""The settings of the product lines. Upstreams have their real addresses unless told otherwise."""

from config import environment as env

UPSTREAM_CONTACT = env.text("UPSTREAM_CONTACT")  # an address or page for whoever runs an upstream

# --- The board games -------------------------------------------------------------------------------
BGG_URL = env.url("BGG_URL", "https://boardgamegeek.com/xmlapi2/", ("https", "http"))
BGG_TOKEN = env.text("BGG_TOKEN")

# --- The service CRM -------------------------------------------------------------------------------
CRM_SIGNATURE = env.text("CRM_SIGNATURE").replace("\\n", "\n")  # under each mail to a customer
CRM_TIME_ZONE = env.zone("CRM_TIME_ZONE", "UTC")  # in which customers are told times
CRM_WEBHOOKS = env.urls("CRM_WEBHOOKS", ("https", "http"))  # whoever has such an address may write: a secret
CRM_REPORT_FONT = env.text("CRM_REPORT_FONT", "DejaVuSans.ttf")  # of PDFs: a TrueType file that is installed
STRIPE_URL = env.url("STRIPE_URL", "https://api.stripe.com", ("https", "http"))
STRIPE_API_KEY = env.text("STRIPE_API_KEY")
STRIPE_WEBHOOK_SECRET = env.text("STRIPE_WEBHOOK_SECRET")  # of the endpoint at /crm/webhook/stripe

# --- The paper manager: who analyses. Without a key a provider is not configured -----------------------
AI_PROVIDERS: dict[str, dict[str, str]] = {
    "openai": {
        "speaks": "openai",
        "url": env.url("OPENAI_BASE_URL", "https://api.openai.com/v1", ("https", "http")),
        "key": env.text("OPENAI_API_KEY"),
        "model": env.text("OPENAI_MODEL", "gpt-5.1"),
    },
    "anthropic": {
        "speaks": "anthropic",
        "url": env.url("ANTHROPIC_BASE_URL", "https://api.anthropic.com", ("https", "http")),
        "key": env.text("ANTHROPIC_API_KEY"),
        "model": env.text("ANTHROPIC_MODEL", "claude-sonnet-5"),
    },
    "gemini": {
        "speaks": "gemini",
        "url": env.url("GEMINI_BASE_URL", "https://generativelanguage.googleapis.com", ("https", "http")),
        "key": env.text("GEMINI_API_KEY"),
        "model": env.text("GEMINI_MODEL", "gemini-2.5-pro"),
    },
    "xai": {
        "speaks": "openai",
        "url": env.url("XAI_BASE_URL", "https://api.x.ai/v1", ("https", "http")),
        "key": env.text("XAI_API_KEY"),
        "model": env.text("XAI_MODEL", "grok-4"),
    },
}
for _name, _address in env.urls("AI_COMPATIBLE", ("https", "http")).items():  # whatever else speaks like OpenAI
    if not (_name.isascii() and _name.isidentifier() and _name == _name.lower()) or _name in AI_PROVIDERS:
        env.refuse("AI_COMPATIBLE", f"{_name!r} is no new name of small letters, digits and underscores")
    if not env.text(f"{_name.upper()}_MODEL"):
        env.refuse(f"{_name.upper()}_MODEL", f"AI_COMPATIBLE names {_name}: which model is it to use?")
    AI_PROVIDERS[_name] = {
        "speaks": "openai",
        "url": _address,
        "key": env.text(f"{_name.upper()}_API_KEY"),
        "model": env.text(f"{_name.upper()}_MODEL"),
    }
AI_TIMEOUT = env.number("AI_TIMEOUT", 180.0, least=1, most=600)  # seconds for one answer
AI_PART_TOKENS = env.whole("AI_PART_TOKENS", 100_000, least=500)  # of a paper in one call; a longer one is split
AI_MAX_PARTS = env.whole("AI_MAX_PARTS", 6, least=1, most=50)  # a paper of more is refused
AI_OFF_FOR = env.number("AI_OFF_FOR", 3600.0, least=1)  # seconds without a provider that refused key, model or credit
# The names and units of the platform's defaults; where they are not set, analyses have their own.
AI_MAX_ATTEMPTS = env.whole("MAX_JOB_ATTEMPTS", 3, least=1, most=1000, also={"BULLMQ_MAX_RETRIES": 1})
AI_RETRY_BASE_DELAY = env.whole("RETRY_BASE_DELAY", 2000, also={"BULLMQ_RETRY_DELAY": 0}) / 1000
AI_RETRY_MAX_DELAY = env.whole("RETRY_MAX_DELAY", 30_000) / 1000

# --- The EVE Online companion ----------------------------------------------------------------------
FIELD_KEYS = env.fernet_keys("FIELD_KEYS")  # of secrets in columns, newest first
ESI_URL = env.url("ESI_URL", "https://esi.evetech.net", ("https", "http"))
EVE_SSO_URL = env.url("EVE_SSO_URL", "https://login.eveonline.com", ("https", "http"))
EVE_CLIENT_ID = env.text("EVE_CLIENT_ID")  # of an application at developers.eveonline.com
EVE_CLIENT_SECRET = env.text("EVE_CLIENT_SECRET")
