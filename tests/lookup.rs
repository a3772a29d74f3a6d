//! MTAs that ask, against the real program: TCP and Unix sockets, streams, reloads, and a database that cannot be read.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use common::{Daemon, Home, PATIENCE, dsn, hard_bounce, wait_for};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

/// The addresses at which lookups are taken, once there are so many.
fn places(daemon: &Daemon, count: usize) -> Vec<String> {
    wait_for("the listeners for lookups", || {
        let log = daemon.log();
        let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let taking = entries.filter(|entry| entry["message"] == "accepting lookups");
        let places: Vec<String> = taking.map(|entry| entry["address"].as_str().unwrap().to_owned()).collect();
        (places.len() == count).then_some(places)
    })
}

fn place(daemon: &Daemon) -> SocketAddr {
    places(daemon, 1)[0].parse().unwrap()
}

/// One request on a connection of its own, which ends with it.
fn asked(address: SocketAddr, question: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{}:{question},", question.len()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let (length, rest) = said.split_once(':').unwrap_or_else(|| panic!("a netstring: {said}"));
    assert_eq!(rest.len(), length.parse::<usize>().unwrap() + 1, "{said}");
    rest.strip_suffix(',').unwrap_or_else(|| panic!("a netstring: {said}")).to_owned()
}

fn serving(home: &Home, text: &str) -> Command {
    let file = home.file("lookup.toml", text.as_bytes());
    home.command(&["serve", "--config", file.to_str().unwrap()])
}

/// The value of a metric with its labels, once it is that.
fn counted(daemon: &Daemon, metric: &str, value: u64) {
    let line = format!("{metric} {value}");
    wait_for(&line, || {
        let text = daemon.http().get("/metrics").text();
        text.lines().any(|shown| shown == line).then_some(())
    });
}

#[test]
fn a_bounce_is_an_answer_from_its_250_on() {
    let home = Home::new().with("LOOKUP_LISTEN", "127.0.0.1:0");
    let daemon = home.start();
    let address = place(&daemon);
    assert_eq!(asked(address, "suppressed dead@example.net"), "NOTFOUND ");
    let reply = daemon.connect().send(&hard_bounce("one", "dead@example.net")).unwrap();
    assert!(reply.starts_with("250 2.6.0"), "{reply:?}");
    let said = asked(address, "suppressed Dead@Example.NET");
    assert!(said.starts_with("OK 550 5.7.1 suppressed by dsnd: recipient_unknown 5.1.1, since 20"), "{said}");
    assert!(said.contains(" until 20"), "{said}");
    for other in ["alive@example.net", "dead+tag@example.net", "example.net", "dead@", "", "<>"] {
        assert_eq!(asked(address, &format!("suppressed {other}")), "NOTFOUND ", "{other}");
    }
    assert_eq!(asked(address, "aliases dead@example.net"), "PERM no such map: aliases");

    for (answer, times) in [("suppressed", 1), ("not_found", 3), ("no_address", 4), ("no_map", 1)] {
        counted(&daemon, &format!("dsnd_lookups_total{{answer=\"{answer}\"}}"), times);
    }
    counted(&daemon, "dsnd_lookup_connections", 0);
    counted(&daemon, "dsnd_lookup_seconds_count", 9);

    // What a person takes off the list is let through at once.
    assert!(home.run(&["suppressions", "remove", "dead@example.net"]).status.success());
    assert_eq!(asked(address, "suppressed dead@example.net"), "NOTFOUND ");
    daemon.stop();
}

