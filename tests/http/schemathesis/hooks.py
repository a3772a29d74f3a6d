"""Messages and lists are octets: schemathesis gets reports, whole and broken, lists, and any octets."""

import schemathesis
from hypothesis import strategies as st
from schemathesis import openapi

REPORT = (
    b"From: MAILER-DAEMON@mx.example.org\r\nTo: bounces@bounces.example.com\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="edge"\r\n\r\n'
    b"--edge\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
    b"Final-Recipient: rfc822; dead@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n--edge--\r\n"
)

cut = st.integers(0, len(REPORT)).map(lambda at: REPORT[:at])
LIST = st.just(b"email,reason\nann@example.com,hard\n")
openapi.media_type("application/octet-stream", st.one_of(st.just(REPORT), cut, LIST, st.binary(max_size=2_000)))


@schemathesis.deserializer("application/octet-stream")
def message(ctx, response):
    return response.content.decode("latin-1")
