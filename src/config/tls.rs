//! `[tls]`: the certificate for STARTTLS.

use std::path::PathBuf;

use super::reader::Reader;
use crate::smtp::tls::{TlsAcceptor, TlsSettings, TlsVersion};

/// The certificate and its key, both of them readable and fitting; `None` where neither is set.
pub(super) fn tls(reader: &mut Reader) -> Option<TlsSettings> {
    let certificate = reader.text("tls.certificate").filter(|(_, path)| !path.is_empty());
    let key = reader.text("tls.key").filter(|(_, path)| !path.is_empty());
    let versions = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
    let min_version = reader.choice("tls.min_version", TlsVersion::default(), &versions);
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return None,
        (Some((at, _)), None) => {
            reader.wrong(&at, "a certificate needs its key: set tls.key, too");
            return None;
        }
        (None, Some((at, _))) => {
            reader.wrong(&at, "a key needs its certificate: set tls.certificate, too");
            return None;
        }
    };
    let settings =
        TlsSettings { certificate: PathBuf::from(&certificate.1), key: PathBuf::from(&key.1), min_version };
    if let Err(error) = TlsAcceptor::check(&settings) {
        let at = if error.is_about_key(&settings) { &key.0 } else { &certificate.0 };
        reader.wrong(at, error.to_string());
    }
    Some(settings)
}
