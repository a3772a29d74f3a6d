"""What a program does with the client that openapi-python-client makes: client.py URL MESSAGE, the token in DSND_TOKEN."""

import io
import os
import sys

from dsnd_client import AuthenticatedClient
from dsnd_client.api.bounces import explain_message, list_bounces
from dsnd_client.api.events import list_events
from dsnd_client.api.suppressions import check_suppressions, get_suppression, import_suppressions, put_suppression
from dsnd_client.models import BounceRecorded, CheckRequest, NewSuppression, Problem, SuppressionAdded
from dsnd_client.types import File

url, message = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=os.environ["DSND_TOKEN"])

checked = check_suppressions.sync(client=client, body=CheckRequest(addresses=["dead@example.org", "ada@example.org"]))
assert [one.suppressed for one in checked.results] == [True, False], checked
assert checked.results[0].entry.class_ == "recipient_unknown", checked

added = put_suppression.sync("ada@example.org", client=client, body=NewSuppression(note="asked by phone"))
assert added.suppressed and added.entries[0].note == "asked by phone", added
wrong = get_suppression.sync("nobody", client=client)
assert isinstance(wrong, Problem) and wrong.status == 422, wrong

taken = import_suppressions.sync(client=client, body=File(payload=io.BytesIO(b"email\nbert@example.org\n")))
assert taken.added == 1, taken

page = list_events.sync(client=client)
kinds = [type(event) for event in page.events]
assert kinds == [BounceRecorded, SuppressionAdded, SuppressionAdded, SuppressionAdded], kinds
assert page.events[0].data.recipient == "dead@example.org", page.events[0]
assert page.events[2].data.change.actor.startswith("tests-"), page.events[2]
assert list_events.sync(client=client, after=page.last_event_id).events == []

with open(message, "rb") as file:
    explained = explain_message.sync(client=client, body=File(payload=file))
assert explained.recipients[0].recipient == "gone@example.org", explained
assert explained.recipients[0].class_ == "recipient_unknown", explained
assert len(list_bounces.sync(client=client).bounces) == 1

print("done")
