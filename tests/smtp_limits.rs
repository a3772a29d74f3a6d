//! What the listener does about clients that want too much, and about a store that falls behind.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dsnd::address::ForwardPath;
use dsnd::smtp::listener::Server;
use dsnd::smtp::settings::{Limits, ListenerSettings, Settings};
use dsnd::smtp::{Delivery, Envelope, Handle, RecipientVerdict, Sink};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Only reached where something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes everything, while it is ready.
struct Store {
    ready: AtomicBool,
    verdict: RecipientVerdict,
}

impl Store {
    fn new(verdict: RecipientVerdict) -> Arc<Self> {
        Arc::new(Self { ready: AtomicBool::new(true), verdict })
    }
}

impl Sink for Store {
    fn check_recipient(&self, _: &ForwardPath) -> RecipientVerdict {
        self.verdict
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    async fn deliver(&self, _: Envelope, _: Vec<u8>) -> Delivery {
        Delivery::Committed { handle: Handle::of(&[0; 32]), duplicate: false }
    }
}

struct Service {
    address: SocketAddr,
    server: Arc<Server<Store>>,
}

impl Service {
    async fn start(sink: Arc<Store>, settings: Settings) -> Self {
        Self::on(ListenerSettings::default(), sink, settings).await
    }

    /// One that takes connections from a proxy on loopback.
    async fn behind_a_proxy(sink: Arc<Store>, settings: Settings) -> Self {
        let proxy_from = vec!["127.0.0.0/8".parse().unwrap()];
        Self::on(ListenerSettings { proxy_from, ..ListenerSettings::default() }, sink, settings).await
    }

    async fn on(listens: ListenerSettings, sink: Arc<Store>, settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Server::new(sink, settings, CancellationToken::new()));
        let serving = Arc::clone(&server);
        tokio::spawn(async move { serving.serve(listener, listens).await });
        Self { address, server }
    }

    /// A connection from `127.0.0.last`, and the first line it is told.
    async fn connect(&self, last: u8) -> (Client, String) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))).unwrap();
        let mut client = Client(BufStream::new(socket.connect(self.address).await.unwrap()));
        let line = client.line().await;
        (client, line)
    }

    /// Connects until it is greeted: a place is free a moment after the client that had it saw the end.
    async fn greeted(&self, last: u8) -> Client {
        let again = async {
            loop {
                if let (client, line) = self.connect(last).await
                    && line.starts_with("220 ")
                {
                    return client;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, again).await.expect("a greeting")
    }
}

impl Service {
    /// One whose message comes in: it gives way to nobody for a minute.
    async fn busy(&self, last: u8) -> Client {
        let mut client = self.greeted(last).await;
        client.begin_message().await;
        client
    }
}

struct Client(BufStream<TcpStream>);

impl Client {
    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("the server answers").unwrap();
        line
    }

    async fn begin_message(&mut self) {
        for (command, reply) in [
            ("HELO a", "250 "),
            ("MAIL FROM:<>", "250 "),
            ("RCPT TO:<a@b.example>", "250 "),
            ("DATA", "354 "),
        ] {
            let said = self.say(command).await;
            assert!(said.starts_with(reply), "{command}: {said}");
        }
    }

    async fn say(&mut self, text: &str) -> String {
        self.0.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
        self.line().await
    }
}

fn settings(limits: Limits) -> Settings {
    Settings { limits: Limits { exempt: Vec::new(), ..limits }, ..Settings::default() }
}

#[tokio::test]
async fn one_address_gets_its_connections_and_another_is_not_asked_to_pay_for_them() {
    let limits = Limits { connections_per_address: 2, connections_per_minute: 0, ..Limits::default() };
    let service = Service::start(Store::new(RecipientVerdict::Accept), settings(limits)).await;
    let (first, greeting) = service.connect(2).await;
    assert!(greeting.starts_with("220 "), "{greeting}");
    let _second = service.greeted(2).await;
    let (mut third, refused) = service.connect(2).await;
    assert!(refused.starts_with("421 4.7.0 Too many connections from your address"), "{refused}");
    assert_eq!(third.line().await, "", "and closed");
    let _other = service.greeted(3).await;
    drop(first);
    let _again = service.greeted(2).await;
}

