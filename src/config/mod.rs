//! The configuration: `config/dsnd.toml` and `DSND_…`, checked as a whole before anything starts.

mod breaker;
mod events;
mod http;
mod limits;
mod lines;
mod listeners;
mod lookup;
mod reader;
mod return_path;
mod store;
mod streams;
mod tls;
mod unproven;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use http::HttpConfig;
use listeners::listeners;
pub use listeners::{ListenAddress, Listener, UnixAddress};
pub use lookup::LookupConfig;
use reader::Reader;
pub use reader::{Problem, UnknownVariable};
pub use return_path::{KeyFileError, read_key_file};
use return_path::{return_paths, unsigned_trust};
pub use store::{HashKeyFileError, StoreConfig, read_hash_key_file};

use crate::classify::rules::RuleFile;
use crate::events::Endpoint;
use crate::ingest::Quotas;
use crate::policy::{Breaker, Policy, Scope};
use crate::returnpath::{ReturnPaths, UnsignedTrust};
use crate::smtp::settings::{BareNewline, Settings};
use crate::smtp::tls::TlsSettings;
use crate::store::Streams;
use crate::store::whose::whose;

/// Where a configuration is looked for when none is named.
const PLACES: &[&str] = &["config/dsnd.toml", "/etc/dsnd/dsnd.toml"];

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from; `None` for the built-in defaults.
    pub file: Option<PathBuf>,
    /// Where to listen, one place at least.
    pub listeners: Vec<Listener>,
    /// The SMTP service, with the limits of its clients.
    pub smtp: Settings,
    /// The HTTP API.
    pub http: HttpConfig,
    /// MTAs that ask whether a recipient is suppressed.
    pub lookup: LookupConfig,
    /// Messages that may wait to be committed before new connections are turned away.
    pub max_waiting: usize,
    /// STARTTLS, where there is a certificate.
    pub tls: Option<TlsSettings>,
    /// Domains whose bounces come here.
    pub domains: Vec<String>,
    /// Which forward-paths are taken.
    pub return_paths: ReturnPaths,
    /// Which unsigned reports change the list.
    pub unsigned_trust: UnsignedTrust,
    /// The names of streams.
    pub streams: Streams,
    /// The database.
    pub store: StoreConfig,
    /// Quotas for mail that nothing proves.
    pub unproven: Quotas,
    /// Thresholds and terms.
    pub policy: Policy,
    /// When suppressions wait for a person.
    pub breaker: Breaker,
    /// How long events are kept for those who want to be told, in days.
    pub keep_events_days: u32,
    /// To whom events are brought, also those that are not enabled.
    pub webhooks: Vec<Endpoint>,
    /// The operator's rule files, in the order of their names; embedded rules come after them.
    pub rules: Vec<RuleFile>,
    /// Logging.
    pub log: LogConfig,
    /// Variables of the environment that begin as ours do, and name no key.
    pub unknown_variables: Vec<UnknownVariable>,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
    /// How lines look.
    pub format: LogFormat,
    /// Local parts are masked: `u***@example.com`.
    pub mask_addresses: bool,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; in colours on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {cause}{whose}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
        /// Who may, where it is a matter of that.
        whose: String,
    },
    /// Something in it is wrong; all of it is listed.
    #[error("{}", list(.0))]
    Wrong(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Config {
    /// Reads the named file, or the first that exists of the usual places, or the built-in defaults; the
    /// environment's `DSND_…` variables override keys.
    ///
    /// # Errors
    /// [`ConfigError`], with every problem at once.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let (config, problems) = Self::examine(named)?;
        config.if_none(problems)
    }

    /// The same for a program that has nothing to do with return paths: the keys that sign them are not read, so that
    /// whoever cannot or must not read these can ask all the same.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_without_keys(named: Option<&Path>) -> Result<Self, ConfigError> {
        let (config, problems) = Self::read_named(named, Reader::leaving_keys)?;
        config.if_none(problems)
    }

    /// The same with every problem beside it: what is wrong or missing has its default there.
    ///
    /// # Errors
    /// [`ConfigError::Read`].
    pub fn examine(named: Option<&Path>) -> Result<(Self, Vec<Problem>), ConfigError> {
        Self::read_named(named, |reader| reader)
    }

    fn read_named(
        named: Option<&Path>,
        prepare: impl FnOnce(Reader) -> Reader,
    ) -> Result<(Self, Vec<Problem>), ConfigError> {
        let unreadable = |path: &Path, cause: std::io::Error| {
            let denied = cause.kind() == std::io::ErrorKind::PermissionDenied;
            let whose = if denied { whose(path) } else { String::new() };
            ConfigError::Read { path: path.to_owned(), cause, whose }
        };
        let mut file = named.map(Path::to_owned);
        for place in PLACES.iter().map(Path::new).filter(|_| named.is_none()) {
            // One that is there and cannot be read counts: without it, another database would be made.
            if place.try_exists().map_err(|cause| unreadable(place, cause))? {
                file = Some(place.to_owned());
                break;
            }
        }
        let text = match &file {
            Some(path) => std::fs::read_to_string(path).map_err(|cause| unreadable(path, cause))?,
            None => String::new(),
        };
        let name = file.as_ref().map_or_else(|| "built-in".to_owned(), |path| path.display().to_string());
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let (config, problems) = Self::read(prepare(Reader::new(&name, &text, environment)), &name);
        Ok((Self { file, ..config }, problems))
    }

    /// Checks a text.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`], with every problem at once.
    pub fn parse(
        name: &str,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let (config, problems) = Self::read(Reader::new(name, text, environment), name);
        config.if_none(problems)
    }

    fn if_none(self, problems: Vec<Problem>) -> Result<Self, ConfigError> {
        if problems.is_empty() { Ok(self) } else { Err(ConfigError::Wrong(problems)) }
    }

    fn read(mut reader: Reader, name: &str) -> (Self, Vec<Problem>) {
        let tls = tls::tls(&mut reader);
        let listeners = listeners(&mut reader, tls.is_some());
        let mut smtp = smtp(&mut reader);
        let (limits, max_waiting) = limits::limits(&mut reader, name, smtp.max_message_size);
        smtp.limits = limits;
        let http = http::http(&mut reader);
        let (domains, return_paths) = return_paths(&mut reader, name);
        let unsigned_trust = unsigned_trust(&mut reader, &domains);
        let streams = streams::streams(&mut reader);
        let store = store::store(&mut reader, name, return_paths.max_age_days());
        let unproven = unproven::unproven(&mut reader);
        let lookup = lookup::lookup(&mut reader, &streams);
        let policy = policy(&mut reader, name);
        let breaker = breaker::breaker(&mut reader);
        let keep_events_days = events::keep_days(&mut reader);
        let webhooks = events::webhooks(&mut reader, &streams);
        let rules = rules(&mut reader);
        let log = log(&mut reader);
        let smtp_places = listeners.iter().map(|listener| (listener.key, &listener.address));
        let http_places = http.listen.iter().map(|address| ("http.listen", address));
        let lookup_places = lookup.listen.iter().map(|address| ("lookup.listen", address));
        let places: Vec<_> = smtp_places.chain(http_places).chain(lookup_places).collect();
        listeners::refuse_doubled(&mut reader, name, &places);
        let unknown_variables = reader.unknown_variables();
        let problems = reader.finish();
        let config = Self {
            file: None,
            listeners,
            smtp,
            http,
            lookup,
            max_waiting,
            tls,
            domains,
            return_paths,
            unsigned_trust,
            streams,
            store,
            unproven,
            policy,
            breaker,
            keep_events_days,
            webhooks,
            rules,
            log,
            unknown_variables,
        };
        (config, problems)
    }

    /// What it says about what bounces do to the list.
    #[must_use]
    pub fn store_settings(&self) -> crate::store::Settings {
        crate::store::Settings {
            policy: self.policy.clone(),
            breaker: self.breaker.clone(),
            addresses: self.store.addresses.clone(),
        }
    }
}

