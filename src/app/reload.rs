//! Taking up a changed configuration while running: all of it or nothing, and only for what comes from then on.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use super::events::Webhooks;
use super::{ingest_settings, warn_of_trust};
use crate::classify::{Classifier, ClassifierError};
use crate::config::{Config, ConfigError, Listener};
use crate::http::Api;
use crate::ingest::Ingest;
use crate::lookup;
use crate::smtp::listener::Server;
use crate::smtp::tls::{TlsAcceptor, TlsError};
use crate::store::sqlite::SqliteStore;
use crate::store::{Addresses, StoreError};

/// What runs, as far as a new configuration can change it.
#[derive(Debug)]
pub(super) struct Running {
    /// The configuration that holds; other work asks here each time.
    pub(super) config: Arc<ArcSwap<Config>>,
    pub(super) store: Arc<SqliteStore>,
    pub(super) classifier: Arc<Classifier>,
    pub(super) ingest: Arc<Ingest<SqliteStore>>,
    pub(super) server: Arc<Server<Ingest<SqliteStore>>>,
    pub(super) api: Api,
    pub(super) lookups: Arc<lookup::Server<SqliteStore>>,
    pub(super) webhooks: Webhooks,
    /// Its certificate is exchanged where it is; `None` where there was none at the start.
    pub(super) tls: Option<Arc<TlsAcceptor>>,
}

