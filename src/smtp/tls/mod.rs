//! TLS for SMTP (RFC 3207): the handshake, and a certificate that can be renewed while connections go on.

mod load;
mod stream;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::rustls::{ProtocolVersion, ServerConnection};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use load::{Loaded, stamps};
pub use load::{TlsError, TlsSettings, TlsVersion};
pub(super) use stream::MaybeTls;

use super::TlsInfo;

/// How often the files of a certificate are looked at, in the daemon.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Longest time for a handshake, whatever `idle_timeout` is: it is a few packets without a person at the other end.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a reload that did not fail did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// New handshakes take the new certificate; open connections stay as they are.
    Changed,
    /// The files hold what is in use already.
    Same,
}

/// A certificate with its key, and the handshakes that use it. The certificate can be exchanged at any moment.
#[derive(Debug)]
pub struct TlsAcceptor {
    current: ArcSwap<Loaded>,
    /// Held while the certificate is exchanged, so that two reloads do not cross.
    reloading: Mutex<()>,
}

impl TlsAcceptor {
    /// Reads certificate and key. A certificate out of its time is used all the same, with a warning in the log: MTAs
    /// mostly do not look, and mail in the clear would be no better (RFC 7435).
    ///
    /// # Errors
    /// [`TlsError`], when a file cannot be used or the two do not fit.
    pub fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let loaded = Loaded::read(settings)?;
        announce("TLS is offered", &loaded);
        Ok(Self { current: ArcSwap::from_pointee(loaded), reloading: Mutex::new(()) })
    }

    /// Says whether certificate and key can be used, and uses nothing.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn check(settings: &TlsSettings) -> Result<(), TlsError> {
        Loaded::read(settings).map(|_| ())
    }

    /// Reads the files again. What cannot be used changes nothing; the log says what happened.
    ///
    /// # Errors
    /// [`TlsError`]: the certificate that was in use stays in use.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        let settings = self.current.load().settings.clone();
        self.reload_with(&settings)
    }

    /// The same from other files or with another version: for a configuration that was read again.
    ///
    /// # Errors
    /// As [`Self::reload`].
    pub fn reload_with(&self, settings: &TlsSettings) -> Result<Reloaded, TlsError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        match Loaded::read(settings) {
            Ok(new) => {
                let same = new.is_same(&self.current.load());
                if same && new.settings == self.current.load().settings {
                    debug!("the certificate is the one in use");
                    return Ok(Reloaded::Same);
                }
                announce("the certificate was read again", &new);
                self.current.store(Arc::new(new));
                Ok(if same { Reloaded::Same } else { Reloaded::Changed })
            }
            Err(cause) => {
                error!(error = %cause, "the new certificate is not used; the one in use stays");
                Err(cause)
            }
        }
    }

    /// Looks at the files every so often until `shutdown`, and reads them again when they have changed and then
    /// stayed as they are for one look: certificate and key are renewed one after the other. Files that cannot be used
    /// are said once, and tried again when they change the next time.
    pub async fn watch(self: Arc<Self>, every: Duration, shutdown: CancellationToken) {
        let mut looks = interval(every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = self.current.load().stamps;
        let mut last = known;
        let mut warned = self.current.load().untimely(Timestamp::now()).is_some();
        while !shutdown.is_cancelled() {
            tokio::select! {
                _ = looks.tick() => {}
                () = shutdown.cancelled() => return,
            }
            let now = stamps(&self.current.load().settings);
            if now != known && now == last {
                known = now;
                let this = Arc::clone(&self);
                // What it says is in the log. A reader that panics must not end the watch.
                let _ = tokio::task::spawn_blocking(move || this.reload().map(|_| ())).await;
                warned = false;
            }
            last = now;
            let current = self.current.load();
            if let Some(what) = current.untimely(Timestamp::now()).filter(|_| !warned) {
                warned = true;
                warn!(file = %current.settings.certificate.display(), not_after = %current.not_after, "{what}");
            }
        }
    }

    /// Runs the handshake of one connection, at most for `idle_timeout` or a minute. Where it fails the stream
    /// comes back, if there still is one, with the alert sent.
    pub(super) async fn accept<T>(
        &self,
        stream: T,
        idle_timeout: Duration,
    ) -> Result<(TlsStream<T>, TlsInfo), (io::Error, Option<T>)>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let limit = idle_timeout.min(HANDSHAKE_TIMEOUT);
        let config = Arc::clone(&self.current.load().config);
        let accepting = tokio_rustls::TlsAcceptor::from(config).accept(stream).into_fallible();
        match timeout(limit, accepting).await {
            Ok(Ok(stream)) => {
                let info = info_of(stream.get_ref().1);
                Ok((stream, info))
            }
            Ok(Err((cause, stream))) => Err((cause, Some(stream))),
            Err(_) => {
                let what = format!("the client did not finish it within {} s", limit.as_secs_f32());
                Err((io::Error::new(io::ErrorKind::TimedOut, what), None))
            }
        }
    }
}

fn announce(what: &'static str, loaded: &Loaded) {
    info!(file = %loaded.settings.certificate.display(), not_after = %loaded.not_after, "{what}");
    if let Some(what) = loaded.untimely(Timestamp::now()) {
        warn!(file = %loaded.settings.certificate.display(), not_after = %loaded.not_after, "{what}");
    }
}

/// What was agreed on, in the names of IANA's registry.
fn info_of(connection: &ServerConnection) -> TlsInfo {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    };
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    // The library writes TLS13_… for what RFC 8446 §B.4 names TLS_….
    let cipher_suite = suite.unwrap_or("unknown").replacen("TLS13_", "TLS_", 1);
    TlsInfo { version, cipher_suite }
}

#[cfg(test)]
mod tests;
