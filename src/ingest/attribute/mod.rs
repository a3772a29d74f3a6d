//! Whose report is it? The return paths it came to, held against the addresses in it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::assess::{from_xtext, with_quotes};
use crate::address::{ForwardPath, Mailbox, TypedAddress, comparison_form, words_with_at};
use crate::report::fields::decoded;
use crate::report::{Action, RecipientFields, Report, ReportKind, ReturnedMessage};
use crate::returnpath::{Candidates, Keys, ReturnPath, ReturnPaths, Token, Trust, prove};
use crate::store::ANY_STREAM;

/// Addresses taken from a report's text, at most.
const MAX_IN_TEXT: usize = 100;

/// How much of the text is looked at, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// To whom a recipient group belongs, and how far it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// The address we mailed: the proven one, else what the group says.
    pub recipient: Option<String>,
    /// How far it is believed.
    pub trust: Trust,
    /// Whether the return path lets its decision count; for `unsigned` the operator says that.
    pub applies: bool,
    /// The stream of the token.
    pub stream: i64,
}

/// A token that the report came to, with the address beside it.
type Signed<'a> = (&'a Token, Option<&'a Mailbox>);

/// Attributes every group. `paths` are the envelope's, `named` is what each group says about its recipient
/// ([`super::assess()`]), in the order of the report; no more groups than there are of these are looked at.
#[must_use]
pub fn attribute(
    keys: &Keys,
    paths: &[ReturnPath],
    report: &Report,
    named: Vec<Option<String>>,
) -> Vec<Attribution> {
    // One entry a token, however often and in whatever spellings its address was given.
    let mut signed: BTreeMap<&[u8], Signed<'_>> = BTreeMap::new();
    for path in paths {
        if let ReturnPath::Token { token, readable } = path {
            let (_, known) = signed.entry(token.octets()).or_insert((token, None));
            *known = known.or(readable.as_ref());
        }
    }
    let signed: Vec<_> = signed.into_values().collect();
    if signed.is_empty() { unsigned(paths, report, named) } else { by_tokens(keys, &signed, report, named) }
}

/// The return path of the message that a complaint is about: the sender put the recipient into it (RFC 5965 §3.2,
/// Original-Mail-From; else the Return-Path of the message in the complaint). It is judged as one that the complaint
/// came to at this time would be: what is refused there says nothing here. A token always counts, unsigned VERP only
/// where the complaint hides who complained.
#[must_use]
pub fn complained_path(
    report: &Report,
    named: &[Option<String>],
    ours: &ReturnPaths,
    at: Timestamp,
) -> Option<ReturnPath> {
    if report.kind != ReportKind::Feedback {
        return None;
    }
    let feedback = report.feedback.as_ref()?;
    let hidden = named.iter().all(Option::is_none);
    let says = |path: &ReturnPath| match path {
        ReturnPath::Token { .. } => true,
        ReturnPath::Fixed => false,
        _ => hidden,
    };
    let judged = |mail_from: &String| {
        let path = ForwardPath::Mailbox(Mailbox::parse(mail_from).ok()?);
        ours.judge(&path, at).ok().filter(says)
    };
    [&feedback.original_mail_from, &feedback.return_path].into_iter().flatten().find_map(judged)
}

/// Without a token: what the group says, and for a report about one recipient what VERP says, unless the group names
/// another addressee.
fn unsigned(paths: &[ReturnPath], report: &Report, mut named: Vec<Option<String>>) -> Vec<Attribution> {
    let mut verp = paths.iter().filter_map(|path| match path {
        ReturnPath::Verp { recipient } | ReturnPath::Batv { recipient: Some(recipient) } => Some(recipient),
        _ => None,
    });
    if let ([named], Some(recipient), None) = (&mut named[..], verp.next(), verp.next())
        && named.as_deref().map(comparison_form) != Some(recipient.comparison_form())
        && !report.recipients.first().is_some_and(|group| is_about_another(report, group))
    {
        *named = Some(recipient.to_string());
    }
    let attribution =
        |recipient| Attribution { recipient, trust: Trust::Unsigned, applies: false, stream: ANY_STREAM };
    named.into_iter().map(attribution).collect()
}