/// Why everything stays as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Rules(#[from] ClassifierError),
    #[error("{cause} ({key})")]
    Tls { key: &'static str, cause: TlsError },
    #[error("{0} is no file that can be read again, as a pipe is none")]
    NoFile(String),
    #[error("{0} is empty, as a file is that is just being written; return_path.domains would be lost")]
    Emptied(String),
    #[error("{0} (store.path)")]
    Store(#[from] StoreError),
    #[error("reading it was cut off: {0}")]
    CutOff(#[from] tokio::task::JoinError),
}

impl Running {
    /// What has an end of its own; the rest goes.
    pub(super) fn into_webhooks(self) -> Webhooks {
        self.webhooks
    }

    /// Reads the configuration, the rules, the keys and the certificate again, and logs what came of it. Where anything
    /// in them is wrong, all of that is logged, and what holds goes on holding. Sessions that are there end as they
    /// began.
    pub(super) async fn reload(&mut self) {
        match self.take_up().await {
            Ok(stays) => {
                for key in stays {
                    warn!(key, "changed, but this needs a restart; the old value stays");
                }
                info!(
                    "configuration, rules, keys and certificate were read again and hold for new connections"
                );
            }
            Err(ReloadError::Config(ConfigError::Wrong(problems))) => {
                for problem in &problems {
                    error!(place = problem.place, key = problem.key, what = problem.what, "wrong");
                }
                error!(
                    problems = problems.len(),
                    "the new configuration is wrong; the last good one goes on holding"
                );
            }
            Err(cause) => {
                error!(error = %cause, "the new configuration is wrong; the last good one goes on holding");
            }
        }
    }

    /// First everything that can fail, then everything that cannot. The keys that need a restart come back.
    async fn take_up(&mut self) -> Result<Vec<&'static str>, ReloadError> {
        let old = self.config.load_full();
        let rules = Arc::clone(&self.classifier);
        let (tls, store) = (self.tls.clone(), Arc::clone(&self.store));
        let (config, classifier, stays) = tokio::task::spawn_blocking(move || {
            // A pipe may be read once, at the start; whoever opens it again waits.
            if let Some(file) = old.file.as_deref()
                && std::fs::metadata(file).is_ok_and(|found| !found.is_file())
            {
                return Err(ReloadError::NoFile(file.display().to_string()));
            }
            let mut config = Config::load(old.file.as_deref())?;
            // Without its domains it would refuse every bounce for good.
            if let Some(file) = old.file.as_deref().filter(|_| config.domains != old.domains)
                && std::fs::read(file).is_ok_and(|text| text.trim_ascii().is_empty())
            {
                return Err(ReloadError::Emptied(file.display().to_string()));
            }
            let classifier = classifier_for(&config, &old, rules)?;
            let stays = keep_what_stays(&old, &mut config);
            // What happens from then on is for a webhook that is new as well.
            Handle::current().block_on(super::events::enrol(&store, &config))?;
            // Last, since it takes effect at once; it logs its own result.
            if let (Some(tls), Some(settings)) = (tls, &config.tls) {
                tls.reload_with(settings)
                    .map_err(|cause| ReloadError::Tls { key: cause.key(settings), cause })?;
            }
            Ok::<_, ReloadError>((config, classifier, stays))
        })
        .await??;

        self.store.replace(config.store_settings());
        self.classifier = Arc::clone(&classifier);
        self.api.replace(Arc::clone(&classifier), super::http::settings(&config));
        self.ingest = Arc::new(self.ingest.with(classifier, ingest_settings(&config)));
        self.server.replace(Arc::clone(&self.ingest), config.smtp.clone());
        self.lookups.replace(config.lookup.settings.clone());
        self.webhooks.follow(&config);
        warn_of_trust(&config);
        self.config.store(Arc::new(config));
        Ok(stays)
    }
}

/// The rules of a new configuration: where no file of them has changed, those that are there.
fn classifier_for(
    new: &Config,
    old: &Config,
    classifier: Arc<Classifier>,
) -> Result<Arc<Classifier>, ClassifierError> {
    if new.rules == old.rules { Ok(classifier) } else { Classifier::with_rules(&new.rules).map(Arc::new) }
}

/// Puts the old values back where a running program cannot take up new ones, and names their keys.
fn keep_what_stays(old: &Config, new: &mut Config) -> Vec<&'static str> {
    fn keep<T: PartialEq + Clone>(stays: &mut Vec<&'static str>, key: &'static str, old: &T, new: &mut T) {
        if old != new {
            *new = old.clone();
            stays.push(key);
        }
    }
    let mut stays = Vec::new();
    let kept = &mut stays;
    for (key, name) in [("smtp.listen", "smtp.listen"), ("listener.address", "[[listener]]")] {
        let of = |config: &'_ Config| -> Vec<Listener> {
            config.listeners.iter().filter(|listener| listener.key == key).cloned().collect()
        };
        if of(old) != of(new) {
            kept.push(name);
        }
    }
    new.listeners.clone_from(&old.listeners);
    if old.tls.is_some() != new.tls.is_some() {
        // Other files can be read; but whether STARTTLS is there at all, and required, was settled with the sockets.
        new.tls.clone_from(&old.tls);
        kept.push("tls.certificate");
    }
    keep(kept, "http.listen", &old.http.listen, &mut new.http.listen);
    let (old_http, new_http) = (&old.http.settings, &mut new.http.settings);
    keep(kept, "http.max_connections", &old_http.max_connections, &mut new_http.max_connections);
    keep(kept, "http.max_heavy", &old_http.max_heavy, &mut new_http.max_heavy);
    keep(kept, "http.max_body", &old_http.max_body, &mut new_http.max_body);
    keep(kept, "http.request_timeout", &old_http.request_timeout, &mut new_http.request_timeout);
    keep(kept, "lookup.listen", &old.lookup.listen, &mut new.lookup.listen);
    let (old_lookup, new_lookup) = (&old.lookup.settings, &mut new.lookup.settings);
    keep(kept, "lookup.max_connections", &old_lookup.max_connections, &mut new_lookup.max_connections);
    keep(kept, "store.path", &old.store.path, &mut new.store.path);
    keep(kept, "store.busy_timeout", &old.store.busy_timeout, &mut new.store.busy_timeout);
    if old.store.addresses != new.store.addresses {
        let hashed = [&old.store.addresses, &new.store.addresses].map(Addresses::all_hashed);
        kept.push(if hashed[0] == hashed[1] { "store.hash_key_file" } else { "store.hash_addresses" });
        new.store.addresses = old.store.addresses.clone();
        new.store.raw_days = if hashed[0] { 0 } else { new.store.raw_days };
    }
    keep(kept, "log.level", &old.log.level, &mut new.log.level);
    keep(kept, "log.format", &old.log.format, &mut new.log.format);
    stays
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse("t.toml", text, std::iter::empty()).unwrap()
    }

    #[test]
    fn rules_are_built_anew_only_where_a_file_of_them_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[rules]\ndir = {:?}\n", folder.path());
        let built = Arc::new(Classifier::with_rules(&[]).unwrap());
        let old = parse(&text);
        let same = classifier_for(&parse(&text), &old, Arc::clone(&built)).unwrap();
        assert!(Arc::ptr_eq(&same, &built));
        std::fs::write(folder.path().join("own.toml"), "# none yet\n").unwrap();
        let other = classifier_for(&parse(&text), &old, Arc::clone(&built)).unwrap();
        assert!(!Arc::ptr_eq(&other, &built));
    }

    #[test]
    fn what_needs_a_restart_stays_and_is_named() {
        let old = parse("");
        let mut same = parse("[policy]\nhard_days = 7\n[log]\naddresses = \"masked\"\n");
        assert_eq!(keep_what_stays(&old, &mut same), [""; 0]);
        let mut new = parse(
            "[smtp]\nlisten = [\"127.0.0.1:25\"]\nmax_connections = 7\n[store]\npath = \"b.db\"\nraw_days = 3\n\
             busy_timeout = 9\n[log]\nlevel = \"debug\"\nformat = \"json\"\n",
        );
        let stays = keep_what_stays(&old, &mut new);
        assert_eq!(stays, ["smtp.listen", "store.path", "store.busy_timeout", "log.level", "log.format"]);
        assert_eq!((&new.listeners, &new.store.path, &new.log), (&old.listeners, &old.store.path, &old.log));
        assert_eq!((new.smtp.max_connections, new.store.raw_days), (7, 3), "the rest is new");
    }

    #[test]
    fn sockets_stay_as_they_are_and_so_does_whether_there_is_tls() {
        let lmtp = "[[listener]]\naddress = \"unix:/run/d/l.sock\"\nprotocol = \"lmtp\"\n";
        let (old, with_tls) = (parse(lmtp), "[tls]\ncertificate = \"c\"\nkey = \"k\"\n");
        let mut new = parse(&lmtp.replace("l.sock\"", "l.sock\"\nmode = \"0600\""));
        assert_eq!(keep_what_stays(&old, &mut new), ["[[listener]]"]);
        assert_eq!(new.listeners, old.listeners);
        let mut new = parse(&format!("{with_tls}{lmtp}"));
        assert_eq!(keep_what_stays(&old, &mut new), ["tls.certificate"]);
        assert_eq!(new.tls, None);
        let old = parse(with_tls);
        assert_eq!(keep_what_stays(&old, &mut parse("")), ["tls.certificate"]);
        let mut other = parse(&with_tls.replace("\"c\"", "\"d\""));
        assert_eq!(keep_what_stays(&old, &mut other), [""; 0], "another file is read");
        assert_ne!(other.tls, old.tls);
    }
}
