"""Verifies that a webhook comes from dsnd, with nothing but the standard library.

Call verify() with the body as it came, before anything parses it. Remember the webhook-id of what you have handled for
a day or more: an event that comes twice has the same one.
"""

import base64
import hashlib
import hmac
import time


def verify(secret, headers, body, tolerance=300, now=None):
    """Returns the id of the event, or raises ValueError. Names of headers are in lower case."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    event, sent = headers["webhook-id"], headers["webhook-timestamp"]
    if abs((time.time() if now is None else now) - int(sent)) > tolerance:
        raise ValueError("the webhook is too old, or a clock is wrong")
    signed = f"{event}.{sent}.".encode() + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    for signature in headers["webhook-signature"].split(" "):
        version, _, found = signature.partition(",")
        if version == "v1" and hmac.compare_digest(found, wanted):
            return event
    raise ValueError("the signature is not that of the secret")