/// A relay that was refused sends a bounce; it quotes what the list says, and tells nothing about the recipient.
#[test]
fn a_bounce_that_quotes_our_own_answer_changes_nothing() {
    let home = Home::new().with("LOOKUP_LISTEN", "127.0.0.1:0");
    let daemon = home.start();
    let address = place(&daemon);
    daemon.connect().send(&hard_bounce("one", "dead@example.net")).unwrap();
    assert!(home.run(&["suppressions", "add", "shut@example.net"]).status.success());
    let listed = || home.json(&["suppressions", "list", "--json"]);
    let before = listed();
    assert_eq!(before.len(), 2, "{before:?}");
    let mut sent = 0;
    for who in ["dead@example.net", "shut@example.net"] {
        let said = asked(address, &format!("suppressed {who}"));
        let answer = said.strip_prefix("OK 550 5.7.1 ").unwrap();
        let plain = format!("550 5.7.1 <{who}>: Recipient address rejected: {answer}");
        let folded = plain.replace(' ', "\r\n    ");
        let lines = plain.replace(": ", ":\r\n    550-5.7.1 ");
        for diagnostic in [&plain, &folded, &lines, &answer.to_uppercase()] {
            sent += 1;
            let bounce = dsn(&format!("quoting-{sent}"), &[(who, "5.7.1", diagnostic)]);
            daemon.connect().send(&bounce).unwrap();
        }
        sent += 1;
        let text = format!(
            "From: MAILER-DAEMON@relay.example\r\nSubject: failure notice\r\nMessage-ID: <{sent}@relay.example>\r\n\r\n\
             Hi. This is the qmail-send program at relay.example.\r\n\r\n<{who}>:\r\n192.0.2.7 does not like \
             recipient.\r\nRemote host said: {folded}\r\nGiving up on 192.0.2.7.\r\n"
        );
        daemon.connect().send(text.as_bytes()).unwrap();
    }
    let bounces = home.json(&["bounces", "list", "--json"]);
    let quoting: Vec<_> =
        bounces.iter().flat_map(|bounce| bounce["recipients"].as_array().unwrap()).collect();
    assert_eq!(quoting.len(), sent + 1);
    let ignored =
        |event: &&&Value| event["decision"] == "ignore" && event["rule"] == "own.suppressed-by-dsnd";
    assert_eq!(quoting.iter().filter(ignored).count(), sent, "{quoting:?}");
    assert_eq!(listed(), before);
    daemon.stop();
}

#[test]
fn addresses_in_utf_8_and_with_quotes_are_found_in_any_spelling() {
    let home = Home::new().with("LOOKUP_LISTEN", "127.0.0.1:0");
    let daemon = home.start();
    let address = place(&daemon);
    let listed = ["m\u{fc}ller@b\u{fc}cher.example", "\"john doe\"@example.com"];
    assert!(home.run(&[&["suppressions", "add"], &listed[..]].concat()).status.success());
    for spelling in [
        "m\u{fc}ller@b\u{fc}cher.example",
        "M\u{dc}LLER@xn--bcher-kva.example",
        "\"john doe\"@example.com",
        "john doe@example.com",
    ] {
        let said = asked(address, &format!("suppressed {spelling}"));
        assert!(said.starts_with("OK 550 5.7.1 suppressed by dsnd: manual, since 20"), "{spelling}: {said}");
        assert!(said.is_ascii(), "{said}");
    }
    daemon.stop();
}

#[test]
fn a_list_of_hashes_is_asked_by_addresses_all_the_same() {
    let home = Home::new().with("LOOKUP_LISTEN", "127.0.0.1:0");
    let key = home.path().join("hash.key").display().to_string();
    assert!(home.run(&["store", "keygen", "--output", &key]).status.success());
    let home = home.with("STORE_HASH_KEY_FILE", &key).with("STORE_HASH_ADDRESSES", "true");
    let daemon = home.start();
    let address = place(&daemon);
    let reply = daemon.connect().send(&hard_bounce("one", "dead@example.net")).unwrap();
    assert!(reply.starts_with("250 2.6.0"), "{reply:?}");
    let said = asked(address, "suppressed Dead@example.net");
    assert!(said.starts_with("OK 550 5.7.1 suppressed by dsnd: recipient_unknown 5.1.1, since 20"), "{said}");
    assert_eq!(asked(address, "suppressed alive@example.net"), "NOTFOUND ");
    daemon.stop();
}

