//! Certificate and key, from their files to what a handshake needs.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{Error, InconsistentKeys, ServerConfig};
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

/// Largest file of certificates or with a key, in octets: many times what a chain takes.
const MAX_FILE: u64 = 1024 * 1024;

/// The oldest version of TLS that is spoken. RFC 8996 ended 1.0 and 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// Where the certificate comes from and what is spoken with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate chain in PEM (RFC 7468), the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
}

/// Why a certificate and its key cannot be used. No secret is repeated in it.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say it; path is the file, cause what the system or the library says"
)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Read { path: PathBuf, cause: io::Error },
    /// A directory, a pipe or the like, or larger than any such file.
    #[error("{0} is no file with certificates or a key")]
    NoFile(PathBuf),
    /// Others could read or change the key.
    #[error(
        "the mode of {path} is {mode:04o}, so that others may read or change the key; `chmod 640` makes it 0640"
    )]
    Mode { path: PathBuf, mode: u32 },
    /// The text is no PEM.
    #[error("{path} cannot be read as PEM: {cause}")]
    Pem { path: PathBuf, cause: String },
    /// No certificate is in the file.
    #[error("there is no certificate (BEGIN CERTIFICATE) in {0}")]
    NoCertificate(PathBuf),
    /// What is in the file is no certificate.
    #[error("a certificate in {path} cannot be read: {cause}")]
    BadCertificate { path: PathBuf, cause: String },
    /// No key is in the file.
    #[error("there is no private key (BEGIN PRIVATE KEY, not encrypted) in {0}")]
    NoKey(PathBuf),
    /// The key cannot be used.
    #[error("the key in {path} cannot be used: {cause}")]
    BadKey { path: PathBuf, cause: Error },
    /// The key belongs to another certificate.
    #[error("the key in {key} does not fit the first certificate in {certificate}")]
    Mismatch { certificate: PathBuf, key: PathBuf },
}

impl TlsError {
    /// The configuration key of what has to be mended.
    #[must_use]
    pub fn key(&self, settings: &TlsSettings) -> &'static str {
        let about_key = match self {
            Self::Read { path, .. } | Self::Pem { path, .. } | Self::NoFile(path) => *path == settings.key,
            Self::Mode { .. } | Self::NoKey(_) | Self::BadKey { .. } | Self::Mismatch { .. } => true,
            Self::NoCertificate(_) | Self::BadCertificate { .. } => false,
        };
        if about_key { "tls.key" } else { "tls.certificate" }
    }
}

/// What a file looks like from outside: its number, length and time; `None` when it is not there.
pub(super) type Stamp = Option<(u64, u64, i64, i64)>;

/// The stamps of both files.
pub(super) fn stamps(settings: &TlsSettings) -> [Stamp; 2] {
    [&settings.certificate, &settings.key].map(|path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    })
}

/// A certificate with its key, ready for handshakes.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Where it came from.
    pub(super) settings: TlsSettings,
    /// What a handshake needs.
    pub(super) config: Arc<ServerConfig>,
    /// The files as they were before they were read.
    pub(super) stamps: [Stamp; 2],
    /// SHA-256 over both files, so that the same ones are known again.
    digest: [u8; 32],
    not_before: Timestamp,
    /// When the server's own certificate runs out.
    pub(super) not_after: Timestamp,
}

impl Loaded {
    /// Reads both files and puts them together.
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let path = &settings.certificate;
        let stamps = stamps(settings);
        let certificate = read(path, |_| true)?;
        // Group may read: the usual way to let a service use a key that root renews.
        let key = read(&settings.key, |mode| mode & 0o037 == 0)?;
        let mut digest = Sha256::new();
        for part in [&certificate, &key] {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(&part[..]);
        }
        let chain = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|cause| TlsError::Pem { path: path.clone(), cause: cause.to_string() })?;
        let (not_before, not_after) = validity(chain.first(), path)?;
        let config = server_config(settings, chain, private_key(&settings.key, &key)?)?;
        Ok(Self {
            settings: settings.clone(),
            config: Arc::new(config),
            stamps,
            digest: digest.finalize().into(),
            not_before,
            not_after,
        })
    }

    /// Whether it is the same certificate and key, used in the same way.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.settings.min_version == other.settings.min_version
    }

    /// What is wrong with using it now.
    pub(super) fn untimely(&self, now: Timestamp) -> Option<&'static str> {
        if now > self.not_after {
            Some("the certificate has expired")
        } else if now < self.not_before {
            Some("the certificate is not valid yet")
        } else {
            None
        }
    }
}

/// A whole file of bounded size, wiped from memory after use.
fn read(path: &Path, mode_is_fine: impl Fn(u32) -> bool) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |cause| TlsError::Read { path: path.to_owned(), cause };
    // Asked before it is opened, since opening a pipe waits; and again of the open file, which is the one that is read.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(TlsError::NoFile(path.to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(TlsError::NoFile(path.to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if !mode_is_fine(mode) {
        return Err(TlsError::Mode { path: path.to_owned(), mode });
    }
    // All the room at once: a vector that grows leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    file.take(MAX_FILE).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

/// From when until when the server's own certificate is valid (RFC 5280 §4.1.2.5).
fn validity(
    certificate: Option<&CertificateDer<'_>>,
    path: &Path,
) -> Result<(Timestamp, Timestamp), TlsError> {
    let certificate = certificate.ok_or_else(|| TlsError::NoCertificate(path.to_owned()))?;
    let (_, parsed) = parse_x509_certificate(certificate)
        .map_err(|cause| TlsError::BadCertificate { path: path.to_owned(), cause: cause.to_string() })?;
    let validity = parsed.validity();
    // RFC 5280 §4.1.2.5: the year 9999 means that there is no end
    let end = Timestamp::from_second(validity.not_after.timestamp()).unwrap_or(Timestamp::MAX);
    Ok((Timestamp::from_second(validity.not_before.timestamp()).unwrap_or(Timestamp::MIN), end))
}

fn private_key(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    match PrivateKeyDer::pem_slice_iter(text).next() {
        Some(Ok(key)) => Ok(key),
        Some(Err(cause)) => Err(TlsError::Pem { path: path.to_owned(), cause: cause.to_string() }),
        None => Err(TlsError::NoKey(path.to_owned())),
    }
}

fn server_config(
    settings: &TlsSettings,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let versions = match settings.min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12][..],
        TlsVersion::V1_3 => &[&TLS13],
    };
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|cause| match cause {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { certificate: settings.certificate.clone(), key: settings.key.clone() }
            }
            Error::InvalidCertificate(cause) => TlsError::BadCertificate {
                path: settings.certificate.clone(),
                cause: Error::InvalidCertificate(cause).to_string(),
            },
            cause => TlsError::BadKey { path: settings.key.clone(), cause },
        })
}
