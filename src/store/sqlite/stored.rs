//! The boundary behind which addresses are stored keys: in clear or hashed, as [`Addresses`] says.
//!
//! - A reader asks for `address_key IN (?, ?)` with both of [`Addresses::keys`].
//! - A writer gets the one key that it writes under from [`resolve`] or [`resolve_all`], inside its transaction, with
//!   `judge.settings.addresses`; it uses that for everything it reads and writes there. The column `address`, and
//!   every text that may name the person, is given by [`Written`].
//! - A message on its way in goes through [`arrival`] and [`settle`].

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::addresses::{Addresses, HashKey, is_hashed};
use super::super::{NewEvent, NewMessage};
use super::mask::{Person, every_address};
use crate::address::comparison_form;
use crate::ledger::Arrival;

/// The key that rows about an address are written under, given its comparison form (or a stored key, which stays as
/// it is): hashed where every address is, or where she was erased and still stands on the list. What stands in clear
/// for her then is hashed in passing, so that nothing of it is overlooked.
pub(super) async fn resolve(
    connection: &mut SqliteConnection,
    addresses: &Addresses,
    comparison_form: &str,
) -> Result<String, sqlx::Error> {
    let forms = [comparison_form.to_owned()];
    let mut keys = resolve_all(connection, addresses, &forms).await?;
    Ok(keys.pop().unwrap_or_default())
}

/// As [`resolve`] for many addresses, in one statement and in their order.
pub(super) async fn resolve_all(
    connection: &mut SqliteConnection,
    addresses: &Addresses,
    comparison_forms: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    let Some(key) = addresses.key() else { return Ok(comparison_forms.to_vec()) };
    let pairs: Vec<[String; 2]> = comparison_forms.iter().map(|form| addresses.keys(form)).collect();
    let present = present(connection, pairs.iter().flatten()).await?;
    let mut keys = Vec::with_capacity(pairs.len());
    for [plain, hashed] in pairs {
        if !addresses.all_hashed() && !present.contains(&hashed) {
            keys.push(plain);
            continue;
        }
        if plain != hashed && present.contains(&plain) {
            hash_entries(connection, key, &plain, &hashed).await?;
        }
        keys.push(hashed);
    }
    Ok(keys)
}

/// Those of the keys that stand on the list or are counted.
async fn present(
    connection: &mut SqliteConnection,
    keys: impl Iterator<Item = &String>,
) -> Result<HashSet<String>, sqlx::Error> {
    let keys = Value::from_iter(keys.map(String::as_str)).to_string();
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT address_key FROM suppressions WHERE address_key IN (SELECT value FROM json_each(?1))
         UNION SELECT name FROM counters WHERE scope = 'address' AND name IN (SELECT value FROM json_each(?1))",
    )
    .bind(keys)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Whether anything stands under a hashed key.
pub(super) async fn any_hashed(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // What begins with the mark, by the indexes.
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM suppressions WHERE address_key >= '#' AND address_key < '$')
             OR EXISTS (SELECT 1 FROM events WHERE recipient_key >= '#' AND recipient_key < '$')
             OR EXISTS (SELECT 1 FROM counters WHERE scope = 'address' AND name >= '#' AND name < '$')",
    )
    .fetch_one(connection)
    .await
}

/// Whether anything stands under a clear key, or a message is kept as it came.
pub(super) async fn any_clear(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM suppressions WHERE address_key < '#' OR address_key >= '$')
             OR EXISTS (SELECT 1 FROM events WHERE recipient_key > '' AND recipient_key < '#' OR recipient_key >= '$')
             OR EXISTS (SELECT 1 FROM counters WHERE scope = 'address' AND (name < '#' OR name >= '$'))
             OR EXISTS (SELECT 1 FROM audit WHERE address_key > '' AND address_key < '#' OR address_key >= '$')
             OR EXISTS (SELECT 1 FROM messages WHERE raw IS NOT NULL)",
    )
    .fetch_one(connection)
    .await
}

/// Puts what stands on the list and is counted under a clear key under the hashed one.
pub(super) async fn hash_entries(
    connection: &mut SqliteConnection,
    key: &HashKey,
    plain: &str,
    hashed: &str,
) -> Result<(), sqlx::Error> {
    let texts = Written::hashed(key, &[plain]);
    hash_entries_as(connection, plain, hashed, |text| Some(texts.text(text))).await
}