#[tokio::test]
async fn one_address_gets_so_many_connections_a_minute() {
    let limits = Limits { connections_per_minute: 3, ..Limits::default() };
    let service = Service::start(Store::new(RecipientVerdict::Accept), settings(limits)).await;
    for _ in 0..3 {
        drop(service.greeted(2).await);
    }
    let (_, refused) = service.connect(2).await;
    assert!(refused.starts_with("421 4.7.0") && refused.contains("in a minute"), "{refused}");
    let _other = service.greeted(3).await;
}

#[tokio::test]
async fn who_is_refused_takes_no_place_from_the_others() {
    let limits = Limits { connections_per_address: 1, connections_per_minute: 0, ..Limits::default() };
    let settings = Settings { max_connections: 2, ..settings(limits) };
    let service = Service::start(Store::new(RecipientVerdict::Accept), settings).await;
    let mut greedy = Vec::new();
    greedy.push(service.greeted(2).await);
    for _ in 0..20 {
        // These stay open at the client's end.
        greedy.push(service.connect(2).await.0);
    }
    let _honest = service.greeted(3).await;
}

#[tokio::test]
async fn strangers_who_hold_their_connections_open_do_not_shut_out_a_mail_system_of_ones_own() {
    let own = "127.0.0.3".parse::<std::net::IpAddr>().unwrap().into();
    let limits = Limits { connections_per_address: 0, reserved_percent: 50, ..Limits::default() };
    let limits = Limits { exempt: vec![own], ..limits };
    let settings = Settings { max_connections: 4, limits, ..Settings::default() };
    let service = Service::start(Store::new(RecipientVerdict::Accept), settings.clone()).await;
    let mut open = vec![service.busy(2).await, service.busy(4).await];
    let (mut third, refused) = service.connect(5).await;
    assert!(refused.starts_with("421 4.3.2 Too many connections"), "{refused}");
    assert_eq!(third.line().await, "", "and closed");
    open.extend([service.greeted(3).await, service.greeted(3).await]);
    let (_, refused) = service.connect(3).await;
    assert!(refused.starts_with("421 4.3.2 "), "there are four in all: {refused}");
    open.remove(0); // a stranger's
    open.push(service.greeted(6).await);

    // Behind a proxy the client that its header names is asked about.
    let service = Service::behind_a_proxy(Store::new(RecipientVerdict::Accept), settings).await;
    let through_proxy = async |client: &str| {
        let mut stream = Client(BufStream::new(TcpStream::connect(service.address).await.unwrap()));
        let line = stream.say(&format!("PROXY TCP4 {client} 192.0.2.9 1000 25")).await;
        (stream, line)
    };
    let mut open = Vec::new();
    for (client, greeted) in [
        ("192.0.2.1", true),
        ("192.0.2.2", true),
        ("192.0.2.3", false),
        ("127.0.0.3", true),
        ("192.0.2.3", false),
        ("127.0.0.3", true),
    ] {
        let (mut stream, line) = through_proxy(client).await;
        assert_eq!(line.starts_with("220 "), greeted, "{client}: {line}");
        assert!(greeted || line.starts_with("421 4.3.2 "), "{line}");
        if greeted {
            stream.begin_message().await;
        }
        open.push(stream);
    }
}

#[tokio::test]
async fn silent_connections_give_way_to_new_ones_the_longest_without_a_message_first() {
    let limits = Limits { connections_per_address: 2, reserved_percent: 0, ..Limits::default() };
    let settings = Settings { max_connections: 4, ..settings(limits) };
    let service = Service::start(Store::new(RecipientVerdict::Accept), settings).await;
    let mut brought = service.busy(2).await;
    assert!(brought.say("x\r\n.").await.starts_with("250 2.6.0"));
    let mut began = service.greeted(3).await;
    for command in ["HELO a", "MAIL FROM:<>"] {
        assert!(began.say(command).await.starts_with("250 "));
    }
    let mut receives = service.busy(4).await;
    let mut silent = service.greeted(5).await;
    silent.say("NOOP").await;

    // Each newcomer brings nothing but the last, and gives way to the next.
    let mut newcomers = Vec::new();
    for last in 6..16 {
        newcomers.push(service.connect(last).await);
    }
    let farewell =
        "421 4.4.2 Too long without a message while all connections are taken, closing connection\r\n";
    assert_eq!((silent.line().await.as_str(), silent.line().await.as_str()), (farewell, ""));
    let (mut last, greeting) = newcomers.pop().unwrap();
    assert!(greeting.starts_with("220 "), "{greeting}");
    for (mut gone, greeting) in newcomers {
        assert!(greeting.starts_with("220 "), "{greeting}");
        assert_eq!((gone.line().await.as_str(), gone.line().await.as_str()), (farewell, ""));
    }
    last.begin_message().await;

    // Then one that had a message, then one that has begun a transaction; a message is not interrupted.
    let mut next = service.busy(20).await;
    assert_eq!(brought.line().await, farewell);
    let mut after = service.busy(21).await;
    assert_eq!(began.line().await, farewell);
    let (_, refused) = service.connect(22).await;
    assert!(refused.starts_with("421 4.3.2 "), "{refused}");
    for client in [&mut receives, &mut last, &mut next, &mut after] {
        assert!(client.say("x\r\n.").await.starts_with("250 2.6.0"));
    }
}