#[test]
fn streams_are_maps_of_their_own_and_follow_a_reload() {
    let home = Home::new();
    let text = |streams: &str| format!("[lookup]\nlisten = [\"127.0.0.1:0\"]\n[streams]\n{streams}");
    let daemon = Daemon::start(serving(&home, &text("news = 7\n")));
    let address = place(&daemon);
    assert!(home.run(&["suppressions", "add", "--stream", "7", "news@example.com"]).status.success());
    assert!(home.run(&["suppressions", "add", "all@example.com"]).status.success());
    let refused = |map: &str, who: &str| asked(address, &format!("{map} {who}@example.com"));
    for (map, news, all) in [
        ("suppressed", "OK", "OK"),
        ("suppressed/all", "NOTFOUND", "OK"),
        ("suppressed/news", "OK", "OK"),
        ("suppressed-7", "OK", "OK"),
        ("suppressed/8", "NOTFOUND", "OK"),
    ] {
        let said = (refused(map, "news"), refused(map, "all"));
        assert!(said.0.starts_with(news) && said.1.starts_with(all), "{map}: {said:?}");
    }
    assert_eq!(refused("suppressed/receipts", "all"), "PERM no such stream: suppressed/receipts");

    // A connection that is there asks by the new names as well.
    let mut open = TcpStream::connect(address).unwrap();
    home.file("lookup.toml", text("news = 7\nreceipts = 8\n").as_bytes());
    let reload = format!("kill -HUP {}", daemon.pid());
    assert!(Command::new("sh").args(["-c", &reload]).status().unwrap().success());
    wait_for("the reload", || refused("suppressed/receipts", "all").starts_with("OK").then_some(()));
    write!(open, "36:suppressed/receipts news@example.com,").unwrap();
    let mut said = [0; 12];
    open.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"9:NOTFOUND ,");
    daemon.stop();
}

#[test]
fn a_unix_socket_has_its_mode_and_goes_with_the_daemon() {
    let home = Home::new();
    let socket = home.path().join("lookup.sock");
    let text =
        format!("[lookup]\nlisten = [\"unix:{}\", \"127.0.0.1:0\"]\nmode = \"0600\"\n", socket.display());
    let daemon = Daemon::start(serving(&home, &text));
    assert_eq!(places(&daemon, 2).len(), 2);
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"27:suppressed dead@example.com,").unwrap();
    let mut said = [0; 12];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"9:NOTFOUND ,");
    // One that waits for nothing does not hold up the end.
    daemon.stop();
    assert!(!socket.exists());
}

#[test]
fn a_database_that_cannot_be_read_is_said_to_be_one() {
    let home = Home::new().with("LOOKUP_LISTEN", "127.0.0.1:0");
    let daemon = home.start();
    let address = place(&daemon);
    assert!(home.run(&["suppressions", "add", "dead@example.com"]).status.success());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let alter = |statement: &'static str| {
        runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(home.database());
            let mut connection = options.connect().await.unwrap();
            connection.execute(statement).await.unwrap();
            connection.close().await.unwrap();
        });
    };
    alter("ALTER TABLE suppressions RENAME TO elsewhere");
    assert_eq!(
        asked(address, "suppressed dead@example.com"),
        "TEMP the suppression list cannot be asked now"
    );
    counted(&daemon, "dsnd_lookups_total{answer=\"unavailable\"}", 1);
    alter("ALTER TABLE elsewhere RENAME TO suppressions");
    assert!(asked(address, "suppressed dead@example.com").starts_with("OK 550 5.7.1 "));
    daemon.stop();
}

#[test]
fn what_is_no_request_costs_nobody_but_who_sends_it() {
    let home = Home::new().with("LOOKUP_LISTEN", "127.0.0.1:0");
    let daemon = home.start();
    let address = place(&daemon);
    let mut good = TcpStream::connect(address).unwrap();
    for garbage in [&b"EHLO a\r\n"[..], b"99999999999:", b"5000:x", b"\0\0\0\0"] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(garbage).unwrap();
        let mut said = Vec::new();
        // Closed with octets unread is a reset, closed without a word all the same.
        let _ = stream.read_to_end(&mut said);
        assert!(said.is_empty(), "{said:?}");
    }
    good.write_all(b"27:suppressed dead@example.com,").unwrap();
    let mut said = [0; 12];
    good.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"9:NOTFOUND ,");
    counted(&daemon, "dsnd_lookups_total{answer=\"malformed\"}", 4);
    daemon.stop();
}
