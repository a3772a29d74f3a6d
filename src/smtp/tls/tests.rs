use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

fn settings(folder: &std::path::Path) -> TlsSettings {
    let made = rcgen::generate_simple_self_signed(vec!["mx.example".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, private).unwrap();
    TlsSettings { certificate, key, min_version: TlsVersion::V1_2 }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_takes_a_minute_at_most_or_what_a_client_may_be_silent() {
    let folder = tempfile::tempdir().unwrap();
    let acceptor = TlsAcceptor::load(&settings(folder.path())).unwrap();
    for (idle_timeout, limit) in [(300, 60), (5, 5)] {
        let (server, mut client) = duplex(1024);
        let started = tokio::time::Instant::now();
        // The beginning of a record: what drips does not extend the time.
        client.write_all(b"\x16\x03\x01").await.unwrap();
        let (error, stream) = acceptor.accept(server, Duration::from_secs(idle_timeout)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the client did not finish it within {limit} s"));
        assert!(stream.is_none(), "and the stream is closed");
        assert_eq!(started.elapsed().as_secs(), limit);
    }
}

#[tokio::test]
async fn whoever_does_not_speak_tls_gets_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let acceptor = TlsAcceptor::load(&settings(folder.path())).unwrap();
    let (server, mut client) = duplex(1024);
    client.write_all(b"EHLO client.example\r\n").await.unwrap();
    let (error, stream) = acceptor.accept(server, Duration::from_secs(60)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(stream.is_some());
    drop(stream);
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    assert_eq!(said.first(), Some(&21), "an alert"); // RFC 8446 §5.1
}

#[test]
fn a_problem_is_named_at_the_file_that_has_it() {
    let settings = TlsSettings {
        certificate: PathBuf::from("/cert"),
        key: PathBuf::from("/key"),
        min_version: TlsVersion::V1_3,
    };
    let read = |path: &str| TlsError::Read { path: PathBuf::from(path), cause: io::Error::other("no") };
    let key = |error: TlsError| error.key(&settings);
    assert_eq!((key(read("/key")), key(read("/cert"))), ("tls.key", "tls.certificate"));
    assert_eq!(key(TlsError::NoCertificate(settings.certificate.clone())), "tls.certificate");
    assert_eq!(key(TlsError::NoKey(settings.key.clone())), "tls.key");
}

#[test]
fn another_version_is_no_new_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let acceptor = TlsAcceptor::load(&settings).unwrap();
    assert_eq!(acceptor.reload().unwrap(), Reloaded::Same);
    let newer = TlsSettings { min_version: TlsVersion::V1_3, ..settings };
    assert_eq!(acceptor.reload_with(&newer).unwrap(), Reloaded::Changed);
    assert_eq!(acceptor.current.load().settings, newer);
}
