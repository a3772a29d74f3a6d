//! An HTTP server that takes webhooks, and can be as rude as receivers are.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

/// How long a slow answer takes.
const SLOW: Duration = Duration::from_millis(50);

/// How long it is from one octet to the next.
const DRIP: Duration = Duration::from_millis(200);

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers with this code.
    Answer(u16),
    /// Asks for time: 429, and Retry-After in seconds.
    Later(u64),
    /// Sends its clients elsewhere.
    Redirect,
    /// Closes in the middle of the answer, after it has read everything.
    Reset,
    /// Takes it, after a while, or as soon as it is released.
    Slow,
    /// Sends an octet of its header now and then, until the client leaves.
    Drip,
    /// Takes it, and never ends the body of its answer.
    Endless,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) manner: Manner,
}

impl Taken {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn event(&self) -> i64 {
        self.json()["id"].as_i64().expect("the number of the event")
    }

    pub(crate) fn address(&self) -> String {
        let data = &self.json()["data"];
        data["recipient"].as_str().or(data["address"].as_str()).unwrap_or_default().to_lowercase()
    }

    pub(crate) fn was_taken(&self) -> bool {
        matches!(self.manner, Manner::Answer(200..300) | Manner::Endless | Manner::Slow)
    }
}

/// What it does is decided by the request and by how often its id came before.
type Manners = dyn Fn(&Taken, usize) -> Manner + Send + Sync;

/// The server.
pub(crate) struct WebhookReceiver {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    released: Arc<Release>,
}

/// What slow answers wait for.
type Release = (Mutex<bool>, Condvar);

impl WebhookReceiver {
    /// On any port.
    pub(crate) fn start(manners: impl Fn(&Taken, usize) -> Manner + Send + Sync + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").expect("a port"), manners)
    }

    /// On a listener that may have been bound and closed before.
    pub(crate) fn listen(
        listener: TcpListener,
        manners: impl Fn(&Taken, usize) -> Manner + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("its address");
        let taken = Arc::<Mutex<Vec<Taken>>>::default();
        let (all, manners): (_, Arc<Manners>) = (Arc::clone(&taken), Arc::new(manners));
        let released = Arc::<Release>::default();
        let release = Arc::clone(&released);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (all, manners, release) = (Arc::clone(&all), Arc::clone(&manners), Arc::clone(&release));
                std::thread::spawn(move || serve(stream, &all, &manners, &release));
            }
        });
        Self { address, taken, released }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?key=value", self.address)
    }

    /// Slow answers are slow no more.
    pub(crate) fn release(&self) {
        *self.released.0.lock().expect("the release") = true;
        self.released.1.notify_all();
    }

    /// Everything that came so far.
    pub(crate) fn came(&self) -> Vec<Taken> {
        self.taken.lock().expect("what came").clone()
    }

    /// Those that it took.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.came().into_iter().filter(Taken::was_taken).collect()
    }
}

/// One connection with its requests.
fn serve(stream: TcpStream, all: &Mutex<Vec<Taken>>, manners: &Arc<Manners>, release: &Release) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some((headers, body)) = request(&mut reader) {
        let mut taken = Taken { headers, body, manner: Manner::Answer(200) };
        let manner = {
            let mut all = all.lock().expect("what came");
            let before = all.iter().filter(|other| other.id() == taken.id()).count();
            taken.manner = manners(&taken, before);
            all.push(taken.clone());
            taken.manner
        };
        let answered = match manner {
            Manner::Answer(code) => {
                writer.write_all(format!("HTTP/1.1 {code} X\r\nContent-Length: 2\r\n\r\nok").as_bytes())
            }
            Manner::Slow => {
                let released = release.0.lock().expect("the release");
                drop(
                    release.1.wait_timeout_while(released, SLOW, |released| !*released).expect("the release"),
                );
                writer.write_all(b"HTTP/1.1 204 X\r\n\r\n")
            }
            Manner::Later(seconds) => {
                let head = format!("HTTP/1.1 429 X\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n");
                writer.write_all(head.as_bytes())
            }
            Manner::Redirect => writer
                .write_all(b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
            Manner::Reset => {
                let _ = writer.write_all(b"HTTP/1.1 2");
                return;
            }
            Manner::Drip => {
                drip(&mut writer, b"HTTP/1.1 200 X\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
            }
            Manner::Endless => {
                let head = b"HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n";
                writer.write_all(head).and_then(|()| drip(&mut writer, &[b'x'; 100]))
            }
        };
        if answered.is_err() {
            return;
        }
    }
}

/// Sends an octet each time that the client has not left for a while.
fn drip(stream: &mut TcpStream, octets: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(DRIP))?;
    for octet in octets {
        stream.write_all(&[*octet])?;
        match stream.read(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => return Err(ErrorKind::ConnectionAborted.into()),
        }
    }
    stream.set_read_timeout(None)
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(HashMap<String, String>, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|octets| *octets > 0)?;
    assert!(line.starts_with("POST /hook?key=value HTTP/1.1"), "{line}");
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((headers, body))
}
