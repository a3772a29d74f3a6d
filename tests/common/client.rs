//! An SMTP client for tests: sends what it is told, and reads what comes back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, ProtocolVersion, StreamOwned};

use super::PATIENCE;

/// A reply, its lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The reply code.
    pub(crate) code: u16,
    /// Everything after the code of each line.
    pub(crate) text: String,
}

impl Reply {
    /// The reply as `250 2.6.0 …`, for comparing beginnings.
    pub(crate) fn starts_with(&self, beginning: &str) -> bool {
        format!("{} {}", self.code, self.text).starts_with(beginning)
    }

    /// What `Stored as 3f9a1c20b7d4` calls the message.
    pub(crate) fn handle(&self) -> &str {
        let digits = |word: &&str| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let handle = self.text.rsplit(' ').next().filter(digits);
        handle.unwrap_or_else(|| panic!("a reply with the handle of a bounce: {self:?}"))
    }
}

/// What a handshake agreed on.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) version: ProtocolVersion,
    /// The server's own certificate.
    pub(crate) certificate: CertificateDer<'static>,
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// One connection.
pub(crate) struct Client(BufReader<Box<dyn Stream>>);

impl Client {
    /// Connects, reads the greeting and says EHLO.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Self::greet(Box::new(stream))
    }

    /// The same, with octets such as a PROXY header sent before anything else.
    pub(crate) fn connect_with(address: SocketAddr, octets: &[u8]) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(octets)?;
        Self::greet(Box::new(stream))
    }

    /// The same over a Unix-domain socket.
    pub(crate) fn connect_unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Self::greet(Box::new(stream))
    }

    fn greet(stream: Box<dyn Stream>) -> io::Result<Self> {
        let mut client = Self(BufReader::new(stream));
        client.expect(220)?;
        client.write(b"EHLO client.example\r\n")?;
        client.expect(250)?;
        Ok(client)
    }

    /// Says STARTTLS, and runs the handshake on a 220.
    pub(crate) fn starttls(mut self, config: &Arc<ClientConfig>) -> io::Result<(Self, Agreed)> {
        self.write(b"STARTTLS\r\n")?;
        self.expect(220)?;
        self.handshake(config)
    }

    /// The handshake. What was read and not looked at is lost.
    pub(crate) fn handshake(self, config: &Arc<ClientConfig>) -> io::Result<(Self, Agreed)> {
        let mut stream = self.0.into_inner();
        let name = "localhost".try_into().map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            if let (0, 0) = tls.complete_io(&mut stream)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let agreed = Agreed {
            version: tls.protocol_version().expect("a version"),
            certificate: tls.peer_certificates().expect("a certificate")[0].clone().into_owned(),
        };
        Ok((Self(BufReader::new(Box::new(StreamOwned::new(tls, stream)))), agreed))
    }

    /// Everything that the server says until it closes.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // Closed or reset: what was said counts.
        let _ = self.0.read_to_end(&mut rest);
        rest
    }

    /// Reads one reply.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code = code.ok_or_else(|| io::Error::other(format!("no reply: {line:?}")))?;
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text });
            }
            text.push('\n');
        }
    }

    /// Reads one reply and takes it only with this code.
    pub(crate) fn expect(&mut self, code: u16) -> io::Result<Reply> {
        let reply = self.reply()?;
        if reply.code == code { Ok(reply) } else { Err(io::Error::other(format!("{reply:?}, not {code}"))) }
    }

    /// Sends a command line and reads the reply.
    pub(crate) fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends octets as they are.
    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(octets)?;
        self.0.get_mut().flush()
    }

    /// Goes as far as the 354 after DATA, one recipient accepted.
    pub(crate) fn begin(&mut self, sender: &str, recipient: &str) -> io::Result<()> {
        self.write(format!("MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n").as_bytes())?;
        self.expect(250)?;
        self.expect(250)?;
        self.expect(354).map(|_| ())
    }

    /// Sends the message, dots doubled, and the end of data; reads the reply.
    pub(crate) fn finish(&mut self, message: &[u8]) -> io::Result<Reply> {
        let mut octets = Vec::with_capacity(message.len() + 8);
        for line in message.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b".") {
                octets.push(b'.');
            }
            octets.extend_from_slice(line);
        }
        if !octets.is_empty() && !octets.ends_with(b"\r\n") {
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(b".\r\n");
        self.write(&octets)?;
        self.reply()
    }

    /// Hands a bounce in, from `<>` to the usual address; the reply to its data.
    pub(crate) fn send(&mut self, message: &[u8]) -> io::Result<Reply> {
        self.begin("", super::OUR_ADDRESS)?;
        self.finish(message)
    }
}
