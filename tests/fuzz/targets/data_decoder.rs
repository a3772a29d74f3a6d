//! The decoder of DATA against a slow and plain one, in any chunking.
//!
//! Input: the cap and its scale, the seed of the chunks, and what the client sends.

#![no_main]

use dsnd::smtp::data::{DataDecoder, Message};
use dsnd_fuzz::{chunks, decode_data, steered};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let ([cap, wide, seed], sent) = steered(input);
    // Small caps, where the edge is met, and one that is never met.
    let cap = if wide & 1 == 1 { usize::MAX } else { usize::from(cap) << (wide >> 5) };
    let mut decoder = DataDecoder::new(cap);
    let mut offered = 0;
    let mut taken = None;
    for chunk in chunks(sent, seed) {
        if let Some(length) = decoder.feed(chunk) {
            assert!(length <= chunk.len());
            taken = Some(offered + length);
            break;
        }
        offered += chunk.len();
    }
    let expected = decode_data(sent);
    assert_eq!(taken, expected.as_ref().map(|decoded| decoded.taken), "where the message ends");
    let Some(expected) = expected else { return };
    match decoder.finish() {
        Message::TooBig => {
            assert!(expected.octets.len() > cap, "{} octets are not too many", expected.octets.len())
        }
        Message::NoRoom => panic!("nothing bounds the memory here but the cap"),
        Message::Complete { octets, bare_newlines } => {
            assert!(octets.len() <= cap && octets.capacity() <= cap.saturating_mul(2));
            assert_eq!((octets, bare_newlines), (expected.octets, expected.bare_newlines));
        }
    }
});
