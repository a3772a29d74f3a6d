//! Connections over a stream in memory, with a real store.

use tempfile::TempDir;
use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::lookup::OnError;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{ANY_STREAM, ManualEntry, Settings as StoreSettings};

struct Service {
    server: Arc<Server<SqliteStore>>,
    shutdown: CancellationToken,
    directory: TempDir,
}

impl Service {
    /// A service whose list has `dead@example.com`.
    async fn new(settings: Settings) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("dsnd.db");
        let wait = Duration::from_millis(50);
        let store = SqliteStore::open(&path, Access::Serve, StoreSettings::default(), wait).await.unwrap();
        let entry = ManualEntry {
            address: "dead@example.com".to_owned(),
            address_key: "dead@example.com".to_owned(),
            stream: ANY_STREAM,
            origin: crate::store::AuditOrigin::Cli,
            actor: None,
            now: "2026-11-21T10:00:00Z".parse().unwrap(),
            expires_at: None,
            note: None,
        };
        store.add(entry).await.unwrap();
        let shutdown = CancellationToken::new();
        let server = Arc::new(Server::new(Arc::new(store), settings, shutdown.clone()));
        Self { server, shutdown, directory }
    }

    /// A connection that is served; how it ended comes back when it has.
    fn connect(&self) -> (DuplexStream, tokio::task::JoinHandle<io::Result<Ended>>) {
        let (client, stream) = duplex(64 * 1024);
        let server = Arc::clone(&self.server);
        (client, tokio::spawn(async move { server.connection(stream).await }))
    }

    /// Sends octets, ends its side, and reads everything.
    async fn asked(&self, octets: &[u8]) -> (String, Ended) {
        let (mut client, ended) = self.connect();
        client.write_all(octets).await.unwrap();
        client.shutdown().await.unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        (said, ended.await.unwrap().unwrap())
    }
}

fn request(question: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    encode(question.as_bytes(), &mut wire);
    wire
}

const DEAD: &str = "57:OK 550 5.7.1 suppressed by dsnd: manual, since 2026-11-21,";

#[tokio::test]
async fn requests_are_answered_in_their_order_however_they_come() {
    let service = Service::new(Settings::default()).await;
    let wire = [
        request("suppressed Dead@Example.com"),
        request("suppressed alive@example.com"),
        request("suppressed example.com"),
        request("suppressed/news dead@example.com"),
        request("suppressed/all dead@example.com"),
    ]
    .concat();
    let expected = format!("{DEAD}9:NOTFOUND ,9:NOTFOUND ,36:PERM no such stream: suppressed/news,{DEAD}");
    let (said, ended) = service.asked(&wire).await;
    assert_eq!(said, expected);
    assert!(matches!(ended, Ended::ClientLeft), "{ended:?}");

    // Octet by octet, and answered before more is sent.
    let (mut client, _) = service.connect();
    for octet in request("suppressed dead@example.com") {
        client.write_all(&[octet]).await.unwrap();
    }
    let mut said = vec![0; DEAD.len()];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(String::from_utf8(said).unwrap(), DEAD);
}

#[tokio::test]
async fn thousands_of_requests_without_waiting_are_all_answered() {
    let service = Service::new(Settings::default()).await;
    let (client, ended) = service.connect();
    let (mut reader, mut writer) = tokio::io::split(client);
    let wire = request("suppressed dead@example.com").repeat(3_000);
    let write = async {
        writer.write_all(&wire).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut said = String::new();
    let ((), read) = tokio::join!(write, reader.read_to_string(&mut said));
    read.unwrap();
    assert_eq!(said, DEAD.repeat(3_000));
    assert!(matches!(ended.await.unwrap().unwrap(), Ended::ClientLeft));
}

#[tokio::test]
async fn what_is_no_request_ends_the_connection_after_the_answers_to_what_was_one() {
    let service = Service::new(Settings::default()).await;
    for garbage in
        [&b"EHLO mx.example\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", b"4097:", b"3:abcd", b"\0\xff\xfe"]
    {
        let wire = [&request("suppressed dead@example.com")[..], garbage].concat();
        let (said, ended) = service.asked(&wire).await;
        assert_eq!(said, DEAD, "{garbage:?}");
        assert!(matches!(ended, Ended::Malformed(_)), "{garbage:?}: {ended:?}");
    }
    let (said, ended) = service.asked(b"30:suppressed de").await;
    assert_eq!(said, "");
    assert!(matches!(ended, Ended::ClientLeft), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn who_drips_or_says_nothing_is_cut_off_and_a_shutdown_ends_who_waits() {
    let service = Service::new(Settings::default()).await;
    let (mut client, ended) = service.connect();
    let started = time::Instant::now();
    for octet in b"4000:suppressed dead@example.com".iter().cycle() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if client.write_all(&[*octet]).await.is_err() {
            break;
        }
    }
    assert!(matches!(ended.await.unwrap().unwrap(), Ended::Idle));
    assert_eq!(started.elapsed().as_secs(), 121, "120 seconds for a request, and one to notice");

    let (_client, ended) = service.connect();
    tokio::task::yield_now().await;
    service.shutdown.cancel();
    assert!(matches!(ended.await.unwrap().unwrap(), Ended::ShutDown));
}

#[tokio::test]
async fn a_store_that_cannot_tell_is_an_error_unless_the_operator_lets_through() {
    let service = Service::new(Settings::default()).await;
    let path = service.directory.path().join("dsnd.db");
    let mut connection =
        sqlx::ConnectOptions::connect(&sqlx::sqlite::SqliteConnectOptions::new().filename(path))
            .await
            .unwrap();
    sqlx::Executor::execute(&mut connection, "ALTER TABLE suppressions RENAME TO elsewhere").await.unwrap();
    let wire = request("suppressed dead@example.com");
    let (said, _) = service.asked(&wire).await;
    assert_eq!(said, "45:TEMP the suppression list cannot be asked now,");
    service.server.replace(Settings { on_error: OnError::Allow, ..Settings::default() });
    let (said, _) = service.asked(&wire).await;
    assert_eq!(said, "9:NOTFOUND ,");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_their_places_come_back() {
    let service = Service::new(Settings { max_connections: 1, ..Settings::default() }).await;
    let mut connections = JoinSet::new();
    let (mut first, stream) = duplex(1_024);
    service.server.admit(&mut connections, stream, &"first");
    let (mut second, stream) = duplex(1_024);
    service.server.admit(&mut connections, stream, &"second");
    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0, "closed");
    first.shutdown().await.unwrap();
    connections.join_next().await.unwrap().unwrap();
    let (mut third, stream) = duplex(1_024);
    service.server.admit(&mut connections, stream, &"third");
    third.write_all(&request("suppressed dead@example.com")).await.unwrap();
    let mut said = vec![0; DEAD.len()];
    third.read_exact(&mut said).await.unwrap();
    assert_eq!(String::from_utf8(said).unwrap(), DEAD);
}