/// The same, with what `rewrite` makes of the texts in the entries.
pub(super) async fn hash_entries_as(
    connection: &mut SqliteConnection,
    plain: &str,
    hashed: &str,
    rewrite: impl Fn(&str) -> Option<String>,
) -> Result<(), sqlx::Error> {
    let rows =
        sqlx::query("SELECT stream, evidence, note, remote_mta FROM suppressions WHERE address_key = ?1")
            .bind(plain)
            .fetch_all(&mut *connection)
            .await?;
    for row in rows {
        let text = |column: &str| -> Result<Option<String>, sqlx::Error> {
            Ok(row.try_get::<Option<String>, _>(column)?.and_then(|text| rewrite(&text)))
        };
        sqlx::query(
            "UPDATE OR IGNORE suppressions SET address_key = ?3, address = ?3, evidence = ?4, note = ?5, remote_mta = ?6
             WHERE address_key = ?1 AND stream = ?2",
        )
        .bind(plain)
        .bind(row.try_get::<i64, _>("stream")?)
        .bind(hashed)
        .bind(text("evidence")?)
        .bind(text("note")?)
        .bind(text("remote_mta")?)
        .execute(&mut *connection)
        .await?;
    }
    // Where both stood in one stream, the hashed one stays, and lasts as long as either.
    sqlx::query(
        "UPDATE suppressions SET ended = min(suppressions.ended, other.ended),
             expires_at = iif(suppressions.expires_at IS NULL OR other.expires_at IS NULL, NULL,
                              max(suppressions.expires_at, other.expires_at)),
             last_seen = max(suppressions.last_seen, other.last_seen)
         FROM suppressions AS other
         WHERE suppressions.address_key = ?2 AND other.address_key = ?1 AND other.stream = suppressions.stream",
    )
    .bind(plain)
    .bind(hashed)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM suppressions WHERE address_key = ?1")
        .bind(plain)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO counters (scope, name, stream, kind, day, count)
             SELECT scope, ?2, stream, kind, day, count FROM counters WHERE scope = 'address' AND name = ?1
         ON CONFLICT (scope, name, stream, kind, day) DO UPDATE SET count = max(count, excluded.count)",
    )
    .bind(plain)
    .bind(hashed)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM counters WHERE scope = 'address' AND name = ?1")
        .bind(plain)
        .execute(connection)
        .await?;
    Ok(())
}

/// How texts are written that may name somebody.
#[derive(Debug)]
pub(super) struct Written<'k> {
    key: Option<&'k HashKey>,
    persons: Vec<(Person, String)>,
    everybody: bool,
}

impl<'k> Written<'k> {
    /// Beside rows under this stored key, the resolved one of an address.
    pub(super) fn beside(addresses: &'k Addresses, stored_key: &str, address: &str) -> Self {
        match addresses.key() {
            Some(key) if is_hashed(stored_key) => Self::hashed(key, &[address]),
            _ => Self { key: None, persons: Vec::new(), everybody: false },
        }
    }

    /// Without any address in them: each is replaced by its hashed key. The local parts of `addresses` go, too, where
    /// they stand alone.
    pub(super) fn hashed(key: &'k HashKey, addresses: &[&str]) -> Self {
        Self { everybody: true, ..Self::without(key, addresses) }
    }

    /// Without these addresses in them; others stay.
    pub(super) fn without(key: &'k HashKey, addresses: &[&str]) -> Self {
        let persons = addresses.iter().filter(|address| !address.is_empty() && !is_hashed(address));
        let persons = persons.map(|address| (Person::of(address), key.hashed(&comparison_form(address))));
        Self { key: Some(key), persons: persons.collect(), everybody: false }
    }

    /// A text as it is stored.
    pub(super) fn text(&self, text: &str) -> String {
        let Some(key) = self.key else { return text.to_owned() };
        self.scrubbed(if self.everybody {
            every_address(text, |form| hashed(key, form))
        } else {
            Cow::Borrowed(text)
        })
    }

    /// A Message-ID, which looks like an address and is none: only persons go out of it, and where nobody may stand, what
    /// looks like VERP.
    pub(super) fn id(&self, text: &str) -> String {
        let text = self.scrubbed(Cow::Borrowed(text));
        let verp = |left: &str| left.split_once('=').is_some_and(|(_, domain)| domain.contains('.'));
        match text.split_once('@') {
            Some((left, right)) if self.everybody && verp(left) => format!("<***@{right}"),
            _ => text,
        }
    }

    fn scrubbed(&self, mut text: Cow<'_, str>) -> String {
        for (person, instead) in &self.persons {
            if let Some(scrubbed) = person.scrub(&text, instead) {
                text = Cow::Owned(scrubbed);
            }
        }
        text.into_owned()
    }

    /// What the column `address` holds.
    pub(super) fn address(&self, stored_key: &str, address: &str) -> String {
        if self.key.is_some() { stored_key.to_owned() } else { address.to_owned() }
    }

    fn in_place(&self, text: &mut String) {
        *text = self.text(text);
    }

