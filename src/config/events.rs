//! `[events]` and `[[webhook]]`: what is told to others, and to whom.

use std::path::Path;

use super::reader::{Place, Reader};
use super::return_path::{KeyFileError, read_secret_file};
use super::{secs, size, small};
use crate::events::{Endpoint, Format, Secret};
use crate::store::{EventType, Streams};

pub(super) fn keep_days(reader: &mut Reader) -> u32 {
    small(reader.integer("events.keep_days", 30, 1..=3_650))
}

/// Every `[[webhook]]`, also those that are not enabled.
pub(super) fn webhooks(reader: &mut Reader, streams: &Streams) -> Vec<Endpoint> {
    let tables = reader.tables("webhook", |reader, at| {
        let table = Table::read(reader, streams);
        Some((at.clone(), table))
    });
    let mut webhooks: Vec<Endpoint> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for (at, table) in tables {
        let name = table.name.as_ref().map(|(_, name)| name.clone()).filter(|name| !name.is_empty());
        let webhook = table.check(reader, &at);
        let Some(name) = name else { continue };
        // They are told apart in the environment, too.
        if names.contains(&variable(&name)) {
            reader.wrong(&at, format!("the name {name:?} stands twice"));
        } else {
            names.push(variable(&name));
            webhooks.extend(webhook);
        }
    }
    webhooks
}

/// One table as it stands there. `None` where something is wrong or missing.
struct Table {
    name: Option<(Place, String)>,
    url: Option<(Place, String)>,
    allow_http: bool,
    secret: Option<(Place, String)>,
    secret_file: Option<(Place, String)>,
    types: Option<(Place, Vec<String>)>,
    streams: Vec<i64>,
    unproven: bool,
    format: Format,
    timeout: u64,
    concurrency: u64,
    enabled: bool,
}

impl Table {
    fn read(reader: &mut Reader, streams: &Streams) -> Self {
        let named = |found: &(Place, String)| !found.1.is_empty();
        Self {
            name: reader.text("webhook.name"),
            url: reader.text("webhook.url"),
            allow_http: reader.boolean("webhook.allow_http").is_some_and(|(_, value)| value),
            secret: reader.text("webhook.secret").filter(named),
            secret_file: reader.text("webhook.secret_file").filter(named),
            types: reader.texts("webhook.events").filter(|(_, types)| !types.is_empty()),
            streams: stream_numbers(reader, streams),
            unproven: reader.boolean("webhook.unproven").is_some_and(|(_, value)| value),
            format: reader.choice(
                "webhook.format",
                Format::Dsnd,
                &[("dsnd", Format::Dsnd), ("ses", Format::Ses)],
            ),
            timeout: reader.integer("webhook.timeout", 10, 1..=60),
            concurrency: reader.integer("webhook.concurrency", 8, 1..=64),
            enabled: reader.boolean("webhook.enabled").is_none_or(|(_, value)| value),
        }
    }

    fn check(self, reader: &mut Reader, at: &Place) -> Option<Endpoint> {
        let types = self.types(reader);
        let in_words = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name = match self.name {
            None => {
                reader.wrong(at, "a webhook needs a name = \"…\"");
                None
            }
            Some((at, name)) if name.is_empty() || name.len() > 64 || !name.chars().all(in_words) => {
                reader.wrong(&at, format!("{name:?} is no name: 1 to 64 letters, digits, \"-\" and \"_\""));
                None
            }
            Some((_, name)) => Some(name),
        };
        let url = match self.url {
            None => {
                reader.wrong(at, "a webhook needs a url = \"https://…\"");
                None
            }
            Some((at, text)) => Endpoint::url(&text, self.allow_http)
                .map_err(|error| reader.wrong(&at, error.to_string()))
                .ok(),
        };
        if self.unproven && self.format == Format::Ses {
            reader.wrong(at, "unproven = true needs format = \"dsnd\": SES has no word for unproven reports");
        }
        if self.unproven && self.concurrency < 2 {
            reader.wrong(
                at,
                "unproven = true needs a concurrency of 2 or more: one delivery at a time is for them",
            );
        }
        let secret = secret(reader, at, name.as_deref(), self.secret, self.secret_file);
        Some(Endpoint {
            name: name?,
            url: url?,
            secret: secret?,
            types,
            streams: self.streams,
            unproven: self.unproven,
            format: self.format,
            timeout: secs(self.timeout),
            concurrency: size(self.concurrency),
            enabled: self.enabled,
        })
    }

    fn types(&self, reader: &mut Reader) -> Vec<EventType> {
        let possible = self.format.types();
        let Some((at, names)) = &self.types else { return possible.to_vec() };
        let mut types = Vec::new();
        for name in names {
            match EventType::from_name(name).filter(|kind| possible.contains(kind)) {
                Some(kind) if types.contains(&kind) => reader.wrong(at, format!("{name:?} stands twice")),
                Some(kind) => types.push(kind),
                None => {
                    let possible: Vec<&str> = possible.iter().map(|kind| kind.as_str()).collect();
                    let format = if self.format == Format::Ses { " in the format \"ses\"" } else { "" };
                    reader.wrong(
                        at,
                        format!("{name:?} is none of the events{format}: {}", possible.join(", ")),
                    );
                }
            }
        }
        types
    }
}

