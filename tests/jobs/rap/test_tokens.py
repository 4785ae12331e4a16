"""Who is let in, and that nobody learns anything from being refused."""

import pytest

from jobs.rap.answers import Refused
from jobs.rap.tokens import authenticate
from tests.rap import OTHER_TOKEN, TOKEN, Caller

BACKENDS = frozenset({"test", "tpp"})
TOKENS = {TOKEN: BACKENDS, OTHER_TOKEN: frozenset({"emis"})}


@pytest.mark.parametrize("header", [TOKEN, f"Bearer {TOKEN}", f"bearer  {TOKEN} ", f" {TOKEN}"])
def test_a_token_is_taken_bare_and_after_bearer(header):
    assert authenticate(header, TOKENS) == BACKENDS


@pytest.mark.parametrize("header", ["", " ", "Bearer", "Bearer "])
def test_without_a_token_the_caller_is_told_so(header):
    with pytest.raises(Refused) as refused:
        authenticate(header, TOKENS)
    assert (refused.value.status, refused.value.details) == (401, "No token provided")


@pytest.mark.parametrize(
    "header",
    ["x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), f"Basic {TOKEN}", f"Token {TOKEN}", "ключ", "\udcff", f"{TOKEN}\x00"],
)
def test_a_wrong_token_is_refused_whatever_it_is_made_of(header):
    with pytest.raises(Refused) as refused:
        authenticate(header, TOKENS)
    assert (refused.value.status, refused.value.error, refused.value.details) == (401, "Unauthorized", "Invalid token")


def test_every_token_is_compared_whichever_fits(monkeypatch):
    """So that the time that it takes does not tell which one fits, nor whether one does."""
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr("jobs.rap.tokens.hmac.compare_digest", compare)
    authenticate(TOKEN, TOKENS)
    assert compared == [token.encode() for token in TOKENS]


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["wrong-token-of-somebody", "ключ-который-не-подходит"])
def test_a_refused_token_is_neither_in_the_answer_nor_in_the_log(caplog, header):
    answer = Caller(None).get("/backend/status/", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json() == {"error": "Unauthorized", "details": "Invalid token"}
    assert header not in answer.content.decode() + caplog.text
    assert "/controller/v1/backend/status/ was refused" in caplog.text
