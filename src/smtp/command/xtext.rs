//! xtext, the encoding of ENVID and ORCPT (RFC 3461 §4), and its sibling for UTF-8 addresses (RFC 6533 §3).

/// Decodes xtext; nothing when it is malformed, or when what comes out is no printable text.
/// Raw UTF-8 is taken as it is: MTAs that speak SMTPUTF8 send it.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?), // RFC 3461 §4
            b'=' => return None,
            b'!'..=b'~' | 0x80.. => out.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(out).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Decodes the `\x{…}` of a utf-8-addr-xtext or utf-8-addr-unitext (RFC 6533 §3).
pub(super) fn decode_embedded(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x{") {
        let (digits, after) = after.split_once('}')?;
        if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?).filter(|c| !c.is_control())?;
        out.push_str(before);
        out.push(c);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// RFC 3461 §4 has capitals only; small letters mean the same and some send them.
fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_decoded_or_refused() {
        for (text, decoded) in [
            ("QQ314159", Some("QQ314159")),
            ("a+2Bb+3Dc", Some("a+b=c")),
            ("a+2bb", Some("a+b")),
            ("a+20b", Some("a b")),
            ("+C3+BC", Some("ü")),
            ("ü", Some("ü")),
            ("a=b", None),
            ("a+", None),
            ("a+2", None),
            ("a+G0", None),
            ("a+0D+0A", None),
            ("a+00", None),
            ("+C3", None),
        ] {
            assert_eq!(decode(text).as_deref(), decoded, "{text}");
        }
    }

    #[test]
    fn embedded_characters_are_decoded_or_refused() {
        for (text, decoded) in [
            ("user@example.com", Some("user@example.com")),
            ("\\x{FC}ser@b\\x{00FC}cher.example", Some("üser@bücher.example")),
            ("\\x{10FFFF}", Some("\u{10FFFF}")),
            ("\\x{110000}", None),
            ("\\x{D800}", None),
            ("\\x{}", None),
            ("\\x{41", None),
            ("\\x{0A}", None),
            ("\\x{+41}", None),
        ] {
            assert_eq!(decode_embedded(text).as_deref(), decoded, "{text}");
        }
    }
}