fn stream_numbers(reader: &mut Reader, streams: &Streams) -> Vec<i64> {
    let Some((at, names)) = reader.texts("webhook.streams") else { return Vec::new() };
    let mut numbers = Vec::new();
    for name in names {
        match streams.number(&name) {
            Some(number) => numbers.push(number.into()),
            None => reader.wrong(&at, format!("{name:?} is no stream; [streams] names those there are")),
        }
    }
    numbers
}

/// From the environment, from the table, or from the file that it names.
fn secret(
    reader: &mut Reader,
    at: &Place,
    name: Option<&str>,
    text: Option<(Place, String)>,
    file: Option<(Place, String)>,
) -> Option<Secret> {
    let (place, parsed) = if let Some(text) = name.and_then(|name| reader.variable(&variable(name))) {
        (at.clone(), Secret::parse(&text))
    } else {
        match (text, file) {
            (Some((place, _)), Some(_)) => {
                reader.wrong(&place, "secret and secret_file are one too many");
                return None;
            }
            (Some((place, text)), None) => (place, Secret::parse(&text)),
            (None, Some((place, file))) => match read_secret_file(Path::new(&file)) {
                Ok(text) => (place, Secret::parse(&text)),
                Err(error) => {
                    let why = match error {
                        KeyFileError::Read(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                            "there is no such file; `openssl rand -base64 32` makes a secret, to be written behind whsec_"
                                .to_owned()
                        }
                        error => error.to_string(),
                    };
                    reader.wrong(&place, format!("cannot use the secret in {file:?}: {why}"));
                    return None;
                }
            },
            (None, None) => {
                let variable = name
                    .map_or_else(|| "WEBHOOK_NAME_SECRET".to_owned(), |name| variable(name).to_uppercase());
                let what = format!("a webhook needs a secret, in secret, secret_file or DSND_{variable}");
                reader.wrong(at, what);
                return None;
            }
        }
    };
    parsed.map_err(|error| reader.wrong(&place, error.to_string())).ok()
}

