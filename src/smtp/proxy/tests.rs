use std::io::Cursor;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, duplex};

use super::*;

const LIMIT: Duration = Duration::from_secs(5);
const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 25\r\n";
const BEHIND: &[u8] = b"EHLO client.example\r\nMAIL FROM:<>\r\n";

/// A header of version 2: command, family and transport, content.
fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [v2::PROTOCOL_PREFIX, &[command, family], &length, content].concat()
}

fn tcp4() -> Vec<u8> {
    [&[192, 0, 2, 1, 198, 51, 100, 7][..], &4711_u16.to_be_bytes(), &25_u16.to_be_bytes()].concat()
}

fn tcp6() -> Vec<u8> {
    let address = |last| [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[last]].concat();
    [address(1), address(2), 4711_u16.to_be_bytes().to_vec(), 25_u16.to_be_bytes().to_vec()].concat()
}

/// A check sum, an authority, and as much padding as there is room for.
fn additions() -> Vec<u8> {
    let padding = vec![0; V2_LONGEST - 12 - 7 - 14 - 3];
    let padding = [&[4][..], &u16::try_from(padding.len()).unwrap().to_be_bytes(), &padding].concat();
    [b"\x03\x00\x04abcd".as_slice(), b"\x02\x00\x0bexample.com", &padding].concat()
}

fn client(address: &str) -> Source {
    Source::Client(address.parse().unwrap())
}

/// Headers that are taken, and for whom they speak.
fn good() -> Vec<(Vec<u8>, Source)> {
    let widest = "ffff:".repeat(7) + "ffff";
    let longest = format!("PROXY UNKNOWN {widest} {widest} 65535 65535\r\n");
    assert_eq!(longest.len(), V1_LONGEST);
    vec![
        (V1.to_vec(), client("192.0.2.1:4711")),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 25\r\n".to_vec(), client("[2001:db8::1]:4711")),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n".to_vec(), client("255.255.255.255:65535")),
        (b"PROXY UNKNOWN\r\n".to_vec(), Source::Itself),
        (longest.into_bytes(), Source::Itself),
        (b"PROXY UNKNOWN whatever it says here, of this and that\r\n".to_vec(), Source::Itself),
        (v2(0x21, 0x11, &tcp4()), client("192.0.2.1:4711")),
        (v2(0x21, 0x21, &tcp6()), client("[2001:db8::1]:4711")),
        (v2(0x21, 0x11, &[tcp4(), additions()].concat()), client("192.0.2.1:4711")),
        (v2(0x20, 0x00, b""), Source::Itself),
        (v2(0x20, 0x11, &tcp4()), Source::Itself),
        (v2(0x20, 0xff, b"anything"), Source::Itself),
        (v2(0x21, 0x00, b""), Source::Itself),
        (v2(0x21, 0x00, b"\x04\x00\x01x"), Source::Itself),
        (v2(0x21, 0x31, &[0; 216]), Source::Itself),
    ]
}

#[tokio::test]
async fn a_header_names_the_client_and_what_is_behind_it_stays() {
    for (header, source) in good() {
        let mut stream = Cursor::new([&header, BEHIND].concat());
        let said = read(&mut stream, LIMIT).await;
        assert_eq!(said.unwrap(), source, "{}", header.escape_ascii());
        assert_eq!(stream.position(), header.len() as u64, "{}", header.escape_ascii());
    }
}

#[tokio::test]
async fn a_header_that_is_cut_anywhere_is_no_header() {
    for (header, _) in good() {
        for end in 0..header.len() {
            let said = read(&mut Cursor::new(&header[..end]), LIMIT).await;
            match said {
                Err(ProxyError::NotBegun) => assert_eq!(end, 0),
                Err(ProxyError::Ended) => assert!(end > 0),
                other => panic!("{} cut at {end}: {other:?}", header.escape_ascii()),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_may_come_in_any_pieces() {
    for (header, source) in good() {
        let (mut near, mut far) = duplex(1);
        let write = async {
            far.write_all(&header).await.unwrap();
            far
        };
        let (said, _far) = tokio::join!(read(&mut near, LIMIT), write);
        assert_eq!(said.unwrap(), source, "{}", header.escape_ascii());
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_drips_is_not_awaited_for_ever() {
    let (mut near, mut far) = duplex(1);
    let drip = async {
        for octet in V1 {
            far.write_all(&[*octet]).await.unwrap();
            tokio::time::sleep(LIMIT / 4).await;
        }
    };
    tokio::select! {
        said = read(&mut near, LIMIT) => assert!(matches!(said, Err(ProxyError::Slow(_))), "{said:?}"),
        () = drip => panic!("it was awaited"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_header_is_refused_at_once() {
    for octets in
        [&b"E"[..], b"EHLO client.example\r\n", b"\r\n\r\n\0\r\nQUIX", b"PROXI", b"\0", b"proxy TCP4"]
    {
        let (mut near, mut far) = duplex(64);
        far.write_all(octets).await.unwrap();
        // The other side stays open: nothing more is waited for.
        let said = read(&mut near, LIMIT).await;
        assert!(matches!(said, Err(ProxyError::Missing)), "{}: {said:?}", octets.escape_ascii());
    }
}

#[tokio::test]
async fn malformed_headers_are_refused() {
    let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_LONGEST));
    let mut announces_much = v2(0x21, 0x11, &tcp4());
    announces_much[14..16].copy_from_slice(&[0xff, 0xff]);
    for header in [
        b"PROXY TCP4 192.0.2.256 198.51.100.7 4711 25\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.7 65536 25\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.7 0025 25\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::1 2001:db8::2 4711 25\r\n".to_vec(),
        b"PROXY TCP6 192.0.2.1 198.51.100.7 4711 25\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.7 4711\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 25 \r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1  198.51.100.7 4711 25\r\n".to_vec(),
        b"PROXY UDP4 192.0.2.1 198.51.100.7 4711 25\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 25\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 25\r\r\n".to_vec(),
        b"PROXY UNKNOWN\n\n\n".to_vec(),
        b"PROXY \xff\xff\xff\xff\xff\xff\xff\xff\r\n".to_vec(),
        b"PROXY \r\nEHLO a\r\n".to_vec(),
        too_long.into_bytes(),
        v2(0x11, 0x11, &tcp4()),
        v2(0x22, 0x11, &tcp4()),
        v2(0x21, 0x12, &tcp4()),
        v2(0x21, 0x41, &tcp4()),
        v2(0x21, 0x13, &tcp4()),
        v2(0x21, 0x11, &tcp4()[..11]),
        v2(0x21, 0x21, &tcp4()),
        v2(0x21, 0x31, &[0; 215]),
    ] {
        let said = read(&mut Cursor::new(&header), LIMIT).await;
        assert!(matches!(said, Err(ProxyError::Malformed(_))), "{}: {said:?}", header.escape_ascii());
    }
    let said = read(&mut Cursor::new(&announces_much), LIMIT).await;
    assert!(matches!(said, Err(ProxyError::TooLong(65_535))), "{said:?}");
}

proptest::proptest! {
    #[test]
    fn no_octets_make_it_panic_or_read_past_the_longest_header(
        version in 0..3_usize,
        octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
    ) {
        let beginning: [&[u8]; 3] = [b"", V1_BEGINNING, v2::PROTOCOL_PREFIX];
        let mut stream = Cursor::new([beginning[version], &octets].concat());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _ = runtime.block_on(read(&mut stream, LIMIT));
        proptest::prop_assert!(stream.position() <= (V2_FIXED + V2_LONGEST) as u64);
    }
}
