//! Any bytes as a delivery-status body: paragraphs, fields, and the forms of their values.
//!
//! Input: the body.

#![no_main]

use dsnd::report::dsn::{action, status};
use dsnd::report::fields::{
    MAX_VALUE, Paragraphs, RawField, Role, address, decoded, looks_like_delivery_status, mta, role, typed,
    without_comments,
};
use libfuzzer_sys::fuzz_target;

fn check_field(field: &RawField<'_>) {
    assert!(!field.name.is_empty() && field.name.is_ascii(), "{:?}", field.name);
    assert_eq!(field.role, role(field.name));
    let (value, cut) = field.value();
    assert!(value.len() <= MAX_VALUE);
    assert!(cut || field.raw.len() <= 4 * MAX_VALUE, "a value that was cut says so");
    if field.role == Role::Address {
        assert!(!value.contains(['\r', '\n']), "unfolded to one line: {value:?}");
    }
    check_value(&value);
}

fn check_value(value: &str) {
    let bare = without_comments(value);
    assert!(bare.len() <= value.len());
    assert_eq!(without_comments(&bare), bare, "comments are taken off once");
    let (kind, rest) = typed(value);
    assert!(rest.len() <= value.len() && rest.trim() == rest);
    if let Some(kind) = kind {
        assert!(!kind.is_empty() && kind.len() <= 40 && kind == kind.to_ascii_lowercase(), "{kind:?}");
    }
    for read in [address(value), mta(value)].into_iter().flatten() {
        assert!(!read.value.is_empty() && read.value.trim() == read.value, "{:?}", read.value);
        // What an address says can be written and read again.
        let _ = decoded(&read.value);
        let _ = read.mailbox();
    }
    if let Some(code) = status(value) {
        let written = code.to_string();
        assert_eq!(status(&written), Some(code), "{written}");
    }
    if let Some(action) = action(value) {
        assert_eq!(dsnd::report::dsn::action(action.as_str()), Some(action));
    }
}

/// Every paragraph's names and values.
fn read(body: &[u8]) -> Vec<Vec<(String, String)>> {
    let field = |field: &RawField<'_>| (field.name.to_owned(), field.value().0);
    Paragraphs::new(body).map(|fields| fields.iter().map(field).collect()).collect()
}

fuzz_target!(|body: &[u8]| {
    let _ = looks_like_delivery_status(body);
    let end = body.as_ptr_range().end as usize;
    let mut at = body.as_ptr() as usize;
    for paragraph in Paragraphs::new(body) {
        assert!(!paragraph.is_empty());
        for field in &paragraph {
            // In order, each byte at most once: memory follows the size of the body.
            let (name, raw) = (field.name.as_ptr() as usize, field.raw.as_ptr() as usize);
            assert!(at <= name && name < raw && raw + field.raw.len() <= end);
            at = raw + field.raw.len();
            check_field(field);
        }
    }
    // Line ends do not matter.
    if !body.contains(&b'\r') && body.len() <= MAX_VALUE / 2 {
        let crlf =
            body.iter().flat_map(|byte| if *byte == b'\n' { b"\r\n" } else { std::slice::from_ref(byte) });
        let crlf: Vec<u8> = crlf.copied().collect();
        assert_eq!(read(&crlf), read(body));
    }
});