    fn names(&self, text: &str) -> bool {
        self.persons.iter().any(|(person, _)| person.is_in(text))
    }
}

/// A JSON text without addresses in it, in the names that events, entries and facts have.
pub(super) fn in_json(json: &str, texts: &Written<'_>) -> String {
    fn walk(name: &str, value: &mut Value, texts: &Written<'_>) {
        match value {
            Value::String(text) => match name {
                "original_from" | "original_subject" => *value = Value::Null,
                "message_id" | "original_message_id" => *text = texts.id(text),
                "address" | "recipient" | "original_recipient" | "final_recipient" | "new_address" => {
                    *text = texts.key.map_or_else(|| text.clone(), |key| hashed(key, &comparison_form(text)));
                }
                _ => *text = texts.text(text),
            },
            Value::Array(items) => items.iter_mut().for_each(|item| walk(name, item, texts)),
            Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| walk(name, value, texts)),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::from_str::<Value>(json) else { return texts.text(json) };
    walk("", &mut value, texts);
    value.to_string()
}

/// ORCPT of a bounce's envelope (RFC 3461 §4.2): one of our own return paths, or an address that it was forwarded from.
pub(super) fn original_recipient(key: &HashKey, return_paths: &[String], recipient: &str) -> String {
    let (kind, address) = recipient.split_once(';').unwrap_or(("", recipient));
    let form = comparison_form(address);
    let address = if return_paths.contains(&form) { blind(address) } else { hashed(key, &form) };
    if kind.is_empty() { address } else { format!("{kind};{address}") }
}

/// The hashed key of an address in comparison form; one that is hashed already stays.
pub(super) fn hashed(key: &HashKey, form: &str) -> String {
    if form.is_empty() || is_hashed(form) { form.to_owned() } else { key.hashed(form) }
}

/// Takes a message as it was read. Where every address is hashed, this is done here, outside the writer.
pub(super) fn arrival(addresses: &Addresses, mut message: NewMessage) -> Arrival {
    let attributed = message
        .events
        .iter()
        .map(|event| NewEvent::attributed_key(&event.key, &event.recipient_key))
        .collect();
    let pair = |event: &NewEvent| match addresses.key() {
        // A stranger's address may look like a stored key, and is none.
        Some(key) if is_hashed(&event.recipient_key) => {
            let hashed = key.hashed(&event.recipient_key);
            [hashed.clone(), hashed]
        }
        _ => addresses.keys(&event.recipient_key),
    };
    let keys: Vec<[String; 2]> = message.events.iter().map(pair).collect();
    if addresses.all_hashed()
        && let Some(key) = addresses.key()
    {
        hash_message(&mut message, key);
        for (event, [_, hashed]) in message.events.iter_mut().zip(&keys) {
            hash_event(event, key, hashed);
        }
    }
    Arrival { message, attributed, keys }
}

/// Inside the writer's transaction: events about persons who were erased and still stand on the list are hashed, and the
/// rest of the message names them no more.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    addresses: &Addresses,
    arrival: &mut Arrival,
) -> Result<(), sqlx::Error> {
    let Some(key) = addresses.key() else { return Ok(()) };
    let Arrival { message, keys, .. } = arrival;
    let forms: Vec<String> = keys.iter().map(|[plain, _]| plain.clone()).collect();
    let resolved = resolve_all(connection, addresses, &forms).await?;
    if addresses.all_hashed() || !resolved.iter().any(|stored| is_hashed(stored)) {
        return Ok(());
    }
    let erased = |event: &NewEvent, stored: &String| is_hashed(stored).then(|| event.recipient.clone());
    let persons: Vec<String> =
        message.events.iter().zip(&resolved).filter_map(|(event, stored)| erased(event, stored)).collect();
    let texts = Written::without(key, &persons.iter().map(String::as_str).collect::<Vec<_>>());
    if persons.len() == message.events.len() {
        hash_message(message, key);
    } else {
        scrub_message(message, &texts);
    }
    for (event, stored) in message.events.iter_mut().zip(&resolved) {
        if is_hashed(stored) {
            hash_event(event, key, stored);
        }
        scrub_event(event, &texts);
    }
    Ok(())
}

/// Nothing of the message is kept that names anybody.
fn hash_message(message: &mut NewMessage, key: &HashKey) {
    let names: Vec<String> = message.events.iter().flat_map(names).map(str::to_owned).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let texts = Written::hashed(key, &names);
    message.raw = Vec::new();
    message.subject = None;
    message.original_from = None;
    message.original_to = Vec::new();
    message.original_subject = None;
    if !message.reverse_path.is_empty() {
        message.reverse_path = hashed(key, &comparison_form(&message.reverse_path));
    }
    let paths: Vec<String> = message.recipients.iter().map(|path| comparison_form(path)).collect();
    for recipient in message.original_recipients.iter_mut().flatten() {
        *recipient = original_recipient(key, &paths, recipient);
    }
    message.recipients.iter_mut().for_each(|path| *path = blind(path));
    if let Some(sender) = &mut message.sender {
        *sender = hashed(key, &comparison_form(sender));
    }
    ids_of(message).for_each(|text| *text = texts.id(text));
    texts_of(message).for_each(|text| texts.in_place(text));
}

