//! What the listener does around the dialogues: limits, faults and the shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dsnd::address::ForwardPath;
use dsnd::smtp::listener::Server;
use dsnd::smtp::settings::{ListenerSettings, Settings};
use dsnd::smtp::{Delivery, Envelope, Handle, RecipientVerdict, Sink};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Only reached where something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Delivers when it is let to; panics for a message that asks for it.
struct Gate {
    open: Semaphore,
    waiting: AtomicUsize,
    delivered: AtomicUsize,
}

impl Gate {
    fn new(places: usize) -> Arc<Self> {
        let (waiting, delivered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { open: Semaphore::new(places), waiting, delivered })
    }

    /// Returns when a delivery has begun.
    async fn somebody_waits(&self) {
        let waiting = async {
            while self.waiting.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("a delivery begins");
    }
}

impl Sink for Gate {
    fn check_recipient(&self, recipient: &ForwardPath) -> RecipientVerdict {
        assert!(!recipient.to_string().starts_with("panic"), "this recipient panics on purpose");
        RecipientVerdict::Accept
    }

    async fn deliver(&self, _: Envelope, message: Vec<u8>) -> Delivery {
        assert!(!message.starts_with(b"panic"), "this message panics on purpose");
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.open.acquire().await.unwrap().forget();
        self.delivered.fetch_add(1, Ordering::SeqCst);
        Delivery::Committed { handle: Handle::of(&[0; 32]), duplicate: false }
    }
}

struct Service {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Service {
    async fn start(sink: Arc<Gate>, settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = Server::new(sink, settings, shutdown.clone());
        let task = tokio::spawn(async move { server.serve(listener, ListenerSettings::default()).await });
        Self { address, shutdown, task }
    }

    async fn connect(&self) -> Client {
        Client(BufStream::new(TcpStream::connect(self.address).await.unwrap()))
    }

    async fn ended(self) {
        timeout(PATIENCE, self.task).await.expect("the service ends").unwrap().unwrap();
    }
}

struct Client(BufStream<TcpStream>);

impl Client {
    /// One line the server says; empty when it has closed.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("the server answers").unwrap();
        line
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn say(&mut self, text: &str) -> String {
        self.send(&format!("{text}\r\n")).await;
        self.line().await
    }