fn smtp(reader: &mut Reader) -> Settings {
    let default = Settings::default();
    let seconds = |value: Duration| value.as_secs();
    Settings {
        hostname: hostname(reader),
        max_message_size: size(reader.integer(
            "smtp.max_message_size",
            default.max_message_size as u64,
            65_536..=1 << 30,
        )),
        bare_newline: reader.choice(
            "smtp.bare_newline",
            default.bare_newline,
            &[("accept", BareNewline::Accept), ("reject", BareNewline::Reject)],
        ),
        // RFC 5321 §4.5.3.1.8: fewer than 100 is not allowed to a public server; operators behind their own MTA may.
        max_recipients: size(reader.integer(
            "smtp.max_recipients",
            default.max_recipients as u64,
            1..=10_000,
        )),
        max_messages: small(reader.integer("smtp.max_messages", default.max_messages.into(), 1..=1_000_000)),
        max_connections: size(reader.integer(
            "smtp.max_connections",
            default.max_connections as u64,
            1..=100_000,
        )),
        max_bad_commands: small(reader.integer(
            "smtp.max_bad_commands",
            default.max_bad_commands.into(),
            1..=1_000,
        )),
        idle_timeout: secs(reader.integer("smtp.idle_timeout", seconds(default.idle_timeout), 1..=3_600)),
        message_timeout: secs(reader.integer(
            "smtp.message_timeout",
            seconds(default.message_timeout),
            1..=86_400,
        )),
        write_timeout: secs(reader.integer("smtp.write_timeout", seconds(default.write_timeout), 1..=3_600)),
        shutdown_grace: secs(reader.integer("smtp.shutdown_grace", seconds(default.shutdown_grace), 0..=600)),
        limits: default.limits,
    }
}

