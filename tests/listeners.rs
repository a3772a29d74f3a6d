//! Listeners of every kind in the real program: Unix sockets, sockets that systemd passes, and proxies in front.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{
    Authority, Client, DSND, Daemon, Database, Home, PATIENCE, client_config, hard_bounce, json_lines, say,
    wait_for,
};
use serde_json::Value;
use tokio_rustls::rustls::version::{TLS12, TLS13};

/// A home whose configuration has these listeners beside a plain one, and the command that serves it.
fn serving(home: &Home, listeners: &str) -> Command {
    let text = format!("[return_path]\ntrust_unsigned = true\n{listeners}");
    let file = home.file("listeners.toml", text.as_bytes());
    home.command(&["serve", "--config", file.to_str().unwrap()])
}

/// The log line about a listener that begins to accept connections, when there is one that fits.
fn accepting(daemon: &Daemon, fits: impl Fn(&Value) -> bool) -> SocketAddr {
    wait_for("the listener", || {
        // The last line may be half written.
        let log = daemon.log();
        let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut lines = entries.filter(|entry| entry["message"] == "accepting SMTP connections");
        lines.find(|entry| fits(entry)).map(|entry| entry["address"].as_str().unwrap().parse().unwrap())
    })
}

fn peers(home: &Home) -> Vec<String> {
    let mut peers: Vec<String> = home
        .json(&["bounces", "list", "--json"])
        .iter()
        .map(|bounce| bounce["peer"].as_str().unwrap().to_owned())
        .collect();
    peers.sort();
    peers
}

#[test]
fn several_listeners_feed_one_list_and_leave_nothing_behind() {
    let home = Home::new();
    let (socket, table) =
        (home.path().join("smtp.sock"), |address: &str| format!("[[listener]]\naddress = \"{address}\"\n"));
    let mut listeners = table(&format!("unix:{}", socket.display())) + "mode = \"0600\"\n";
    let ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if ipv6 {
        listeners += &table("[::1]:0");
    } else {
        say("no IPv6 on this machine: that listener is left out");
    }
    let daemon = Daemon::start(serving(&home, &listeners));
    let metadata = fs::metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);

    let send = |mut client: Client, id: &str| {
        let reply = client.send(&hard_bounce(id, &format!("{id}@example.net"))).unwrap();
        assert!(reply.starts_with("250 2.6.0"), "{id}: {reply:?}");
    };
    send(daemon.connect(), "tcp");
    send(Client::connect_unix(&socket).unwrap(), "unix");
    if ipv6 {
        let address = accepting(&daemon, |entry| entry["address"].as_str().unwrap().starts_with("[::1]"));
        send(Client::connect(address).unwrap(), "ipv6");
    }
    let peers = peers(&home);
    let from = |beginning: &str| peers.iter().filter(|peer| peer.starts_with(beginning)).count();
    assert_eq!(
        (from("127.0.0.1:"), from("unix:uid="), from("[::1]:")),
        (1, 1, usize::from(ipv6)),
        "{peers:?}"
    );
    daemon.stop();
    assert!(!socket.exists(), "the socket goes with the daemon");
}

#[test]
fn the_socket_of_a_killed_daemon_is_taken_over_and_that_of_a_running_one_is_not() {
    let home = Home::new();
    let socket = home.path().join("smtp.sock");
    let listener = format!("[[listener]]\naddress = \"unix:{}\"\n", socket.display());
    Daemon::start(serving(&home, &listener)).kill();
    assert!(socket.exists(), "nobody removed it");
    let daemon = Daemon::start(serving(&home, &listener));
    assert!(Client::connect_unix(&socket).is_ok());

    let output = serving(&Home::new().with("LOG_FORMAT", "text"), &listener).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let wanted = format!(
        "dsnd: cannot listen on unix:{} (listener.address): another program listens there, perhaps another dsnd",
        socket.display()
    );
    assert_eq!((output.status.code(), said.lines().last()), (Some(78), Some(wanted.as_str())));
    assert!(Client::connect_unix(&socket).is_ok(), "the running one does not notice");
    daemon.stop();
}

/// All that comes back, up to the end of the connection.
fn answer(address: SocketAddr, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Who is not let in may find the connection closed before it has said all.
    let _ = stream.write_all(octets).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8(said).unwrap()
}

