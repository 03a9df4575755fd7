"""Games in the admin: what is shown, what can be done, and by whom."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from jobs.models import Job
from jobs.testing import assert_enqueued
from processors.bgg import xml
from processors.bgg.models import Game
from tests.processors.bgg.test_xml import recorded

pytestmark = pytest.mark.django_db

LIST = "/admin/bgg/game/"


@pytest.fixture(autouse=True)
def _games() -> None:
    for recording in ("thing_28720_stats", "thing_242277_expansion_stats", "thing_131357_stats"):
        Game.objects.store(xml.things(recorded(recording)), details=True, job=Job().id)
    Game.objects.store(xml.things(recorded("thing_72125_stats")), details=False, job=Job().id)


def reader(*permissions: str) -> Client:
    user = User.objects.create_user("reader", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="bgg", codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def names(admin_client: Client, **query: str) -> set[str]:
    answer = admin_client.get(LIST, query)
    assert answer.status_code == 200
    return {game.name for game in answer.context["cl"].result_list}


def test_a_game_is_shown_readably(admin_client: Client) -> None:
    page = admin_client.get(f"{LIST}28720/change/").content.decode()
    for shown in (
        "Brass: Lancashire — first published as Brass — is an economic",
        "2007",
        "Strategy Game Rank: 16",
        "2 to 4",
        "60 to 120",
        "Martin Wallace",
        "Hand Management, Route/Network Building",
        "Brass: 2-player board (201381)",
        'href="https://boardgamegeek.com/boardgame/28720"',
    ):
        assert shown in page
    assert "&amp;mdash;" not in page
    assert 'name="_save"' not in page


def test_pages_with_games_name_their_source_and_load_nothing_from_it(admin_client: Client) -> None:
    for path in (LIST, f"{LIST}28720/change/"):
        page = admin_client.get(path).content.decode()
        assert '<a href="https://boardgamegeek.com/" rel="noopener">Powered by BGG</a>' in page
        assert 'src="https://' not in page


def test_games_are_found_by_name_id_and_filters(admin_client: Client) -> None:
    assert names(admin_client, q="brass") == {"Brass: Lancashire"}
    assert names(admin_client, q="131357") == {"Coup"}
    assert names(admin_client, kind__exact="boardgameexpansion") == {"Scythe: The Rise of Fenris"}
    assert names(admin_client, depth="basic") == {"Eclipse"}
    assert "Eclipse" not in names(admin_client, depth="full")


def test_the_action_enqueues_a_job_for_each_game(admin_client: Client) -> None:
    answer = admin_client.post(LIST, {"action": "synchronise", "_selected_action": [28720, 131357]}, follow=True)
    assert "Jobs enqueued: 2." in answer.content.decode()
    for game_id in ("28720", "131357"):
        assert_enqueued("bgg_sync", {"gameId": game_id, "forceUpdate": True}, count=1, priority=8, created_by="admin")


def test_who_may_only_look_cannot_synchronise() -> None:
    client = reader("view_game")
    assert "synchronise" not in client.get(LIST).content.decode()
    client.post(LIST, {"action": "synchronise", "_selected_action": [28720]})
    assert not Job.objects.exists()


def test_who_may_change_games_can_synchronise_but_not_edit_them() -> None:
    client = reader("view_game", "change_game")
    client.post(LIST, {"action": "synchronise", "_selected_action": [28720]})
    assert_enqueued("bgg_sync", count=1, created_by="reader")
    assert client.post(f"{LIST}28720/change/", {"name": "Mine"}).status_code == 403
    assert client.get(f"{LIST}add/").status_code == 403


def test_without_permission_there_is_nothing_to_see() -> None:
    assert reader().get(LIST).status_code == 403
