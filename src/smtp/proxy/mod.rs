//! The PROXY protocol, versions 1 and 2: a proxy in front says for whom it connects, before any SMTP.
//!
//! The sections cited are those of "The PROXY protocol", version 2, by Willy Tarreau of HAProxy.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// What every header of version 1 begins with.
const V1_BEGINNING: &[u8] = b"PROXY ";

/// Longest header of version 1 in octets, CR LF included. PROXY §2.1 counts 107 with it.
const V1_LONGEST: usize = 107;

/// Octets before the length of a header of version 2 says how many follow, the length included. PROXY §2.2
const V2_FIXED: usize = 16;

/// Most octets that are taken behind them. The addresses need 216 at most, the rest is additions (TLV) that are
/// skipped; 65,535 would be possible.
const V2_LONGEST: usize = 4 * 1024;

/// For whom a proxy connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// For a client at this address.
    Client(SocketAddr),
    /// For itself, such as for a health check, or for somebody whom it cannot name: its own address counts.
    Itself,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The first octets are something else, such as SMTP.
    #[error("it does not begin with a PROXY header")]
    Missing,
    /// It begins like one, and is none.
    #[error("its PROXY header is malformed: {0}")]
    Malformed(String),
    /// Longer than anybody needs.
    #[error("its PROXY header announces {0} octets; {V2_LONGEST} are taken")]
    TooLong(usize),
    /// The connection ended before the first octet.
    #[error("it ended before its PROXY header")]
    NotBegun,
    /// The connection ended within it.
    #[error("it ended within its PROXY header")]
    Ended,
    /// It did not come in time.
    #[error("its PROXY header did not come within {0:?}")]
    Slow(Duration),
    /// The connection failed.
    #[error("it failed within its PROXY header: {0}")]
    Io(#[from] io::Error),
}

/// Reads one header, and not an octet more: what stands behind it belongs to SMTP.
///
/// # Errors
/// [`ProxyError`], also when the whole header has not come after `limit`.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), limit: Duration) -> Result<Source, ProxyError> {
    timeout(limit, header(stream)).await.unwrap_or(Err(ProxyError::Slow(limit)))
}

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Source, ProxyError> {
    let mut octets = Vec::with_capacity(V1_LONGEST);
    // No header of either version is shorter than the signature of version 2 (12 octets); whoever sends something
    // else is told so at its first octet, and not awaited.
    while octets.len() < v2::PROTOCOL_PREFIX.len() {
        let missing = v2::PROTOCOL_PREFIX.len() - octets.len();
        more(stream, &mut octets, missing).await?;
        if !begins(&octets, V1_BEGINNING) && !begins(&octets, v2::PROTOCOL_PREFIX) {
            return Err(ProxyError::Missing);
        }
    }
    if octets == v2::PROTOCOL_PREFIX {
        version_2(stream, octets).await
    } else {
        version_1(stream, octets).await
    }
}

/// Whether octets begin with a beginning, as far as they go.
fn begins(octets: &[u8], beginning: &[u8]) -> bool {
    octets.iter().zip(beginning).all(|(octet, wanted)| octet == wanted)
}

/// Reads at least one and at most `missing` octets.
async fn more(
    stream: &mut (impl AsyncRead + Unpin),
    octets: &mut Vec<u8>,
    missing: usize,
) -> Result<(), ProxyError> {
    let read = stream.take(missing as u64).read_buf(octets).await?;
    match read {
        0 if octets.is_empty() => Err(ProxyError::NotBegun),
        0 => Err(ProxyError::Ended),
        _ => Ok(()),
    }
}

/// The line's end is not announced, so that it is looked for octet by octet: about a hundred, once a connection.
async fn version_1(stream: &mut (impl AsyncRead + Unpin), mut line: Vec<u8>) -> Result<Source, ProxyError> {
    while !line.contains(&b'\n') {
        if line.len() == V1_LONGEST {
            return Err(ProxyError::Malformed(format!("no line end within {V1_LONGEST} octets")));
        }
        more(stream, &mut line, 1).await?;
    }
    // PROXY §2.1: what a proxy that knows nothing adds to UNKNOWN is ignored
    if line.starts_with(b"PROXY UNKNOWN ") && line.ends_with(b"\r\n") {
        return Ok(Source::Itself);
    }
    let header = v1::Header::try_from(&line[..]).map_err(malformed)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(ip) => Source::Client((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Source::Client((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => Source::Itself,
    })
}

async fn version_2(stream: &mut (impl AsyncRead + Unpin), mut octets: Vec<u8>) -> Result<Source, ProxyError> {
    while octets.len() < V2_FIXED {
        let missing = V2_FIXED - octets.len();
        more(stream, &mut octets, missing).await?;
    }
    let announced = usize::from(u16::from_be_bytes([octets[14], octets[15]]));
    if announced > V2_LONGEST {
        return Err(ProxyError::TooLong(announced));
    }
    while octets.len() < V2_FIXED + announced {
        let missing = V2_FIXED + announced - octets.len();
        more(stream, &mut octets, missing).await?;
    }
    // PROXY §2.2: with LOCAL (0), whatever stands in the rest is skipped
    if octets[12] == 0x20 {
        return Ok(Source::Itself);
    }
    let header = v2::Header::try_from(&octets[..]).map_err(malformed)?;
    Ok(match (header.protocol, header.addresses) {
        (v2::Protocol::Datagram, _) => {
            return Err(ProxyError::Malformed("SMTP does not come in datagrams".to_owned()));
        }
        (v2::Protocol::Stream, v2::Addresses::IPv4(ip)) => {
            Source::Client((ip.source_address, ip.source_port).into())
        }
        (v2::Protocol::Stream, v2::Addresses::IPv6(ip)) => {
            Source::Client((ip.source_address, ip.source_port).into())
        }
        // PROXY §2.2: UNSPEC, or a Unix socket at the proxy's: the connection's own address counts
        _ => Source::Itself,
    })
}

#[allow(clippy::needless_pass_by_value, reason = "it stands where a function that takes an error is wanted")]
fn malformed(error: impl std::fmt::Display) -> ProxyError {
    ProxyError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests;