#[test]
fn behind_a_proxy_the_client_is_the_one_that_its_header_names() {
    let home = Home::new();
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_from = [\"127.0.0.0/8\"]\n";
    let daemon = Daemon::start(serving(&home, listener));
    let address = accepting(&daemon, |entry| entry["proxied"] == true);

    let mut client = Client::connect_with(address, b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 25\r\n").unwrap();
    assert_eq!(client.send(&hard_bounce("v1", "v1@example.net")).unwrap().code, 250);
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24".to_vec();
    header.extend(
        [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[1], &[0; 15], &[1], &[0x12, 0x67, 0, 25]].concat(),
    );
    let mut client = Client::connect_with(address, &header).unwrap();
    assert_eq!(client.send(&hard_bounce("v2", "v2@example.net")).unwrap().code, 250);
    assert_eq!(peers(&home), ["192.0.2.1:4711", "[2001:db8::1]:4711"]);

    // SMTP that stands right behind the header, in the same segment, is SMTP.
    let said = answer(address, b"PROXY UNKNOWN\r\nEHLO client.example\r\nNOOP\r\nQUIT\r\n");
    assert!(said.starts_with("220 ") && said.ends_with("250 2.0.0 OK\r\n221 2.0.0 Bye\r\n"), "{said}");

    let log = daemon.stop();
    let entries = json_lines(log.as_bytes());
    let decided = entries.iter().find(|entry| entry["message"] == "decided").unwrap();
    let span = &decided["spans"][0];
    assert_eq!(span["peer"], "192.0.2.1:4711", "{decided}");
    assert!(span["proxy"].as_str().unwrap().starts_with("127.0.0.1:"), "{decided}");
}

#[test]
fn behind_a_proxy_each_client_has_limits_of_its_own_in_the_clear_and_under_tls() {
    let authority = Authority::new();
    let home = Home::new();
    let (certificate, key) = authority.issue().write(home.path());
    let home = home
        .with("TLS_CERTIFICATE", &certificate.display().to_string())
        .with("TLS_KEY", &key.display().to_string())
        .with("LIMITS_CONNECTIONS_PER_ADDRESS", "2")
        .with("LIMITS_MESSAGES_PER_MINUTE", "1");
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_from = [\"127.0.0.0/8\"]\n";
    let daemon = Daemon::start(serving(&home, listener));
    let address = accepting(&daemon, |entry| entry["proxied"] == true);
    let from = |last: u8| {
        Client::connect_with(address, format!("PROXY TCP4 192.0.2.{last} 192.0.2.9 4711 25\r\n").as_bytes())
    };

    let config = client_config(&authority, &[&TLS12, &TLS13]);
    let (mut secret, _) = from(1).unwrap().starttls(&config).unwrap();
    let mut clear = from(1).unwrap();
    let refused = from(1).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("421") && refused.contains("4.7.0"), "the proxy's address is exempt: {refused}");
    let mut other = from(2).unwrap();

    secret.command("EHLO client.example").unwrap();
    assert_eq!(secret.command("MAIL FROM:<>").unwrap().code, 250);
    let late = clear.command("MAIL FROM:<>").unwrap();
    assert!(late.starts_with("450 4.7.0"), "counted together with what it says under TLS: {late:?}");
    assert_eq!(other.command("MAIL FROM:<>").unwrap().code, 250);

    let started = Instant::now();
    for _ in 0..5 {
        assert_eq!(secret.command("NONSENSE").unwrap().code, 500);
    }
    assert!(started.elapsed() >= Duration::from_secs(3), "1 and 2 s: {:?}", started.elapsed());
    assert!(secret.command("QUIT").unwrap().code == 221 && clear.command("QUIT").unwrap().code == 221);
    // Free again a moment after the end that the client sees.
    wait_for("a place of the client that left", || from(1).ok());
    daemon.stop();
}

#[test]
fn without_a_header_or_from_elsewhere_nobody_is_greeted_and_the_log_says_why() {
    let home = Home::new();
    let listeners = "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_from = [\"127.0.0.0/8\"]\n\
                     [[listener]]\naddress = \"127.0.0.1:0\"\nproxy_from = [\"192.0.2.0/24\"]\nprotocol = \"lmtp\"\n";
    let daemon = Daemon::start(serving(&home, listeners));
    let ours = accepting(&daemon, |entry| entry["proxied"] == true && entry["protocol"] == "smtp");
    let elsewhere = accepting(&daemon, |entry| entry["proxied"] == true && entry["protocol"] == "lmtp");
    for (address, octets, why) in [
        (ours, &b"EHLO client.example\r\n"[..], "it does not begin with a PROXY header"),
        (ours, b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 70000\r\n", "its PROXY header is malformed"),
        (ours, b"PROXY TCP4 192.0.2.1", "it ended within its PROXY header"),
        (elsewhere, b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 25\r\nEHLO a\r\n", "it comes from no proxy"),
    ] {
        assert_eq!(answer(address, octets), "", "{}", octets.escape_ascii());
        wait_for(why, || daemon.log().contains(why).then_some(()));
    }
    assert!(daemon.connect().command("NOOP").unwrap().starts_with("250"), "the plain one has no proxy");
    daemon.stop();
}

/// Passes two listening sockets as systemd does, and becomes dsnd.
const PASSING: &str = "
import fcntl, os, socket, sys
inet, unix = socket.create_server(('127.0.0.1', 0)), socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1]); unix.listen()
high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 10) for s in (inet, unix)]
for at, one in enumerate(high): os.dup2(one, 3 + at); os.set_inheritable(3 + at, True)
os.environ.update(LISTEN_FDS='2', LISTEN_FDNAMES='smtp:local', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn sockets_that_systemd_passes_are_served_by_name() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return say("skipped: python3, which passes the sockets, is not installed");
    }
    let home = Home::new().with("SMTP_LISTEN", "");
    let socket = home.path().join("passed.sock");
    let program = ["python3", "-c", PASSING, socket.to_str().unwrap(), DSND];
    let serve = |listeners: &str| {
        let text = format!("[return_path]\ntrust_unsigned = true\n{listeners}");
        let file = home.file("listeners.toml", text.as_bytes());
        home.wrapped(&program, &["serve", "--config", file.to_str().unwrap()])
    };
    let daemon = Daemon::start(serve(
        "[[listener]]\naddress = \"systemd:smtp\"\n[[listener]]\naddress = \"systemd:local\"\n",
    ));
    assert_eq!(daemon.connect().send(&hard_bounce("one", "one@example.net")).unwrap().code, 250);
    let mut client = Client::connect_unix(&socket).unwrap();
    assert_eq!(client.send(&hard_bounce("two", "two@example.net")).unwrap().code, 250);
    daemon.stop();
    assert!(socket.exists(), "systemd's sockets are systemd's");

    fs::remove_file(&socket).unwrap();
    let output = serve("[[listener]]\naddress = \"systemd:stmp\"\n").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("systemd passed no socket of this name; it passed local, smtp"), "{said}");
}

