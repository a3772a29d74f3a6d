//! `[http]`: where the API listens, and its limits.

use super::listeners::{self, ListenAddress};
use super::reader::Reader;
use super::{secs, size};
use crate::http::Settings;

/// `[http]`, as far as it is its own.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where to listen; nowhere where it is empty.
    pub listen: Vec<ListenAddress>,
    /// The rest.
    pub settings: Settings,
}

impl HttpConfig {
    /// What is wrong where there is no token and others than programs on this machine can reach the API.
    #[must_use]
    pub fn open_door(&self) -> Option<String> {
        let public = self.listen.iter().find(|address| !address.is_private())?;
        Some(format!(
            "http.listen: {public} can be reached from elsewhere, and without a token everybody could read the \
             list; `dsnd tokens create --name NAME --scope write` makes one, or listen on 127.0.0.1 alone"
        ))
    }
}

pub(super) fn http(reader: &mut Reader) -> HttpConfig {
    let default = Settings::default();
    let mut listen = Vec::new();
    match reader.texts("http.listen") {
        None => listen.push(ListenAddress::Tcp(([127, 0, 0, 1], 8025).into())),
        Some((at, texts)) => {
            for text in texts {
                match listeners::parse(&text, "\"127.0.0.1:8025\", \"[::1]:8025\"", "http") {
                    Ok(address) if listen.iter().any(|other| listeners::same_place(other, &address)) => {
                        reader.wrong(&at, format!("{text:?} stands twice"));
                    }
                    Ok(address) => listen.push(address),
                    Err(what) => reader.wrong(&at, what),
                }
            }
        }
    }
    let mut hosts = Vec::new();
    if let Some((at, texts)) = reader.texts("http.hosts") {
        for text in texts {
            if super::is_hostname(&text) {
                hosts.push(text);
            } else {
                reader.wrong(&at, format!("{text:?} is no host name, such as \"bounces.example.com\""));
            }
        }
    }
    let metrics_token = reader.boolean("http.metrics_token").is_some_and(|(_, value)| value);
    let mut number = |key, default: usize, range| size(reader.integer(key, default as u64, range));
    let max_connections = number("http.max_connections", default.max_connections, 1..=100_000);
    let max_heavy = number("http.max_heavy", default.max_heavy, 1..=1_000);
    let max_body = number("http.max_body", default.max_body, 65_536..=1 << 30);
    let mut time =
        |key, default: std::time::Duration| secs(reader.integer(key, default.as_secs(), 1..=3_600));
    let settings = Settings {
        hosts,
        metrics_token,
        max_connections,
        max_heavy,
        max_body,
        idle_timeout: time("http.idle_timeout", default.idle_timeout),
        request_timeout: time("http.request_timeout", default.request_timeout),
        write_timeout: time("http.write_timeout", default.write_timeout),
        ..default
    };
    HttpConfig { listen, settings }
}
