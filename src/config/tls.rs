//! `[tls]`: the certificate for STARTTLS.

use std::path::PathBuf;

use super::reader::Reader;
use crate::smtp::tls::{TlsSettings, TlsVersion};

/// Where the certificate and its key are; `None` where neither is set. The files are not read here: a renewal that
/// went wrong must not keep anybody from asking the list.
pub(super) fn tls(reader: &mut Reader) -> Option<TlsSettings> {
    let certificate = reader.text("tls.certificate").filter(|(_, path)| !path.is_empty());
    let key = reader.text("tls.key").filter(|(_, path)| !path.is_empty());
    let versions = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
    let min_version = reader.choice("tls.min_version", TlsVersion::default(), &versions);
    let (certificate, key) = match (certificate, key) {
        (Some((_, certificate)), Some((_, key))) => (PathBuf::from(certificate), PathBuf::from(key)),
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
    Some(TlsSettings { certificate, key, min_version })
}