/// What the daemon says to systemd next.
fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("systemd is told");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn told_until(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut all = vec![told(socket)];
    while !all.last().unwrap().contains(wanted) {
        all.push(told(socket));
    }
    all
}

fn notified(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn systemd_hears_when_it_is_ready_that_it_lives_and_that_it_stops() {
    let home = Home::new();
    let path = home.path().join("notify.sock");
    let systemd = notified(&path);
    let mut command = home.command(&["serve"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let daemon = Daemon::start(command);
    told_until(&systemd, "READY=1\n");
    assert_eq!(
        Database::read(&home.database()).number("SELECT count(*) FROM messages"),
        0,
        "the store is open"
    );
    assert!(Client::connect(daemon.address()).is_ok());
    for _ in 0..3 {
        told_until(&systemd, "WATCHDOG=1\n");
    }
    daemon.ask_to_stop();
    told_until(&systemd, "STOPPING=1\n");
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
}

#[test]
fn a_start_that_fails_is_never_called_ready() {
    let home = Home::new().with("STORE_PATH", "/nowhere/at/all/dsnd.db");
    let path = home.path().join("notify.sock");
    let systemd = notified(&path);
    let output = home.command(&["serve"]).env("NOTIFY_SOCKET", &path).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    systemd.set_nonblocking(true).unwrap();
    assert!(systemd.recv(&mut [0; 64]).is_err(), "nothing was said");
}
