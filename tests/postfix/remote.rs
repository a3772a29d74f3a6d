//! The remote host that Postfix talks to.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Where Postfix sends what is for the first address of each.
pub(super) const FORWARDS: [(&str, &str); 2] =
    [("alias@example.net", "forward@example.net"), ("alias2@example.net", "forward2@example.net")];

/// What the remote host says to each of them.
pub(super) const REPLIES: [(&str, &str); 7] = [
    (
        "nobody@example.net",
        "550 5.1.1 <nobody@example.net>: Recipient address rejected: User unknown in virtual mailbox table",
    ),
    (
        "edge@example.net",
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [mx.example.net]",
    ),
    ("full@example.net", "552 5.2.2 <full@example.net>: Mailbox is full, quota exceeded"),
    (
        "blocked@example.net",
        "550 5.7.1 Service unavailable; client host [192.0.2.7] blocked using zen.example.org; see https://zen.example.org/q/192.0.2.7",
    ),
    ("fine@example.net", "250 2.1.5 Ok"),
    ("forward@example.net", "550 5.1.1 <forward@example.net>: Recipient address rejected: User unknown"),
    ("forward2@example.net", "550 5.1.1 <forward2@example.net>: Recipient address rejected: User unknown"),
];

/// The host that refuses most of its recipients. Its threads end with the test program.
pub(super) fn remote_host() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(&stream));
        }
    });
    address
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    let mut writer = stream;
    let mut say = |reply: &str| writer.write_all(format!("{reply}\r\n").as_bytes());
    say("220 mx.example.net ESMTP")?;
    let mut in_data = false;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if in_data {
            in_data = line != ".";
            if !in_data {
                say("250 2.0.0 Ok: queued")?;
            }
            continue;
        }
        match line.to_ascii_uppercase().split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => say("250-mx.example.net\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING")?,
            "RCPT" => {
                let said = REPLIES.iter().find(|(address, _)| line.contains(&format!("<{address}>")));
                say(said.map_or("550 5.7.0 nobody told me of this one", |(_, reply)| reply))?;
            }
            "DATA" => {
                in_data = true;
                say("354 End with a dot")?;
            }
            "QUIT" => return say("221 2.0.0 Bye"),
            _ => say("250 2.0.0 Ok")?,
        }
    }
    Ok(())
}