#[tokio::test]
async fn whoever_has_too_many_connections_makes_nobody_give_way() {
    let limits = Limits { connections_per_address: 1, reserved_percent: 0, ..Limits::default() };
    let settings = Settings { max_connections: 2, ..settings(limits) };
    let service = Service::start(Store::new(RecipientVerdict::Accept), settings).await;
    let mut there = [service.greeted(2).await, service.greeted(3).await];
    for _ in 0..5 {
        let (_, refused) = service.connect(2).await;
        assert!(refused.starts_with("421 4.7.0 "), "{refused}");
    }
    for client in &mut there {
        assert!(client.say("NOOP").await.starts_with("250 "));
    }
}

#[tokio::test]
async fn loopback_is_exempt_by_default() {
    let limits = Limits {
        connections_per_address: 1,
        connections_per_minute: 1,
        messages_per_minute: 1,
        ..Limits::default()
    };
    let settings = Settings { limits, ..Settings::default() };
    let service = Service::start(Store::new(RecipientVerdict::Accept), settings).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let (mut client, greeting) = service.connect(2).await;
        assert!(greeting.starts_with("220 "), "{greeting}");
        client.say("HELO a").await;
        assert!(client.say("MAIL FROM:<>").await.starts_with("250 "));
        clients.push(client);
    }
}

#[tokio::test]
async fn while_the_sink_falls_behind_new_connections_are_asked_to_come_back() {
    let sink = Store::new(RecipientVerdict::Accept);
    let service = Service::start(Arc::clone(&sink), settings(Limits::default())).await;
    let mut there = service.greeted(2).await;
    sink.ready.store(false, Ordering::SeqCst);
    let (mut late, refused) = service.connect(2).await;
    assert!(refused.starts_with("421 4.3.2 Busy"), "{refused}");
    assert_eq!(late.line().await, "", "and closed");
    assert!(there.say("HELO a").await.starts_with("250 "), "who is there stays");
    assert!(there.say("MAIL FROM:<>").await.starts_with("250 "));
    sink.ready.store(true, Ordering::SeqCst);
    service.greeted(2).await;
}

#[tokio::test]
async fn a_session_ends_with_the_settings_it_began_with() {
    let before = settings(Limits::default());
    let service = Service::start(Store::new(RecipientVerdict::Accept), before.clone()).await;
    let mut old = service.greeted(2).await;
    let after = Settings { max_connections: 2, hostname: "new.example".to_owned(), ..before };
    service.server.replace(Store::new(RecipientVerdict::NotOurs), after);
    let (mut new, greeting) = service.connect(2).await;
    assert_eq!(greeting, "220 new.example ESMTP dsnd\r\n");
    for (client, name, reply) in [(&mut old, "localhost", "250 "), (&mut new, "new.example", "550 5.7.1")] {
        assert_eq!(client.say("HELO a").await, format!("250 {name}\r\n"));
        assert!(client.say("MAIL FROM:<>").await.starts_with("250 "));
        let said = client.say("RCPT TO:<a@b.example>").await;
        assert!(said.starts_with(reply), "{name}: {said}");
    }
    let (_next, greeting) = service.connect(2).await;
    assert!(greeting.starts_with("220 "), "{greeting}");
    assert!(
        old.line().await.starts_with("421 4.4.2 Too long without"),
        "the old ones count by the new limit"
    );
}
