//! `[lookup]`: where sending MTAs ask whether a recipient is suppressed.

use super::listeners::{self, ListenAddress};
use super::reader::Reader;
use super::{secs, size};
use crate::lookup::{OnError, Settings};
use crate::store::Streams;

/// `[lookup]`.
#[derive(Debug, Clone)]
pub struct LookupConfig {
    /// Where to listen; nowhere where it is empty.
    pub listen: Vec<ListenAddress>,
    /// The rest, with the names of streams.
    pub settings: Settings,
}

impl LookupConfig {
    /// The first place that others than programs on this machine can reach.
    #[must_use]
    pub fn public(&self) -> Option<&ListenAddress> {
        self.listen.iter().find(|address| !address.is_private())
    }
}

pub(super) fn lookup(reader: &mut Reader, streams: &Streams) -> LookupConfig {
    let default = Settings::default();
    let mut listen: Vec<ListenAddress> = Vec::new();
    let places = reader.texts("lookup.listen");
    let mode = listeners::mode(reader, "lookup.mode");
    let group = reader.text("lookup.group").filter(|(_, group)| !group.is_empty());
    if let Some((at, texts)) = places {
        for text in texts {
            match listeners::parse(&text, "\"127.0.0.1:2527\", \"[::1]:2527\"", "lookup") {
                Ok(address) if listen.iter().any(|other| listeners::same_place(other, &address)) => {
                    reader.wrong(&at, format!("{text:?} stands twice"));
                }
                Ok(mut address) => {
                    if let ListenAddress::Unix(unix) = &mut address {
                        unix.mode = mode.as_ref().map_or(unix.mode, |(_, mode)| *mode);
                        unix.group = group.as_ref().map(|(_, group)| group.clone());
                    }
                    listen.push(address);
                }
                Err(what) => reader.wrong(&at, what),
            }
        }
    }
    let settings = Settings {
        on_error: reader.choice(
            "lookup.on_error",
            default.on_error,
            &[("temp", OnError::Temp), ("allow", OnError::Allow)],
        ),
        max_connections: size(reader.integer(
            "lookup.max_connections",
            default.max_connections as u64,
            1..=100_000,
        )),
        idle_timeout: secs(reader.integer("lookup.idle_timeout", default.idle_timeout.as_secs(), 1..=3_600)),
        streams: streams.clone(),
    };
    LookupConfig { listen, settings }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (LookupConfig, Vec<String>) {
        let mut reader = Reader::new("f", text, std::iter::empty());
        let lookup = lookup(&mut reader, &Streams::default());
        (lookup, reader.finish().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nobody_is_listened_to_unless_it_says_where() {
        let (lookup, problems) = read("");
        assert_eq!((lookup.listen, problems), (vec![], vec![]));
        assert_eq!(lookup.settings, Settings::default());
    }

    #[test]
    fn sockets_have_their_mode_and_group() {
        let (lookup, problems) = read(
            "[lookup]\nlisten = [\"127.0.0.1:2527\", \"unix:/run/dsnd/lookup.sock\", \"systemd:ask\"]\n\
             mode = \"0666\"\ngroup = \"postfix\"\non_error = \"allow\"\n",
        );
        assert_eq!(problems, [""; 0]);
        let shown: Vec<String> = lookup.listen.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:2527", "unix:/run/dsnd/lookup.sock", "systemd:ask"]);
        let ListenAddress::Unix(unix) = &lookup.listen[1] else { panic!("{:?}", lookup.listen) };
        assert_eq!((unix.mode, unix.group.as_deref()), (0o666, Some("postfix")));
        assert_eq!(lookup.settings.on_error, OnError::Allow);
        assert_eq!(lookup.public(), Some(&lookup.listen[2]), "nobody here knows what systemd is bound to");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (_, problems) = read(
            "[lookup]\nlisten = [\"2527\", \"127.0.0.1:1\", \"127.0.0.1:1\"]\nmode = \"rw\"\non_error = \"deny\"\n",
        );
        assert_eq!(problems.len(), 4, "{problems:?}");
        for told in ["\"0660\"", "127.0.0.1:2527", "stands twice", "\"temp\""] {
            assert!(problems.iter().any(|problem| problem.contains(told)), "{told}: {problems:?}");
        }
    }
}