    /// Everything up to the reply to DATA.
    async fn up_to_data(&mut self) {
        assert!(self.line().await.starts_with("220 "));
        for (command, reply) in [
            ("HELO client.example", "250 "),
            ("MAIL FROM:<>", "250 2.1.0"),
            ("RCPT TO:<b@bounces.example>", "250 2.1.5"),
            ("DATA", "354 "),
        ] {
            let said = self.say(command).await;
            assert!(said.starts_with(reply), "{command}: {said}");
        }
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so_until_one_ends() {
    let settings = Settings { max_connections: 2, ..Settings::default() };
    let service = Service::start(Gate::new(0), settings).await;
    let (mut first, mut second) = (service.connect().await, service.connect().await);
    assert!(first.line().await.starts_with("220 "));
    assert!(second.line().await.starts_with("220 "));
    let mut third = service.connect().await;
    assert!(third.line().await.starts_with("421 4.3.2"));
    assert_eq!(third.line().await, "", "and closed");
    assert!(first.say("NOOP").await.starts_with("250"), "the others do not notice");

    assert!(first.say("QUIT").await.starts_with("221"));
    assert_eq!(first.line().await, "");
    drop(first);
    // The place is free when the session's task has ended, a moment after the client saw the end.
    let again = async {
        while !service.connect().await.line().await.starts_with("220 ") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.expect("the place of a connection that ended is free again");
}

#[tokio::test]
async fn several_listeners_share_one_limit() {
    let settings = Settings { max_connections: 1, ..Settings::default() };
    let shutdown = CancellationToken::new();
    let server = Arc::new(Server::new(Gate::new(0), settings, shutdown.clone()));
    let mut addresses = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        let server = Arc::clone(&server);
        tasks.push(tokio::spawn(async move { server.serve(listener, ListenerSettings::default()).await }));
    }
    let mut clients = Vec::new();
    for (address, greeting) in addresses.into_iter().zip(["220 ", "421 4.3.2"]) {
        let mut client = Client(BufStream::new(TcpStream::connect(address).await.unwrap()));
        let said = client.line().await;
        assert!(said.starts_with(greeting), "{said}");
        clients.push(client);
    }
    shutdown.cancel();
    for task in tasks {
        timeout(PATIENCE, task).await.expect("both listeners end").unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_panic_costs_its_own_connection_and_is_never_acknowledged() {
    let service = Service::start(Gate::new(1), Settings::default()).await;
    let mut bystander = service.connect().await;
    assert!(bystander.line().await.starts_with("220 "));

    let mut client = service.connect().await;
    client.up_to_data().await;
    client.send("panic\r\n.\r\n").await;
    assert_eq!(client.line().await, "", "closed without a reply");

    let mut client = service.connect().await;
    client.line().await;
    client.say("HELO a").await;
    client.say("MAIL FROM:<>").await;
    assert_eq!(client.say("RCPT TO:<panic@bounces.example>").await, "", "closed without a reply");

    assert!(bystander.say("NOOP").await.starts_with("250"));
    let mut client = service.connect().await;
    client.up_to_data().await;
    assert!(client.say("fine\r\n.").await.starts_with("250 2.6.0"));
}

#[tokio::test]
async fn a_shutdown_tells_the_idle_and_refuses_new_connections() {
    let service = Service::start(Gate::new(0), Settings::default()).await;
    let (mut quiet, mut busy) = (service.connect().await, service.connect().await);
    quiet.line().await;
    busy.line().await;
    assert!(busy.say("HELO a").await.starts_with("250"));
    assert!(busy.say("MAIL FROM:<>").await.starts_with("250"));
    service.shutdown.cancel();
    for mut client in [quiet, busy] {
        assert!(client.line().await.starts_with("421 4.3.2"));
        assert_eq!(client.line().await, "");
    }
    let address = service.address;
    service.ended().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn messages_under_way_are_finished_before_the_service_ends() {
    let gate = Gate::new(0);
    let service = Service::start(Arc::clone(&gate), Settings::default()).await;
    let (mut receiving, mut storing) = (service.connect().await, service.connect().await);
    receiving.up_to_data().await;
    receiving.send("half of ").await;
    storing.up_to_data().await;
    storing.send("all of it\r\n.\r\n").await;
    gate.somebody_waits().await;

    service.shutdown.cancel();
    receiving.send("it\r\n.\r\n").await;
    gate.open.add_permits(2);
    for mut client in [receiving, storing] {
        assert!(client.line().await.starts_with("250 2.6.0"));
        assert!(client.line().await.starts_with("421 4.3.2"));
        assert_eq!(client.line().await, "");
    }
    service.ended().await;
    assert_eq!(gate.delivered.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_grace_for_a_message_under_way_is_bounded() {
    let gate = Gate::new(0);
    let settings = Settings { shutdown_grace: Duration::from_millis(100), ..Settings::default() };
    let service = Service::start(Arc::clone(&gate), settings).await;
    let (mut receiving, mut storing) = (service.connect().await, service.connect().await);
    receiving.up_to_data().await;
    receiving.send("half of ").await;
    storing.up_to_data().await;
    storing.send("all of it\r\n.\r\n").await;
    gate.somebody_waits().await;
    service.shutdown.cancel();
    service.ended().await;
    for mut client in [receiving, storing] {
        let mut said = Vec::new();
        // Closed or reset, but nothing was acknowledged.
        let _ = timeout(PATIENCE, client.0.read_to_end(&mut said)).await.expect("the connection ends");
        assert!(said.is_empty(), "{}", said.escape_ascii());
    }
    assert_eq!(gate.delivered.load(Ordering::SeqCst), 0);
}

/// A service behind a proxy on loopback, and a client that has sent half of a PROXY header to it.
async fn half_a_header(settings: Settings) -> (Service, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = Server::new(Gate::new(0), settings, shutdown.clone());
    let proxied =
        ListenerSettings { proxy_from: vec!["127.0.0.0/8".parse().unwrap()], ..ListenerSettings::default() };
    let task = tokio::spawn(async move { server.serve(listener, proxied).await });
    let service = Service { address, shutdown, task };
    let mut client = service.connect().await;
    client.send("PROXY TCP4 192.0.2.1").await;
    (service, client)
}

#[tokio::test]
async fn a_proxy_that_does_not_finish_its_header_is_not_awaited_for_ever() {
    let settings = Settings { idle_timeout: Duration::from_millis(200), ..Settings::default() };
    let (_service, mut client) = half_a_header(settings).await;
    assert_eq!(client.line().await, "", "closed without a greeting");
}

#[tokio::test]
async fn a_connection_without_its_header_has_a_place_and_ends_with_the_service() {
    let settings = Settings { max_connections: 1, ..Settings::default() };
    let (service, mut client) = half_a_header(settings).await;
    assert!(service.connect().await.line().await.starts_with("421 4.3.2"), "the place is taken");
    service.shutdown.cancel();
    let started = std::time::Instant::now();
    assert_eq!(client.line().await, "");
    service.ended().await;
    assert!(started.elapsed() < Duration::from_secs(5), "it waited for the header: {:?}", started.elapsed());
}
