"""Access tokens by standard OAuth 2.0 clients, in every way they authenticate themselves."""

import os
import time

# The server under test is on this machine, without TLS.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

import jwt
import requests
from authlib.integrations.httpx_client import OAuth2Client
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session
from stand import KEY, OPERATOR, PROJECT, URL, case

TOKEN_URLS = [f"{URL}/oauth2/token", f"{URL}/api/v0/oauth2/token"]


def made(path, **members):
    answer = requests.post(f"{PROJECT}/{path}", json=members, headers=OPERATOR, timeout=30)
    assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text}"
    return answer.json()


API_KEY = made("api-keys", name="interop", scopes=["streaming-ingest:write", "events:read"])
ID, SECRET = API_KEY["id"], API_KEY["secret"]
STREAM = made("ingest-streams", name="interop")["id"]


def sends(session, **more):
    answer = session.post(f"{URL}/stream/v0/data/{STREAM}", json={"a": 1}, **more)
    assert answer.status_code == 202, f"{answer.status_code} {answer.text}"


@case
def requests_oauthlib_fetches_and_uses_a_token():
    for url in TOKEN_URLS:
        session = OAuth2Session(client=BackendApplicationClient(client_id=ID))
        token = session.fetch_token(url, client_id=ID, client_secret=SECRET)
        assert token["token_type"] == "Bearer" and token["expires_in"] == 3600, token
        sends(session)
        # The secret in the body instead of the header.
        session = OAuth2Session(client=BackendApplicationClient(client_id=ID))
        session.fetch_token(url, client_id=ID, client_secret=SECRET, include_client_id=True, auth=False)
        sends(session)


@case
def authlib_fetches_and_uses_a_token():
    for method in ("client_secret_basic", "client_secret_post"):
        session = AuthlibSession(ID, SECRET, token_endpoint_auth_method=method, scope="streaming-ingest:write")
        session.fetch_token(TOKEN_URLS[0], grant_type="client_credentials")
        sends(session)
        with OAuth2Client(ID, SECRET, token_endpoint_auth_method=method) as client:
            client.fetch_token(TOKEN_URLS[0], grant_type="client_credentials")
            sends(client)


@case
def pyjwt_reads_when_a_token_ends():
    body = {"grant_type": "client_credentials", "client_id": KEY, "client_secret": SECRET}
    for content_type in ("application/json", "application/JSON"):
        answer = requests.post(TOKEN_URLS[0], json=body, headers={"Content-Type": content_type}, timeout=30)
        assert answer.headers["Cache-Control"] == "no-store, no-cache, must-revalidate", answer.headers
        token = answer.json()["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert 3590 <= claims["exp"] - time.time() <= 3601, claims
        assert jwt.get_unverified_header(token)["alg"] == "HS256"


@case
def a_wrong_secret_is_the_error_that_clients_know():
    session = AuthlibSession(ID, "wrong", token_endpoint_auth_method="client_secret_post")
    try:
        session.fetch_token(TOKEN_URLS[0], grant_type="client_credentials")
    except Exception as error:
        assert getattr(error, "error", None) == "invalid_client", error
    else:
        raise AssertionError("a token for a wrong secret")


@case
def rotated_secrets_hold_side_by_side_and_a_deleted_key_is_gone():
    rotated = made(f"api-keys/{ID}/rotate")
    for secret in (SECRET, rotated["secret"]):
        session = AuthlibSession(ID, secret, token_endpoint_auth_method="client_secret_post")
        session.fetch_token(TOKEN_URLS[0], grant_type="client_credentials")
        sends(session)
    gone = requests.delete(f"{PROJECT}/api-keys/{ID}", headers=OPERATOR, timeout=30)
    assert gone.status_code == 204, gone.text
    answer = session.post(f"{URL}/stream/v0/data/{STREAM}", json={"a": 1})
    assert answer.status_code == 401, answer.status_code
