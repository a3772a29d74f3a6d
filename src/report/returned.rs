//! The returned message: who wrote it to whom, and its Message-ID (RFC 3464 §2, RFC 6522 §3).

use super::header::Header;
use super::{ReturnedMessage, mime};

/// Bytes of a returned message that are looked at, still encoded: its header, never its body.
pub const MAX_HEADER: usize = 1024 * 1024;

/// Most addresses kept of each sort.
const MAX_ADDRESSES: usize = 1_000;

/// Reads the header of a returned message or a returned header alone. Nothing usable in it: none.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<ReturnedMessage> {
    let (header, _) = Header::read(&bytes[..bytes.len().min(MAX_HEADER)], true);
    let addresses = |names: &[&str]| {
        let mut all: Vec<String> = Vec::new();
        for raw in names.iter().flat_map(|name| header.all(name)).take(100) {
            for address in mime::addresses(raw) {
                if all.len() < MAX_ADDRESSES && !all.contains(&address) {
                    all.push(address);
                }
            }
        }
        all
    };
    let message = ReturnedMessage {
        message_id: header.first("Message-ID").and_then(mime::message_id),
        from: header.first("From").and_then(|raw| mime::addresses(raw).into_iter().next()),
        to: addresses(&["To", "Cc"]),
        delivered_to: addresses(&["Delivered-To", "X-Original-To", "Resent-To"]),
        subject: header.first("Subject").map(mime::unstructured).filter(|subject| !subject.is_empty()),
    };
    (message != ReturnedMessage::default()).then_some(message)
}

/// What a message says of its reverse-path (RFC 5321 §4.4), angle brackets included; none where it says nothing.
#[must_use]
pub fn return_path(bytes: &[u8]) -> Option<String> {
    let (header, _) = Header::read(&bytes[..bytes.len().min(MAX_HEADER)], true);
    header.first("Return-Path").map(mime::unstructured).filter(|path| !path.is_empty())
}