/// Nothing of the message is kept that names these persons.
fn scrub_message(message: &mut NewMessage, texts: &Written<'_>) {
    message.raw = Vec::new();
    // They may name somebody by words that stand in no address.
    message.subject = None;
    message.original_subject = None;
    message.original_to.retain(|address| !texts.names(address));
    let addresses = [&mut message.sender, &mut message.original_from].into_iter().flatten();
    for text in addresses
        .chain([&mut message.reverse_path])
        .chain(&mut message.recipients)
        .chain(message.original_recipients.iter_mut().flatten())
    {
        texts.in_place(text);
    }
    ids_of(message).for_each(|text| texts.in_place(text));
    texts_of(message).for_each(|text| texts.in_place(text));
}

/// What others chose the words of.
fn texts_of(message: &mut NewMessage) -> impl Iterator<Item = &mut String> {
    let told = [&mut message.envelope_id, &mut message.original_envelope_id, &mut message.reporting_mta];
    told.into_iter().flatten().chain([&mut message.helo]).chain(&mut message.defects)
}

fn ids_of(message: &mut NewMessage) -> impl Iterator<Item = &mut String> {
    [&mut message.message_id, &mut message.original_message_id].into_iter().flatten()
}

/// Everything that an event calls its recipient.
fn names(event: &NewEvent) -> impl Iterator<Item = &str> {
    [Some(&event.recipient), event.original_recipient.as_ref(), event.final_recipient.as_ref()]
        .into_iter()
        .flatten()
        .map(String::as_str)
}

fn hash_event(event: &mut NewEvent, key: &HashKey, stored_key: &str) {
    let called: Vec<String> = names(event).map(str::to_owned).collect();
    let texts = Written::hashed(key, &called.iter().map(String::as_str).collect::<Vec<_>>());
    stored_key.clone_into(&mut event.recipient);
    stored_key.clone_into(&mut event.recipient_key);
    for address in [&mut event.original_recipient, &mut event.final_recipient].into_iter().flatten() {
        *address = hashed(key, &comparison_form(address));
    }
    scrub_event(event, &texts);
    if let Some(address) = &mut event.classification.facts.new_address {
        *address = hashed(key, &comparison_form(address));
    }
}

fn scrub_event(event: &mut NewEvent, texts: &Written<'_>) {
    let result = &mut event.classification;
    for text in [
        &mut event.status,
        &mut event.diagnostic_code,
        &mut event.remote_mta,
        &mut result.facts.lookup_url,
        &mut result.facts.new_address,
    ]
    .into_iter()
    .flatten()
    .chain([&mut result.evidence])
    {
        texts.in_place(text);
    }
}

/// A return path without an address readable in it: a token alone stays as it is (it names nobody), and the domain.
pub(super) fn blind(path: &str) -> String {
    const TOKEN: usize = crate::returnpath::token::CHARACTERS;
    let (local_part, domain) = path.rsplit_once('@').unwrap_or((path, ""));
    let at = if domain.is_empty() { "" } else { "@" };
    let Some((before, _)) = local_part.split_once('=') else { return path.to_owned() };
    let token = before.len().checked_sub(TOKEN).and_then(|at| before.get(at..));
    let is_token = token.is_some_and(|token| token.bytes().all(|octet| octet.is_ascii_alphanumeric()));
    if is_token { format!("{before}=***{at}{domain}") } else { format!("***{at}{domain}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_path_keeps_its_token_and_names_nobody() {
        let token = "aeaa2mnqcaaaaaaabbbbbbbbccccccc2";
        for (path, blinded) in [
            (format!("b-{token}@ours.example"), format!("b-{token}@ours.example")),
            (format!("b-{token}=jane=example.org@ours.example"), format!("b-{token}=***@ours.example")),
            ("bounces+jane=example.org@ours.example".to_owned(), "***@ours.example".to_owned()),
            ("prvs=1234abcdef=jane@ours.example".to_owned(), "***@ours.example".to_owned()),
            ("bounces@ours.example".to_owned(), "bounces@ours.example".to_owned()),
            ("postmaster".to_owned(), "postmaster".to_owned()),
        ] {
            assert_eq!(blind(&path), blinded);
        }
    }
}
