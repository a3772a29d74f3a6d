//! A certificate that is renewed, and one that is renewed badly.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dsnd::smtp::tls::{Reloaded, TlsError};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tracing_subscriber::fmt::MakeWriter;

use crate::common::{Client, put, wait_for};
use crate::service::{ANY, Service};

/// The certificate that a new handshake gets.
fn shown(service: &Service) -> CertificateDer<'static> {
    service.secure(ANY).1.certificate
}

#[test]
fn new_handshakes_take_the_new_certificate_and_open_connections_stay() {
    let service = Service::start();
    let (mut open, agreed) = service.secure(ANY);
    assert_eq!(agreed.certificate, service.first.certificate);
    assert_eq!(service.tls.reload().unwrap(), Reloaded::Same);

    let second = service.authority.issue();
    second.write(service.folder.path());
    assert_eq!(service.tls.reload().unwrap(), Reloaded::Changed);
    assert_eq!(shown(&service), second.certificate);
    assert_eq!(open.command("EHLO client.example").unwrap().code, 250);
    assert_eq!(open.send(b"x\r\n").unwrap().code, 250);
    // Neither does a client that resumes its session get the old one.
    let config = service.config(ANY);
    for _ in 0..2 {
        let (mut client, agreed) = service.plain().starttls(&config).unwrap();
        assert_eq!(client.command("NOOP").unwrap().code, 250);
        assert_eq!(agreed.certificate, second.certificate);
    }
}

#[test]
fn what_cannot_be_used_keeps_the_certificate_that_is_in_use() {
    let service = Service::start();
    let folder = service.folder.path();
    let second = service.authority.issue();
    let refused = |what: &str| {
        let error = service.tls.reload().expect_err(what);
        assert_eq!(shown(&service), service.first.certificate, "{what}");
        error
    };
    put(folder, "cert.pem", &second.chain, 0o644);
    assert!(matches!(refused("another certificate's key"), TlsError::Mismatch { .. }));
    put(folder, "cert.pem", "", 0o644);
    assert!(matches!(refused("an empty file"), TlsError::NoCertificate(_)));
    put(folder, "cert.pem", &second.chain[..200], 0o644);
    assert!(matches!(refused("half a file"), TlsError::Pem { .. } | TlsError::NoCertificate(_)));
    std::fs::remove_file(folder.join("cert.pem")).unwrap();
    assert!(matches!(refused("no file"), TlsError::Read { .. }));
    put(folder, "cert.pem", &second.chain, 0o644);
    put(folder, "key.pem", &second.key, 0o644);
    assert!(matches!(refused("a key for everybody to read"), TlsError::Mode { mode: 0o644, .. }));
    put(folder, "key.pem", &second.key, 0o640);
    assert_eq!(service.tls.reload().unwrap(), Reloaded::Changed);
    assert_eq!(shown(&service), second.certificate);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// How many lines hold all of the words.
    fn count(&self, words: &[&str]) -> usize {
        let log = self.0.lock().unwrap();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .count()
    }
}

#[test]
fn changed_files_are_noticed_and_a_pair_that_does_not_fit_is_said_once() {
    let log = Log::default();
    // For the whole process: the lines of this test are those about its folder.
    tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).init();
    let service = Service::start();
    let folder = service.folder.path();
    let name = folder.to_str().unwrap();
    let watch = Arc::clone(&service.tls).watch(Duration::from_millis(20), service.shutdown.clone());
    let watch = service.runtime.spawn(watch);
    let refused =
        || log.count(&["ERROR", "the one in use stays", "does not fit the first certificate", name]);
    let second = service.authority.issue();
    put(folder, "cert.pem", &second.chain, 0o644);
    wait_for("the refusal", || (refused() == 1).then_some(()));
    assert_eq!(shown(&service), service.first.certificate);
    put(folder, "key.pem", &second.key, 0o600);
    wait_for("the new certificate", || (shown(&service) == second.certificate).then_some(()));
    let third = service.authority.issue();
    third.write(folder);
    wait_for("the third", || (shown(&service) == third.certificate).then_some(()));
    service.shutdown.cancel();
    service.runtime.block_on(watch).unwrap();
    assert_eq!(refused(), 1, "said once");
    assert_eq!(log.count(&["ERROR", name]), 1);
}

#[test]
fn a_certificate_is_swapped_under_load_and_no_connection_is_lost() {
    let service = Service::start();
    let (done, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let config = service.config(ANY);
    std::thread::scope(|scope| {
        let load = || {
            // One connection that stays, and new ones all the time.
            let (mut stays, _) = service.plain().starttls(&config).unwrap();
            stays.command("EHLO client.example").unwrap();
            while !done.load(Ordering::SeqCst) {
                let mut client = Client::connect(service.address).unwrap().starttls(&config).unwrap().0;
                client.command("EHLO client.example").unwrap();
                for client in [&mut client, &mut stays] {
                    let number = sent.fetch_add(1, Ordering::SeqCst);
                    let reply = client.send(format!("Subject: {number}\r\n\r\n").as_bytes()).unwrap();
                    assert_eq!(reply.code, 250, "{reply:?}");
                }
            }
        };
        let loads = [scope.spawn(load), scope.spawn(load), scope.spawn(load)];
        for round in 1..=10 {
            let (before, next) = (sent.load(Ordering::SeqCst), service.authority.issue());
            next.write(service.folder.path());
            if round % 3 == 0 {
                put(service.folder.path(), "key.pem", &service.first.key, 0o600);
                assert!(service.tls.reload().is_err());
            } else {
                assert_eq!(service.tls.reload().unwrap(), Reloaded::Changed);
                assert_eq!(shown(&service), next.certificate);
            }
            wait_for("more mail", || (sent.load(Ordering::SeqCst) > before + 6).then_some(()));
        }
        done.store(true, Ordering::SeqCst);
        for load in loads {
            load.join().expect("no connection failed");
        }
    });
    assert_eq!(service.received.all().len(), sent.load(Ordering::SeqCst));
}
