"""A client of the mailbox calls in plain `requests`, as seed 003 describes its loop."""

import uuid

import requests
from stand import KEY, OPERATOR, PROJECT, TOKEN, URL

COMPANY = "AA"
LOGIN = (KEY, TOKEN)


class Mailbox:
    """One subscriber and its calls; every answer but 200 is an error, as the seed says."""

    def __init__(self, name=None, login=LOGIN):
        self.session = requests.Session()
        self.session.auth = login
        self.name = name or f"interop-{uuid.uuid4()}"
        self.id = self.call("POST", "Register", subscriberName=self.name)["SubscriberId"]

    def ask(self, method, call, **parameters):
        """The answer, whatever it is."""
        return self.session.request(method, f"{URL}/Events/{call}", params=parameters, timeout=100)

    def call(self, method, call, **parameters):
        """What a good answer says."""
        answer = self.ask(method, call, **parameters)
        assert answer.status_code == 200, f"{call}: {answer.status_code} {answer.text}"
        said = answer.json()
        assert isinstance(said, dict) and all(name[0].isupper() for name in said), said
        return said

    def subscribe(self, topic, **more):
        return self.call("POST", "Subscribe", subscriberId=self.id, companyCode=COMPANY, topic=topic, **more)

    def unsubscribe(self, topic):
        return self.call("DELETE", "Unsubscribe", subscriberId=self.id, companyCode=COMPANY, topic=topic)

    def peek(self, timeout=20):
        return self.call("GET", "Peek", subscriberId=self.id, timeout=timeout)

    def receive(self, message, lock=30):
        return self.call("POST", "Receive", subscriberId=self.id, messageId=message, lockTimeout=lock)

    def confirm(self, message, lock):
        return self.call("DELETE", "Confirm", subscriberId=self.id, messageId=message, lockId=lock)

    def one(self, timeout=20):
        """Peek, Receive, Confirm: the body of the next message, or None."""
        message = self.peek(timeout)["NextMessageId"]
        if message is None:
            return None
        got = self.receive(message)
        assert got["MessageId"] == message
        assert self.confirm(message, got["LockId"])["MessageId"] == message
        return got["MessageBody"]

    def all(self):
        """The bodies of all there are."""
        bodies = []
        while (body := self.one(timeout=0)) is not None:
            bodies.append(body)
        return bodies


def topic():
    """A new topic of the company."""
    name = f"T-{uuid.uuid4().hex[:12]}"
    new = {"name": f"{COMPANY}/{name}", "description": "TID-002: test"}
    made = requests.post(f"{PROJECT}/streams", json=new, headers=OPERATOR, timeout=30)
    assert made.status_code in (200, 201), made.text
    return name


def notice(number):
    """A message of the generic template."""
    inner = {"TradingEntity": COMPANY, "Title": f"Invoice {number}", "Message": "approved", "SubmittedBy": "A. Clarke"}
    return {"TID": "TID-002", "InnerBody": {**inner, "AdditionalParameters": [{"Key": "Number", "Value": str(number)}]}}


def publish(topic, *numbers):
    """Publishes notices as the company's system does, each when the one before is stored."""
    for number in numbers:
        where = {"companyCode": COMPANY, "topic": topic}
        answer = requests.put(f"{URL}/Events/Publish", params=where, json=notice(number), auth=LOGIN, timeout=30)
        assert answer.status_code == 200, answer.text
    return [notice(number) for number in numbers]
