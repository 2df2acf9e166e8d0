"""A token for each connection, as Aria's published sample gets it: a `requests` auth object that asks the
token endpoint by client credentials whenever a request is made."""

import requests
from requests.auth import AuthBase


class Token(AuthBase):
    """Puts a new access token into each request; counts how often it was asked for one."""

    def __init__(self, server, client_id, client_secret):
        self.url = server + "/oauth2/token"
        self.form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self.asked = 0

    def header(self):
        self.asked += 1
        answer = requests.post(self.url, data=self.form, timeout=30)
        answer.raise_for_status()
        granted = answer.json()
        return f"{granted['token_type']} {granted['access_token']}"

    def __call__(self, request):
        request.headers["Authorization"] = self.header()
        return request
