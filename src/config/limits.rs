//! `[limits]`.

use super::reader::Reader;
use super::{secs, size, small};
use crate::smtp::settings::Limits;

/// Messages that may wait to be committed.
const MAX_WAITING: u64 = 500;

/// What clients may take, and how many messages may wait before new connections have to.
pub(super) fn limits(reader: &mut Reader, name: &str, max_message_size: usize) -> (Limits, usize) {
    let default = Limits::default();
    let mut number = |key, default: u32| small(reader.integer(key, default.into(), 0..=1_000_000));
    let limits = Limits {
        connections_per_address: number("limits.connections_per_address", default.connections_per_address),
        connections_per_minute: number("limits.connections_per_minute", default.connections_per_minute),
        messages_per_minute: number("limits.messages_per_minute", default.messages_per_minute),
        recipients_per_minute: number("limits.recipients_per_minute", default.recipients_per_minute),
        min_rate: number("limits.min_rate", default.min_rate),
        commands_without_message: number("limits.commands_without_message", default.commands_without_message),
        without_message: secs(reader.integer(
            "limits.seconds_without_message",
            default.without_message.as_secs(),
            0..=86_400,
        )),
        reserved_percent: size(reader.integer(
            "limits.reserved_percent",
            default.reserved_percent as u64,
            0..=90,
        )),
        octets_per_minute: reader.integer("limits.octets_per_minute", default.octets_per_minute, 0..=1 << 40),
        body_memory: reader.integer("limits.body_memory", default.body_memory, 1 << 20..=1 << 40),
        tarpit: secs(reader.integer("limits.tarpit", default.tarpit.as_secs(), 0..=10)),
        exempt: match reader.texts("limits.exempt") {
            None => default.exempt,
            Some((at, texts)) => {
                let mut networks = Vec::new();
                for text in &texts {
                    match network(text) {
                        Some(network) => networks.push(network),
                        None => reader.wrong(
                            &at,
                            format!(
                                "{text:?} is no network, such as \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.1\""
                            ),
                        ),
                    }
                }
                networks
            }
        },
    };
    if limits.body_memory < max_message_size as u64 {
        let what = format!(
            "{} is less than one message of smtp.max_message_size = {max_message_size}",
            limits.body_memory
        );
        reader.impossible(name, "limits.body_memory", what);
    }
    let max_waiting = size(reader.integer("limits.max_waiting", MAX_WAITING, 1..=100_000));
    (limits, max_waiting)
}

/// A network, or an address alone.
fn network(text: &str) -> Option<ipnet::IpNet> {
    text.parse().ok().or_else(|| Some(text.parse::<std::net::IpAddr>().ok()?.into()))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use crate::config::Config;
    use crate::smtp::settings::Limits;

    fn parse(text: &str) -> Result<Limits, String> {
        let parsed = Config::parse("t.toml", text, std::iter::empty());
        parsed.map(|config| config.smtp.limits).map_err(|error| error.to_string())
    }

    #[test]
    fn only_loopback_is_exempt_until_networks_are_named() {
        let exempts =
            |limits: &Limits, address: &str| limits.exempts(address.parse::<IpAddr>().expect("an address"));
        let limits = parse("").unwrap();
        for (address, exempt) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.1", false),
            ("::2", false),
        ] {
            assert_eq!(exempts(&limits, address), exempt, "{address}");
        }
        let limits = parse("[limits]\nexempt = [\"192.0.2.0/24\", \"2001:db8::1\"]\n").unwrap();
        assert!(exempts(&limits, "192.0.2.200") && exempts(&limits, "2001:db8::1"));
        assert!(!exempts(&limits, "127.0.0.1") && !exempts(&limits, "2001:db8::2"));
        assert!(!exempts(&parse("[limits]\nexempt = []\n").unwrap(), "127.0.0.1"));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let error = parse("[limits]\nexempt = [\"10.0.0.0/33\", \"here\"]\n").unwrap_err();
        assert_eq!(error.matches("t.toml:2: limits.exempt: ").count(), 2, "{error}");
        let error = parse("[limits]\nbody_memory = 2_000_000\n").unwrap_err();
        assert!(error.contains("t.toml:2: limits.body_memory: 2000000 is less than one message"), "{error}");
    }
}
