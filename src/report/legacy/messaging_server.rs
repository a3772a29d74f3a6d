//! PMDF, iPlanet and Sun Messaging Server: labelled lines under "cannot be delivered to the following
//! recipients".

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{address_in, pattern};
use super::{Diagnostic, Family, Reading};
use crate::address::TypedAddress;

pub(super) struct MessagingServer;

static OPENING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"your message (?:cannot|could not) be delivered to the following recipients?:|has been enqueued and undeliverable for|(?:your message is being returned|your message has been enqueued)",
    )
});

impl Family for MessagingServer {
    fn name(&self) -> &'static str {
        "messaging-server"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let opening = OPENING.find(&letter.lower)?;
        let mut entries = Entries::default();
        let mut originals = Vec::new();
        let mut remotes = Vec::new();
        for line in letter.body[opening.end()..].lines() {
            let Some((label, value)) = line.trim().split_once(':') else {
                entries.add(line);
                continue;
            };
            match label.trim().to_lowercase().as_str() {
                "recipient address" => {
                    if let Some(address) = address_in(value) {
                        entries.begin(&address, "");
                        originals.push(None);
                        remotes.push(None);
                    }
                }
                "original address" => {
                    if let (Some(last), address) = (originals.last_mut(), address_in(value)) {
                        *last = address;
                    }
                }
                "remote system" => {
                    let host = value.split_once(';').map_or(value, |(_, host)| host);
                    if let Some(last) = remotes.last_mut() {
                        *last = host.split_whitespace().next().map(str::to_owned);
                    }
                }
                "reason" => entries.add(value),
                "diagnostic code" => entries.add(value.split_once(';').map_or(value, |(_, said)| said)),
                _ => entries.add(line),
            }
        }
        let mut recipients = entries.finish();
        for ((recipient, original), remote) in recipients.iter_mut().zip(originals).zip(remotes) {
            recipient.original_recipient = original.map(|value| TypedAddress { kind: None, value });
            recipient.remote_mta = remote.map(|value| TypedAddress { kind: None, value });
            if let Some(Diagnostic { kind, .. }) = &mut recipient.diagnostic_code {
                *kind = Some("smtp".to_owned());
            }
        }
        let reading = Reading::of(recipients);
        let delayed = letter.subject().contains("delayed") || letter.lower.contains("has been enqueued");
        Some(if delayed { reading.delayed() } else { reading })
    }
}