/// The name of the variable with its secret, without the prefix and in lower case.
fn variable(name: &str) -> String {
    format!("webhook_{}_secret", name.to_lowercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::events::Way;
    use crate::store::Head;

    fn read(text: &str, variables: &[(&str, &str)]) -> (Vec<Endpoint>, Vec<String>) {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut reader = Reader::new("f", text, variables);
        let mut streams = Streams::default();
        streams.insert("news".to_owned(), 7);
        let webhooks = webhooks(&mut reader, &streams);
        (webhooks, reader.finish().iter().map(ToString::to_string).collect())
    }

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_webhook_has_a_name_a_url_and_a_secret_and_the_rest_has_defaults() {
        let text = format!(
            "[[webhook]]\nname = \"crm\"\nurl = \"https://a.example/x\"\nsecret = \"{SECRET}\"\n\
             [[webhook]]\nname = \"old-ses\"\nurl = \"http://127.0.0.1:1/\"\nformat = \"ses\"\nstreams = [\"news\", \"8\"]\n\
             timeout = 3\nconcurrency = 1\nenabled = false\n\
             [[webhook]]\nname = \"b\"\nurl = \"http://b.example/\"\nallow_http = true\nsecret = \"{SECRET}\"\n\
             events = [\"hold.opened\"]\n"
        );
        let (webhooks, problems) = read(&text, &[("DSND_WEBHOOK_OLD_SES_SECRET", SECRET)]);
        assert_eq!(problems, [""; 0]);
        let [crm, ses, b] = &webhooks[..] else { panic!("{webhooks:?}") };
        assert_eq!((crm.name.as_str(), crm.url.as_str(), crm.enabled), ("crm", "https://a.example/x", true));
        assert_eq!((crm.types.len(), crm.streams.len(), crm.format), (5, 0, Format::Dsnd));
        assert_eq!((crm.timeout, crm.concurrency), (Duration::from_secs(10), 8));
        assert_eq!((ses.format, ses.enabled, ses.concurrency), (Format::Ses, false, 1));
        assert_eq!(ses.types, [EventType::BounceRecorded, EventType::ComplaintRecorded]);
        assert_eq!(ses.streams, [7, 8]);
        assert_eq!(ses.secret, crm.secret);
        assert_eq!(b.types, [EventType::HoldOpened]);
        let head = |kind, stream| {
            let at = jiff::Timestamp::UNIX_EPOCH;
            Head { event: 1, at, kind, address_key: String::new(), stream, believed: true }
        };
        let wants = |webhook: &Endpoint, kind, stream| webhook.wants(&head(kind, stream), Way::Believed);
        assert!(wants(b, EventType::HoldOpened, 0) && !wants(b, EventType::BounceRecorded, 0));
        assert!(wants(ses, EventType::BounceRecorded, 0) && !wants(ses, EventType::BounceRecorded, 9));
        assert!([crm, ses, b].iter().all(|webhook| webhook.ways() == [Way::Believed]));
    }

    #[test]
    fn unproven_reports_have_a_way_and_places_of_their_own() {
        let table = |more: &str| {
            let head =
                format!("[[webhook]]\nname = \"crm\"\nurl = \"https://a.example\"\nsecret = \"{SECRET}\"\n");
            read(&format!("{head}unproven = true\n{more}\n"), &[])
        };
        for (more, believed, unproven) in
            [("", 6, 2), ("concurrency = 2", 1, 1), ("concurrency = 3", 2, 1), ("concurrency = 64", 48, 16)]
        {
            let (webhooks, problems) = table(more);
            assert_eq!(problems, [""; 0]);
            let crm = &webhooks[0];
            assert_eq!(crm.names().collect::<Vec<_>>(), ["crm", "crm/unproven"]);
            assert_eq!(
                (crm.places(Way::Believed), crm.places(Way::Unproven)),
                (believed, unproven),
                "{more}"
            );
        }
        for (more, wanted) in [
            ("concurrency = 1", "f:1: webhook: unproven = true needs a concurrency of 2"),
            ("format = \"ses\"", "f:1: webhook: unproven = true needs format = \"dsnd\""),
        ] {
            let (_, problems) = table(more);
            assert!(problems.iter().any(|problem| problem.starts_with(wanted)), "{problems:#?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_repeated() {
        for (table, wanted) in [
            ("url = \"https://a.example\"", "f:1: webhook: a webhook needs a name"),
            ("name = \"a b\"", "f:2: webhook.name: \"a b\" is no name"),
            ("name = \"a\"", "f:1: webhook: a webhook needs a url"),
            (
                "name = \"a\"\nurl = \"https://a.example\"",
                "f:1: webhook: a webhook needs a secret, in secret, secret_file or DSND_WEBHOOK_A_SECRET",
            ),
            ("name = \"a\"\nurl = \"http://a.example\"", "f:3: webhook.url: http:// would send"),
            (
                "secret = \"hush\"\nname = \"a\"\nurl = \"https://a.example\"",
                "f:2: webhook.secret: a secret has 16 octets",
            ),
            (
                "secret_file = \"/no/such/file\"\nname = \"a\"\nurl = \"https://a.example\"",
                "f:2: webhook.secret_file: cannot use the secret in \"/no/such/file\": there is no such file; `openssl rand",
            ),
            (
                "events = [\"bounce\"]",
                "f:2: webhook.events: \"bounce\" is none of the events: bounce.recorded, ",
            ),
            (
                "format = \"ses\"\nevents = [\"hold.opened\"]",
                "f:3: webhook.events: \"hold.opened\" is none of the events in the format \"ses\": bounce.recorded, complaint.recorded",
            ),
            ("streams = [\"x\"]", "f:2: webhook.streams: \"x\" is no stream"),
            ("uri = \"https://a.example\"", "f:2: webhook.uri: unknown key; did you mean webhook.url?"),
        ] {
            let (webhooks, problems) = read(&format!("[[webhook]]\n{table}\n"), &[]);
            assert!(webhooks.is_empty());
            assert!(problems.iter().any(|problem| problem.starts_with(wanted)), "{table}: {problems:#?}");
            assert!(!problems.iter().any(|problem| problem.contains("hush")), "{problems:#?}");
        }
        let (_, problems) = read(
            "[[webhook]]\nname = \"a b\"\nurl = \"ftp://x\"\nevents = [\"x\"]\nsecret = \"hush\"\n[[webhook]]\nname = \"a b\"\n",
            &[],
        );
        let wanted = [
            "f:2: webhook.name",
            "f:3: webhook.url",
            "f:4: webhook.events",
            "f:5: webhook.secret",
            "f:6: webhook: the name \"a b\" stands twice",
            "f:6: webhook: a webhook needs a url",
            "f:6: webhook: a webhook needs a secret",
            "f:7: webhook.name",
        ];
        let told = |wanted: &&str| problems.iter().any(|problem| problem.starts_with(wanted));
        assert!(wanted.iter().all(told) && problems.len() == wanted.len(), "all at once: {problems:#?}");
        let one =
            format!("[[webhook]]\nname = \"a-b\"\nurl = \"https://a.example\"\nsecret = \"{SECRET}\"\n");
        let (_, problems) = read(&format!("{one}{}", one.replace("a-b", "A_B")), &[]);
        assert_eq!(problems, ["f:5: webhook: the name \"A_B\" stands twice"]);
    }
}
