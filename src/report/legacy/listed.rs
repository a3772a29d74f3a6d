//! No known program, but a sentence that ends in a colon and says that delivery failed, and addresses under it.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{addresses_in, lone_address, pattern};
use super::words::{FAILURE, WARNING};
use super::{Confidence, Family, Reading};
use crate::address::lower_case;

pub(super) struct Listed;

/// Words for those whom mail is for.
static WHOM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"following|recipient|address|\buser|mailbox|destination|deliver(?:ed)? to|message to|mail to|e-?mail to|sent to|empfänger|adresse|destinat|dirección|direccion|indirizz|endereço|geadresseerde|ontvanger|adresat|odbiorc|получател|адрес|あて先|宛先|受信者|收件人|地址|account",
    )
});

impl Family for Listed {
    fn name(&self) -> &'static str {
        "listed"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if !letter.is_by_machine() {
            return None; // people write such sentences, too: customers, couriers, newsletters about mail
        }
        let mut entries = Entries::default();
        let mut tail = String::new();
        // The sentence may have begun on the line before.
        let mut before = String::new();
        let mut heading = String::new();
        let mut open = false;
        let mut found = 0;
        for (_, line) in letter.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() {
                continue;
            }
            if open && let Some((address, said)) = item(trimmed) {
                entries.begin(&address, said);
                found += 1;
                continue;
            }
            let ruled = trimmed.starts_with("--") && trimmed.ends_with("--");
            let ends = ruled || trimmed.ends_with([':', '：', '.', '!', 'à', 'a', 'o', 'n', '。']);
            let sentence = (ends && trimmed.len() < 300).then(|| format!("{before} {trimmed}"));
            let announces = |sentence: &String| {
                let lower = lower_case(sentence);
                WHOM.is_match(&lower) && FAILURE.is_match(&lower)
            };
            if let Some(sentence) = sentence.filter(announces) {
                open = true;
                found = 0;
                if entries.is_empty() {
                    heading = sentence.trim().to_owned();
                }
            } else if open && found > 0 {
                // The first line that is no address ends the list, or says why.
                entries.add(trimmed);
                open = line.starts_with([' ', '\t']);
            } else if open && !said_between(trimmed) {
                open = false;
            }
            if !entries.is_empty() && tail.len() < super::MAX_SAID && trimmed.contains(char::is_alphanumeric)
            {
                tail.push_str(trimmed);
                tail.push('\n');
            }
            trimmed.clone_into(&mut before);
            if before.len() > 200 {
                before.clear();
            }
        }
        if entries.is_empty() {
            return None;
        }
        if entries.len() == 1 {
            tail.lines().for_each(|line| entries.add_new(line));
        }
        entries.fill(if tail.is_empty() { &heading } else { &tail });
        let reading = Reading::of(entries.finish()).with(Confidence::Likely);
        Some(if letter.says(&WARNING) { reading.delayed() } else { reading })
    }
}

/// An address with a bullet or a label before it and a reason after it.
fn item(line: &str) -> Option<(String, &str)> {
    if let Some(address) = lone_address(line) {
        return Some((address, ""));
    }
    let bare = line.trim_start_matches(['*', '-', '•', '·', '>', ' ', '\t']);
    let first = bare.split_whitespace().next()?;
    if let Some(address) = lone_address(first) {
        return Some((address, bare[first.len()..].trim_start_matches([':', '-', ' '])));
    }
    // "Recipient: a@x.example", "To: <a@x.example>"
    let (label, value) = bare.split_once(':')?;
    let address = lone_address(value)?;
    (label.split_whitespace().count() <= 4 && !is_sender(label)).then_some((address, ""))
}

/// A label of somebody who is no recipient.
fn is_sender(label: &str) -> bool {
    let label = label.to_lowercase();
    ["from", "sender", "von", "absender", "reply", "contact", "return-path", "cc"]
        .iter()
        .any(|word| label.contains(word))
}

/// Words that may stand between the sentence and the list.
fn said_between(line: &str) -> bool {
    addresses_in(line).next().is_none() && line.chars().all(|c| !c.is_alphanumeric())
}
