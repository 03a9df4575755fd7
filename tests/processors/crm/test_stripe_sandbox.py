"""The simulated Stripe under the official SDK: keys in use, kept answers, what is refused, events sent."""

from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import stripe as sdk
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from processors.crm.sandbox.stripe import KEY, WEBHOOK_SECRET
from tests.processors.crm.stripe import StripeControl

pytestmark = pytest.mark.django_db


def charge(control: StripeControl, key: str = "key-1", amount: int = 500) -> sdk.PaymentIntent:
    client = sdk.StripeClient(KEY, base_addresses={"api": control.url}, max_network_retries=0)
    return client.v1.payment_intents.create(
        {
            "amount": amount,
            "currency": "usd",
            "customer": "cus_1",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "off_session": True,
        },
        {"idempotency_key": key},
    )


def test_the_same_key_gets_the_same_answer(stripe: StripeControl) -> None:
    first, second = charge(stripe), charge(stripe)
    assert (first.id, first.status, first.amount_received) == (second.id, "succeeded", 500)
    assert stripe.charges() == 1


def test_a_key_is_for_one_request_only(stripe: StripeControl) -> None:
    charge(stripe)
    with pytest.raises(sdk.IdempotencyError, match="same parameters"):
        charge(stripe, amount=600)


def test_a_key_that_is_in_use_is_refused(stripe: StripeControl) -> None:
    stripe.control(latency_ms=1000).raise_for_status()

    def status(_: int) -> str:
        try:
            return charge(stripe).status
        except sdk.APIError as error:
            return str(error.http_status)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(status, range(2))) == ["409", "succeeded"]
    assert stripe.charges() == 1


def test_events_are_sent_signed(stripe: StripeControl, httpserver: HTTPServer) -> None:
    came: list[tuple[bytes, str]] = []  # in any order

    def take(request: Request) -> Response:
        came.append((request.data, request.headers["Stripe-Signature"]))
        return Response("ok")

    for _ in range(2):
        httpserver.expect_oneshot_request("/hook", method="POST").respond_with_handler(take)
    stripe.control(webhook=httpserver.url_for("/hook")).raise_for_status()
    with httpserver.wait(timeout=30) as waiting:
        intent = charge(stripe)
    assert waiting.result
    events = [sdk.Webhook.construct_event(body, signature, WEBHOOK_SECRET) for body, signature in came]
    assert {event.type for event in events} == {"payment_intent.created", "payment_intent.succeeded"}
    assert {event.data.object["id"] for event in events} == {intent.id}


def test_a_request_that_was_not_good_enough_is_not_kept(stripe: StripeControl) -> None:
    for amount in (0, -5):
        with pytest.raises(sdk.InvalidRequestError, match="Invalid positive integer"):
            charge(stripe, amount=amount)
    assert charge(stripe).status == "succeeded"


def test_what_has_ended_cannot_be_cancelled(stripe: StripeControl) -> None:
    intent = charge(stripe)
    client = sdk.StripeClient(KEY, base_addresses={"api": stripe.url}, max_network_retries=0)
    with pytest.raises(sdk.InvalidRequestError, match="status of succeeded") as refused:
        client.v1.payment_intents.cancel(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert stripe.control(settle={intent.id: "canceled"}).status_code == 400
    with pytest.raises(sdk.InvalidRequestError, match="No such payment_intent: 'pi_none'") as unknown:
        client.v1.payment_intents.retrieve("pi_none")
    assert unknown.value.http_status == 404


def test_more_than_stripe_takes_in_a_second_is_refused(stripe: StripeControl) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx2.Client(base_url=stripe.url, headers=headers) as http:
        answers = [http.get("/v1/customers").status_code for _ in range(60)]
    assert answers[:25] == [200] * 25
    assert 429 in answers


@pytest.mark.parametrize("wanted", [{"fault": "nonsense"}, {"settle": {"pi_none": "succeeded"}}, {"count": "many"}])
def test_a_control_that_makes_no_sense_is_refused(stripe: StripeControl, wanted: dict[str, object]) -> None:
    assert stripe.control(**wanted).status_code == 400


def test_a_wrong_key_is_refused(stripe: StripeControl) -> None:
    answer = httpx2.get(f"{stripe.url}/v1/customers", headers={"Authorization": "Bearer sk_test_other"})
    assert answer.status_code == 401