fn by_tokens(
    keys: &Keys,
    signed: &[Signed<'_>],
    report: &Report,
    named: Vec<Option<String>>,
) -> Vec<Attribution> {
    let tokens = || signed.iter().map(|(token, _)| *token);
    // What each group says itself, with the place of its first address in the list.
    let mut addresses = Vec::new();
    let mut owners = Vec::new();
    for (group, (fields, named)) in report.recipients.iter().zip(&named).enumerate() {
        addresses.extend(named.clone());
        addresses.extend(addresses_of(fields));
        owners.resize(addresses.len(), group);
    }
    let candidates = Candidates::new(keys, tokens(), addresses);
    let mut proven: Vec<Option<(usize, &Token)>> = vec![None; named.len()];
    for token in tokens() {
        for place in candidates.matching(token) {
            proven[owners[place]].get_or_insert((place, token));
        }
    }
    // An alias may have several targets, each with a group: what befell the first that failed befell the alias.
    let stands_for_all = match &proven[..] {
        [None] => Some(0),
        all if all.iter().all(Option::is_none) => report.recipients.iter().take(all.len()).position(failed),
        _ => None,
    };
    let mut found = stands_for_all.map(|group| elsewhere(keys, signed, report, group, named[group].clone()));
    let groups = named.into_iter().zip(proven).enumerate();
    let attributions = groups.map(|(group, (named, proven))| match proven {
        None if stands_for_all == Some(group) => found.take().unwrap_or_else(|| not_proven(named)),
        Some((place, token)) => Attribution {
            recipient: Some(candidates.address(place).to_owned()),
            trust: Trust::Proven,
            applies: true,
            stream: token.stream().into(),
        },
        // Somebody else in a report about one of ours: recorded, and never more.
        None => not_proven(named),
    });
    attributions.collect()
}

/// Whether a group tells of a failure, or does not say what it tells of.
fn failed(fields: &RecipientFields) -> bool {
    fields.action.is_none_or(|action| action == Action::Failed)
}

const fn not_proven(recipient: Option<String>) -> Attribution {
    Attribution { recipient, trust: Trust::TokenOnly, applies: false, stream: ANY_STREAM }
}

/// Whether a group that does not name the one we mailed names another who was mailed with them: an addressee of the
/// returned message, or the one in Original-Recipient, which is what the sender asked for (RFC 3464 §2.3.1). Then it is
/// no forward of ours: one message went to several under one return path. What a complaint gives is whom its writer
/// delivered to (RFC 5965 §3.2, Original-Rcpt-To).
fn is_about_another(report: &Report, group: &RecipientFields) -> bool {
    let asked_for = group.original_recipient.iter().filter(|_| report.kind != ReportKind::Feedback);
    asked_for.flat_map(spellings).any(|address| Mailbox::parse(&address).is_ok())
        || names_addressee(report.original.as_ref(), &addresses_of(group))
}

/// Whether one of these addresses is an addressee of the returned message.
fn names_addressee(original: Option<&ReturnedMessage>, addresses: &[String]) -> bool {
    let forms: Vec<_> = addresses.iter().map(|address| comparison_form(address)).collect();
    let addressees =
        original.into_iter().flat_map(|original| original.to.iter().chain(&original.delivered_to));
    !forms.is_empty() && addressees.map(|address| comparison_form(address)).any(|form| forms.contains(&form))
}

/// A report of which no group names the one we mailed: forwarded, or vague. The rest of the message may name them,
/// first what the report itself says, then to whom the returned message went; else the token does. Where tokens of
/// several recipients fit, or the report names another addressee, nobody is taken.
fn elsewhere(
    keys: &Keys,
    signed: &[Signed<'_>],
    report: &Report,
    group: usize,
    named: Option<String>,
) -> Attribution {
    if is_about_another(report, &report.recipients[group]) {
        return not_proven(named);
    }
    let candidates = |addresses| Candidates::new(keys, signed.iter().map(|(token, _)| *token), addresses);
    let mut said = report.header.failed_recipients.clone();
    said.extend(in_text(&report.text));
    let names_another = names_addressee(report.original.as_ref(), &said);
    let said = candidates(said);
    if names_another && signed.iter().all(|(token, _)| said.matching(token).next().is_none()) {
        return not_proven(named);
    }
    let original = report.original.iter();
    let addressed = candidates(
        original.flat_map(|original| original.to.iter().chain(&original.delivered_to)).cloned().collect(),
    );
    let mut found: Option<Attribution> = None;
    for (token, readable) in signed {
        let by_itself = prove(token, *readable, &said);
        let proof =
            if by_itself.trust == Trust::Proven { by_itself } else { prove(token, *readable, &addressed) };
        let Some(recipient) = proof.recipient else { continue };
        let form = comparison_form(&recipient);
        match &found {
            Some(other) if other.recipient.as_deref().map(comparison_form).as_ref() != Some(&form) => {
                return not_proven(named);
            }
            Some(other) if other.trust == Trust::Proven => {}
            _ => {
                found = Some(Attribution {
                    recipient: Some(recipient),
                    trust: proof.trust,
                    applies: true,
                    stream: token.stream().into(),
                });
            }
        }
    }
    found.unwrap_or_else(|| not_proven(named))
}

/// Every form in which a group may name its recipient.
fn addresses_of(fields: &RecipientFields) -> Vec<String> {
    [&fields.original_recipient, &fields.final_recipient].into_iter().flatten().flat_map(spellings).collect()
}

/// An address as it stands, as xtext where it can be read as such, and with the quotes that an MTA left out.
fn spellings(address: &TypedAddress) -> impl Iterator<Item = String> {
    let value = decoded(&address.value).trim().to_owned();
    from_xtext(&value).into_iter().chain(with_quotes(&value)).chain([value])
}

/// What looks like an address in the text for people. Taking too much does no harm: a tag has to match.
fn in_text(text: &str) -> Vec<String> {
    let text = &text[..text.floor_char_boundary(MAX_TEXT)];
    words_with_at(text)
        .map(|word| {
            if word.starts_with('"') {
                word
            } else {
                word.rsplit(':').find(|part| part.contains('@')).unwrap_or(word)
            }
        })
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| Mailbox::parse(word).is_ok())
        .take(MAX_IN_TEXT)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
