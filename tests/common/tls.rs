//! Certificates of the tests' own, and what a client needs to believe them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// Issues certificates that clients of these tests believe.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
    /// The server's own certificate.
    pub(crate) certificate: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, "dsnd tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate, for clients.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this machine, valid for a long time.
    pub(crate) fn issue(&self) -> Pair {
        self.issue_with(|_| ())
    }

    /// The same with a change of its own.
    pub(crate) fn issue_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pair {
            chain: format!("{}{}", certificate.pem(), self.pem()),
            key: key.serialize_pem(),
            certificate: certificate.der().clone(),
        }
    }
}

impl Pair {
    /// Writes `cert.pem` and `key.pem` into a folder, as a renewal does: each as a new file that takes the old one's
    /// place.
    pub(crate) fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        (put(folder, "cert.pem", &self.chain, 0o644), put(folder, "key.pem", &self.key, 0o600))
    }
}

/// Puts a file in the place of what is there, in one step.
pub(crate) fn put(folder: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
    let (new, path) = (folder.join("new"), folder.join(name));
    std::fs::write(&new, content).expect("a file");
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).expect("its mode");
    std::fs::rename(&new, &path).expect("its place");
    path
}

/// What a client needs to speak these versions with servers whose certificate the authority issued.
pub(crate) fn client_config(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
