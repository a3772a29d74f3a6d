//! Message disposition notifications (RFC 8098): read or deleted, never a bounce.

use super::automatic::{Automatic, AutomaticKind};
use super::defects::Defects;
use super::fields::{self, Paragraphs};
use super::parts::Parts;
use super::{Field, RecipientFields};

/// Reads the machine's part: what became of the message, and whose copy it was.
pub(super) fn read(parts: &Parts<'_>, defects: &mut Defects) -> (Automatic, Vec<RecipientFields>) {
    let mut recipient = RecipientFields::default();
    let mut disposition = String::new();
    for leaf in
        parts.leaves.iter().filter(|leaf| leaf.content_type.essence == "message/disposition-notification")
    {
        let body = leaf.decoded(usize::MAX, defects);
        for field in Paragraphs::new(&body).flatten() {
            let (value, _) = field.value();
            match field.name.to_ascii_lowercase().as_str() {
                "original-recipient" => recipient.original_recipient = fields::address(&value), // RFC 8098 §3.2.3
                "final-recipient" => recipient.final_recipient = fields::address(&value), // RFC 8098 §3.2.4
                // RFC 8098 §3.2.6
                "disposition" if disposition.is_empty() => {
                    recipient.extensions.push(Field { name: field.name.to_owned(), value: value.clone() });
                    disposition = value;
                }
                _ => {}
            }
        }
    }
    let named = recipient.original_recipient.is_some() || recipient.final_recipient.is_some();
    let evidence = if disposition.is_empty() { String::new() } else { format!("Disposition: {disposition}") };
    let automatic = Automatic { kind: AutomaticKind::Disposition, evidence };
    (automatic, if named { vec![recipient] } else { Vec::new() })
}