fn hostname(reader: &mut Reader) -> String {
    let system = || {
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map(|name| name.trim().to_owned())
            .ok()
            .filter(|name| is_hostname(name))
            .unwrap_or_else(|| "localhost".to_owned())
    };
    match reader.text("smtp.hostname") {
        None => system(),
        Some((_, name)) if name.is_empty() => system(),
        Some((_, name)) if is_hostname(&name) => name,
        Some((at, name)) => {
            reader.wrong(&at, format!("{name:?} is no host name, such as \"bounces.example.com\""));
            name
        }
    }
}

fn is_hostname(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn policy(reader: &mut Reader, name: &str) -> Policy {
    let default = Policy::default();
    let scopes = [("global", Scope::Global), ("stream", Scope::Stream)];
    let mut scope = |key, default| reader.choice(key, default, &scopes);
    let hard_scope = scope("policy.hard_scope", default.hard_scope);
    let complaint_scope = scope("policy.complaint_scope", default.complaint_scope);
    let soft_scope = scope("policy.soft_scope", default.soft_scope);
    let mut days = |key, default: u32| small(reader.integer(key, default.into(), 1..=36_500));
    let policy = Policy {
        hard_days: days("policy.hard_days", default.hard_days),
        recheckable_days: days("policy.recheckable_days", default.recheckable_days),
        soft_count: days("policy.soft_count", default.soft_count),
        soft_window_days: days("policy.soft_window_days", default.soft_window_days),
        soft_days: days("policy.soft_days", default.soft_days),
        soft_max_days: days("policy.soft_max_days", default.soft_max_days),
        unconfirmed_days: days("policy.unconfirmed_days", default.unconfirmed_days),
        mailbox_full_count: days("policy.mailbox_full_count", default.mailbox_full_count),
        mailbox_full_span_days: days("policy.mailbox_full_span_days", default.mailbox_full_span_days),
        mailbox_full_window_days: days("policy.mailbox_full_window_days", default.mailbox_full_window_days),
        hard_scope,
        complaint_scope,
        soft_scope,
    };
    let mut impossible = |key: &'static str, what: String| reader.impossible(name, key, what);
    if policy.soft_count > policy.soft_window_days {
        impossible(
            "policy.soft_count",
            format!(
                "{} different days never lie within soft_window_days = {}",
                policy.soft_count, policy.soft_window_days
            ),
        );
    }
    if policy.unconfirmed_days > policy.soft_window_days {
        impossible(
            "policy.unconfirmed_days",
            format!(
                "{} different days never lie within soft_window_days = {}",
                policy.unconfirmed_days, policy.soft_window_days
            ),
        );
    }
    if policy.soft_max_days < policy.soft_days {
        impossible(
            "policy.soft_max_days",
            format!("{} is less than soft_days = {}", policy.soft_max_days, policy.soft_days),
        );
    }
    let window = policy.mailbox_full_window_days;
    if policy.mailbox_full_span_days >= window || policy.mailbox_full_count > window {
        impossible(
            "policy.mailbox_full_window_days",
            format!(
                "{window} days never hold mailbox_full_count = {} days that span mailbox_full_span_days = {}",
                policy.mailbox_full_count, policy.mailbox_full_span_days
            ),
        );
    }
    policy
}

/// The `*.toml` files of `rules.dir`.
fn rules(reader: &mut Reader) -> Vec<RuleFile> {
    let Some((at, dir)) = reader.text("rules.dir") else { return Vec::new() };
    if dir.is_empty() {
        return Vec::new();
    }
    let read = || -> std::io::Result<Vec<RuleFile>> {
        let mut paths =
            std::fs::read_dir(&dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        let file = |path: &PathBuf| {
            let name = path.display().to_string();
            // A pipe, for one, would be waited for until somebody writes to it.
            let text = match std::fs::metadata(path) {
                Ok(meta) if !meta.is_file() => Err(std::io::Error::other("it is no file")),
                Ok(_) => std::fs::read_to_string(path),
                Err(error) => Err(error),
            };
            let text = text.map_err(|error| std::io::Error::other(format!("{name}: {error}")))?;
            Ok(RuleFile { name, text })
        };
        paths.iter().map(file).collect()
    };
    match read() {
        Ok(files) => files,
        Err(error) => {
            reader.wrong(&at, format!("cannot read the rules in {dir:?}: {error}"));
            Vec::new()
        }
    }
}

fn log(reader: &mut Reader) -> LogConfig {
    LogConfig {
        level: reader.choice(
            "log.level",
            LogLevel::Info,
            &[
                ("error", LogLevel::Error),
                ("warn", LogLevel::Warn),
                ("info", LogLevel::Info),
                ("debug", LogLevel::Debug),
                ("trace", LogLevel::Trace),
            ],
        ),
        format: reader.choice(
            "log.format",
            LogFormat::Text,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        ),
        mask_addresses: reader.choice("log.addresses", false, &[("full", false), ("masked", true)]),
    }
}

const fn secs(value: u64) -> Duration {
    Duration::from_secs(value)
}

/// Ranges above keep every number within what these hold.
fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
