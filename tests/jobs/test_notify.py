import pytest
from pytest_httpserver import HTTPServer

from jobs.notify import NotDelivered, send
from tests.jobs.receivers import Inbox, posted


def test_mail_is_sent_with_a_subject_of_one_line(inbox: Inbox) -> None:
    send("mailto:ops@shop.example", "Too many\nBcc: all@shop.example", "Look at it.")
    (message,) = inbox.messages
    assert message["To"] == "ops@shop.example"
    assert message["Subject"] == "Too many Bcc: all@shop.example"
    assert message["Bcc"] is None
    assert "Look at it." in str(message.get_payload())


def test_mail_that_is_refused_says_why(inbox: Inbox) -> None:
    inbox.refuses = True
    with pytest.raises(NotDelivered, match="come back later"):
        send("mailto:ops@shop.example", "Too many", "Look at it.")


def test_webhooks_get_text_as_slack_wants_it(httpserver: HTTPServer, webhook: str) -> None:
    send(webhook, "Rate <5 & rising", "Look at it.")
    assert posted(httpserver) == ["*Rate &lt;5 &amp; rising*\nLook at it."]


def test_webhooks_that_refuse_or_are_gone_say_so(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/broken").respond_with_data("no", status=503)
    with pytest.raises(NotDelivered, match="answered 503"):
        send(httpserver.url_for("/broken"), "Too many", "Look at it.")
    with pytest.raises(NotDelivered, match="ConnectError"):
        send("http://127.0.0.1:9/", "Too many", "Look at it.")


@pytest.mark.parametrize("address", ["http://[::1", "https://shop..example/", f"https://{'a' * 64}.example/"])
def test_an_address_that_is_none_says_so_too(address: str) -> None:
    with pytest.raises(NotDelivered):
        send(address, "Too many", "Look at it.")
