"""The paper manager's part of `manage.py demo_data`: a few papers, analysed by all providers that are set up.

The papers belong to whoever may log in to the demo, so that the pages at /papers/ show them. One has a text that the
simulated Anthropic refuses: its job ends failed, partly completed, and has the tag `fails` like every such job.
"""

from typing import Final

from django.contrib.auth import get_user_model

from jobs.processor import Enqueued, enqueue_many

from .forms import configured
from .models import Paper

REFUSED: Final = "demo-ants"
TEXTS: Final = {
    "demo-bees": (
        "Caffeine helps honeybees to remember a scent",
        "Some flowers have caffeine in their nectar. We asked whether it helps bees to remember such flowers. "
        "Forty honeybees were trained on two scents for one week, half of them with caffeine in the sugar water. "
        "After three days the bees that drank caffeine recognised the scent three times as often as the others. "
        "The effect was the same for both scents and did not depend on the age of the bee. "
        "Recordings of single neurons show that caffeine makes them answer for longer. "
        "We watched one colony in one season, and bees in the open may meet less caffeine than ours did. "
        "Plants may use caffeine to be remembered by those who carry their pollen.",
    ),
    "demo-ice": (
        "What the melting of glaciers adds to rivers in late summer",
        "Rivers that rise at glaciers carry water in late summer when others are low. "
        "We measured flow and temperature at nine stations below two glaciers over eleven years. "
        "Isotopes tell melted ice from rain, which lets us say how much of the flow is ice. "
        "In September ice made up between a fifth and a half of the water at the upper stations. "
        "That share fell by four percent a year while the glaciers lost a third of their area. "
        "Two of the stations were moved after a flood, and their early years are estimates. "
        "Farms downstream will have to store water or do with less of it within two decades.",
    ),
    "demo-sleep": (
        "Short naps and the learning of a keyboard sequence",
        "Naps are said to help learning, and studies disagree on how long they have to be. "
        "Sixty adults learned a sequence of twelve keys, then slept for ten, thirty or ninety minutes, or not at all. "
        "All were tested after two hours and again on the next day by people who did not know the groups. "
        "Those who had slept for thirty minutes were faster by eleven percent than those who had stayed awake. "
        "Ninety minutes gave no further gain, and ten minutes gave none that we could measure. "
        "All participants were students, and most of them type every day. "
        "A nap of half an hour may be enough to keep what hands have just learned.",
    ),
    REFUSED: (
        "How ants find the shorter of two ways",
        "Ants mark their way with a scent that fades. Of two ways the shorter is marked more often in the same time. "
        "We let three colonies choose between bridges of different length and filmed every crossing for an hour. "
        "After forty minutes nine ants of ten took the shorter bridge in all colonies. "
        "When the bridges were swapped, two colonies kept to the old side until the scent was wiped away. "
        "A model with two numbers, how much scent is laid and how fast it fades, predicts both outcomes. "
        "The colonies were small, and a bridge in a laboratory has no wind and no rain.\n\n"
        "sandbox:anthropic:refusal",
    ),
}


def load() -> list[Enqueued]:
    owner = get_user_model().objects.filter(is_superuser=True).order_by("pk").first()
    rows = (Paper(id=key, owner=owner, title=title, text=f"{title}\n\n{text}") for key, (title, text) in TEXTS.items())
    Paper.objects.bulk_create(rows, ignore_conflicts=True)
    providers = configured()
    return enqueue_many(
        (
            "ai_analysis",
            {"paperId": key, "providers": providers},
            {"tags": ["demo", "fails"] if key == REFUSED else ["demo"]},
        )
        for key in (TEXTS if providers else ())
    )
