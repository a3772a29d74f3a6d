//! What the fuzz targets share.

use std::sync::LazyLock;
use std::time::Duration;

use cpu_time::ThreadTime;
use dsnd::classify::Classifier;
use jiff::Timestamp;

/// The embedded rules, compiled once.
pub static CLASSIFIER: LazyLock<Classifier> =
    LazyLock::new(|| Classifier::embedded().expect("the embedded rules are fine"));

/// The moment at which everything happens: the middle of a day.
#[must_use]
pub fn noon(day: u16) -> Timestamp {
    Timestamp::from_second(i64::from(day) * 86_400 + 43_200).expect("jiff knows the years up to 9999")
}

/// Takes the first `N` bytes off the input, which steer a target; zeros where there are fewer.
#[must_use]
pub fn steered<const N: usize>(input: &[u8]) -> ([u8; N], &[u8]) {
    let (head, rest) = input.split_at(input.len().min(N));
    let mut steering = [0; N];
    steering[..head.len()].copy_from_slice(head);
    (steering, rest)
}

/// Cuts bytes into chunks of 1 to 255, the same for the same seed; a seed of 0 leaves them in one piece.
pub fn chunks(bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    let mut state = u32::from(seed);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Mostly small ones: what is cut is often two or three bytes long.
        let size = if state >> 31 == 0 { 1 + (state >> 24 & 3) } else { 1 + (state >> 16 & 0xFF) };
        let size = if seed == 0 { rest.len() } else { rest.len().min(size as usize) };
        let (chunk, after) = rest.split_at(size);
        rest = after;
        Some(chunk)
    })
}

/// What DATA means, said as slowly and plainly as can be (RFC 5321 §4.1.1.4, §4.5.2).
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The message.
    pub octets: Vec<u8>,
    /// A CR or an LF stands outside a CRLF.
    pub bare_newlines: bool,
    /// How many bytes it took, the final dot with its CRLF included.
    pub taken: usize,
}

/// Reads one message off the front of what a client sent; `None` when its end is not there.
#[must_use]
pub fn decode_data(sent: &[u8]) -> Option<Decoded> {
    let mut decoded = Decoded { octets: Vec::new(), bare_newlines: false, taken: 0 };
    loop {
        let rest = &sent[decoded.taken..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        decoded.taken += end + 2;
        let line = &rest[..end];
        if line == b"." {
            return Some(decoded);
        }
        let line = line.strip_prefix(b".").unwrap_or(line);
        decoded.bare_newlines |= line.contains(&b'\r') || line.contains(&b'\n');
        decoded.octets.extend_from_slice(line);
        decoded.octets.extend_from_slice(b"\r\n");
    }
}

/// Processor time that a piece of work may take: what grows faster than its input is found, not only what hangs.
#[derive(Debug)]
pub struct Budget {
    started: ThreadTime,
    most: Duration,
}

impl Budget {
    /// So much for whatever it is, and so much for each of so many bytes. Give a hundred times what is usual.
    #[must_use]
    pub fn of(least: Duration, bytes: usize, each: Duration) -> Self {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { started: ThreadTime::now(), most: least + each.saturating_mul(bytes) }
    }

    /// Says at the end whether it was kept.
    ///
    /// # Panics
    /// When it was not.
    pub fn check(&self) {
        let took = self.started.elapsed();
        assert!(took <= self.most, "it took {took:?}, more than {:?}", self.most);
    }
}
