import base64, hmac, re, time


def mint(key_id, key_hex, recipient, domain, stream=0):
    """The return path of a message to recipient. Write quotes in an address only where it needs them."""

    def digest(text):
        return hmac.digest(bytes.fromhex(key_hex), text, "sha256")

    local_part, host = recipient.rsplit("@", 1)
    local_part = re.sub("[^\u03f4\u2126\u212a\u212b]+", lambda letters: letters[0].lower(), local_part)
    form = local_part + "@" + host.encode("idna").decode().lower()
    day = int(time.time()) // 86400
    token = bytes([16 | key_id]) + day.to_bytes(2, "big") + stream.to_bytes(3, "big")
    token += digest(b"dsnd-rcpt\0" + form.encode())[:6]
    token += digest(b"dsnd-token\0" + token)[:8]
    return "b-" + base64.b32encode(token).decode().lower() + "@" + domain
