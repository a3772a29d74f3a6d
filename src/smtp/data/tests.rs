use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Decodes `chunks`; the message, if it ended, and the bytes after its end.
fn decode(max_size: usize, chunks: &[&[u8]]) -> Option<(Message, Vec<u8>)> {
    let mut decoder = DataDecoder::new(max_size);
    for (index, chunk) in chunks.iter().enumerate() {
        if let Some(taken) = decoder.feed(chunk) {
            let mut rest = chunk[taken..].to_vec();
            chunks[index + 1..].iter().for_each(|chunk| rest.extend_from_slice(chunk));
            return Some((decoder.finish(), rest));
        }
    }
    None
}

fn message(octets: impl Into<Vec<u8>>, bare_newlines: bool) -> Message {
    Message::Complete { octets: octets.into(), bare_newlines }
}

/// What a client sends for a message: dots doubled at line starts, then the end (RFC 5321 §4.5.2).
fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line_start = true;
    for (index, &byte) in message.iter().enumerate() {
        if line_start && byte == b'.' {
            out.push(b'.');
        }
        out.push(byte);
        line_start = byte == b'\n' && index > 0 && message[index - 1] == b'\r';
    }
    if !line_start {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[test]
fn only_crlf_dot_crlf_ends_a_message() {
    for (sent, text, bare_newlines) in [
        (&b".\r\n"[..], &b""[..], false),
        (b"\r\n.\r\n", b"\r\n", false),
        (b"a\r\n.\r\n", b"a\r\n", false),
        (b"..\r\n.\r\n", b".\r\n", false),
        (b"...\r\n.\r\n", b"..\r\n", false),
        (b".a\r\n.\r\n", b"a\r\n", false),
        (b"a.\r\n.\r\n", b"a.\r\n", false),
        (b"a\r\n..b\r\n.\r\n", b"a\r\n.b\r\n", false),
        (b"\0\xff\xfe\r\n.\r\n", b"\0\xff\xfe\r\n", false),
        // Everything below was the end of a message to some server.
        (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n", true),
        (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n", true),
        (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n", true),
        (b"a\r.\r\nb\r\n.\r\n", b"a\r.\r\nb\r\n", true),
        (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n", true),
        (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n", true),
        (b"a\r\n\0.\r\nb\r\n.\r\n", b"a\r\n\0.\r\nb\r\n", false),
        (b"a\r\n.\0\r\nb\r\n.\r\n", b"a\r\n\0\r\nb\r\n", false),
        (b"a\r\n.\r\r\nb\r\n.\r\n", b"a\r\n\r\r\nb\r\n", true),
        (b"a\r\n.\r\0\nb\r\n.\r\n", b"a\r\n\r\0\nb\r\n", true),
        (b"a\r\r\n.\r\n", b"a\r\r\n", true),
        (b"a\n\r\n.\r\n", b"a\n\r\n", true),
        (b"\n.\n.\r\nb\r\n.\r\n", b"\n.\n.\r\nb\r\n", true),
        (b".\n.\r\nb\r\n.\r\n", b"\n.\r\nb\r\n", true),
        (b".\r.\r\nb\r\n.\r\n", b"\r.\r\nb\r\n", true),
        (b"a\r\n. \r\n.\r\n", b"a\r\n \r\n", false),
    ] {
        let mut all = sent.to_vec();
        all.extend_from_slice(b"QUIT\r\n");
        let expected = Some((message(text, bare_newlines), b"QUIT\r\n".to_vec()));
        assert_eq!(decode(1_000, &[&all]), expected, "{} at once", sent.escape_ascii());
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(decode(1_000, &bytes), expected, "{} a byte at a time", sent.escape_ascii());
    }
}

#[test]
fn what_resembles_an_end_is_none() {
    for sent in [
        "",
        ".",
        ".\r",
        "a\r\n.",
        "a\r\n.\r",
        "\n.\n",
        "\r.\r",
        "\n.\r\n",
        "\r\n.\n",
        "\r\n.\r",
        "\r\n\0.\r\n",
        "\r\n.\r\r\n",
    ] {
        assert_eq!(decode(1_000, &[sent.as_bytes()]), None, "{}", sent.escape_default());
    }
}

#[test]
fn the_cap_is_exact_and_counts_decoded_octets() {
    assert_eq!(decode(5, &[b"..ab\r\n.\r\n"]), Some((message(".".to_owned() + "ab\r\n", false), vec![])));
    assert_eq!(decode(5, &[b"abcd\r\n.\r\n"]), Some((Message::TooBig, vec![])));
    assert_eq!(decode(0, &[b".\r\n"]), Some((message("", false), vec![])));
}

#[test]
fn a_message_over_the_cap_is_read_to_its_end_in_bounded_memory() {
    let mut decoder = DataDecoder::new(100_000);
    for _ in 0..10_000 {
        assert_eq!(decoder.feed(&[b'x'; 1_000]), None);
        assert!(decoder.body.capacity() <= 100_000, "{}", decoder.body.capacity());
    }
    assert_eq!(decoder.body.capacity(), 0);
    assert_eq!(decoder.feed(b"\r\n.\r\nQUIT"), Some(5));
    assert_eq!(decoder.finish(), Message::TooBig);
}

#[test]
fn an_idle_decoder_holds_no_memory() {
    assert_eq!(DataDecoder::new(10_000_000).body.capacity(), 0);
}

/// Text made of what matters to the decoder.
fn tricky() -> impl Strategy<Value = Vec<u8>> {
    vec(
        prop::sample::select(vec![&b"\r\n"[..], b".", b"\r", b"\n", b"\0", b"a", b"\xff", b"\r\n.\r\n"]),
        0..60,
    )
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_dot_stuffed_message_decodes_to_itself_however_it_is_cut(
        message in prop_oneof![tricky(), vec(any::<u8>(), 0..300)],
        cuts in vec(1usize..20, 1..40),
    ) {
        let sent = dot_stuffed(&message);
        let mut chunks = Vec::new();
        let mut rest = &sent[..];
        for size in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        let mut expected = message.clone();
        if !(message.is_empty() || message.ends_with(b"\r\n")) {
            expected.extend_from_slice(b"\r\n");
        }
        match decode(10_000, &chunks) {
            Some((Message::Complete { octets, .. }, after)) => {
                prop_assert_eq!(octets, expected);
                prop_assert!(after.is_empty());
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn chunking_never_changes_the_result(sent in tricky(), size in 1usize..9, cap in 0usize..80) {
        let chunks: Vec<&[u8]> = sent.chunks(size).collect();
        prop_assert_eq!(decode(cap, &chunks), decode(cap, &[&sent]));
    }
}
