//! Return paths: what was minted verifies, in every spelling and on every day it is meant to, and nothing else does.
//!
//! Input: stream, day and damage, then the recipient, a line end, and a local part that somebody made up.

#![no_main]

use std::sync::LazyLock;

use dsnd::address::{ForwardPath, MAX_LOCAL_PART, Mailbox, comparison_form};
use dsnd::returnpath::{
    Keys, LocalPartPattern, MAX_AGE_DAYS, Prefix, Refusal, ReturnPath, ReturnPaths, Token, TokenError,
    VerpDelimiters, batv,
};
use dsnd_fuzz::{noon, steered};
use libfuzzer_sys::fuzz_target;

const DOMAIN: &str = "bounces.example";

static OURS: LazyLock<ReturnPaths> = LazyLock::new(|| {
    let keys = "1 000102030405060708090a0b0c0d0e0f\n2 ffeeddccbbaa99887766554433221100\nbatv3 text:word";
    let patterns = ["bounces", "bounces+*", "prvs=*"].map(|text| text.parse().unwrap());
    let keys = Keys::parse(keys).unwrap();
    let verp = VerpDelimiters::usual();
    ReturnPaths::new(&[DOMAIN.to_owned()], patterns.to_vec())
        .with_tokens(keys, Prefix::default(), MAX_AGE_DAYS)
        .with_verp(verp)
});

fn judge(local_part: &str, day: u16) -> Option<Result<ReturnPath, Refusal>> {
    let path = ForwardPath::Mailbox(Mailbox::new(local_part, DOMAIN).ok()?);
    let judged = OURS.judge(&path, noon(day));
    // What came in is the same when it is asked again without its age.
    if let Ok(judged) = &judged {
        assert_eq!(OURS.accepted(&path), *judged);
    }
    Some(judged)
}

/// Whatever local part is judged: a token is genuine only where it is the one that was minted, for whom it was minted.
fn check(local_part: &str, day: u16, minted: &Token, recipient: &str) {
    match judge(local_part, day) {
        Some(Ok(ReturnPath::Token { token, readable })) => {
            assert_eq!(token, *minted, "{local_part:?} was never minted");
            let readable = readable.map(|address| address.comparison_form());
            assert!(readable.is_none_or(|form| form == recipient), "{local_part:?} names another");
        }
        Some(Ok(ReturnPath::Verp { recipient } | ReturnPath::Batv { recipient: Some(recipient) })) => {
            // What is taken out of an address is an address itself.
            assert_eq!(comparison_form(&recipient.to_string()), recipient.comparison_form());
        }
        _ => {}
    }
}

fuzz_target!(|input: &[u8]| {
    let ([stream @ .., low, high, ahead, place, change], text): ([u8; 8], _) = steered(input);
    let text = String::from_utf8_lossy(text);
    let (recipient, made_up) = text.split_once('\n').unwrap_or((&text, ""));
    let form = comparison_form(recipient);
    assert_eq!(comparison_form(&form), form, "the comparison form is a fixed point");

    let day = u16::from_le_bytes([low, high]);
    let stream = u32::from_be_bytes([0, stream[0], stream[1], stream[2]]);
    let key = OURS.keys().get(1 + (place >> 7)).unwrap();
    let token = Token::mint(key, &form, stream, noon(day)).expect("a day of two octets fits");
    assert_eq!((token.day(), token.stream(), token.key_id()), (day, stream, key.id()));
    assert!(token.names(OURS.keys(), &form));

    let mut spellings = vec![Prefix::default().blind(&token)];
    if let Ok(mailbox) = Mailbox::parse(recipient) {
        spellings.push(Prefix::default().readable(&token, &mailbox));
        // BATV: what we sign is ours for a week.
        let address = Mailbox::new("bounces", DOMAIN).unwrap();
        let signed = batv::sign(OURS.keys(), 3, &address, noon(day)).unwrap();
        let (local_part, _) = signed.rsplit_once('@').unwrap();
        assert_eq!(judge(local_part, day), Some(Ok(ReturnPath::Batv { recipient: None })));
    }
    for spelling in spellings {
        assert!(spelling.len() <= MAX_LOCAL_PART);
        for spelled in [spelling.to_uppercase(), spelling.to_lowercase(), spelling.clone()] {
            assert_eq!(Token::decode(&spelled[2..34]), Ok(token));
            let later = day.saturating_add(u16::from(ahead));
            let judged = judge(&spelled, later).expect("a local part");
            if u32::from(later - day) <= MAX_AGE_DAYS {
                assert!(matches!(judged, Ok(ReturnPath::Token { .. })), "{spelled:?}: {judged:?}");
            } else {
                let age = u32::from(later - day);
                assert_eq!(judged, Err(Refusal::Token(TokenError::Expired(age))), "{spelled:?}");
            }
            check(&spelled, day, &token, &form);
        }
        // A forger turns one character into another, cuts it off there, or writes on.
        let mut changed = spelling.clone().into_bytes();
        let at = usize::from(place & 0x7F) % changed.len();
        changed[at] = change;
        check(&String::from_utf8_lossy(&changed), day, &token, &form);
        check(spelling.get(..at).unwrap_or_default(), day, &token, &form);
        check(&format!("{spelling}{made_up}"), day, &token, &form);
        check(&format!("{spelling}={made_up}"), day, &token, &form);
        check(&format!("prvs=0000000000={spelling}"), day, &token, &form);
    }
    check(made_up, day, &token, &form);
    check(&format!("b-{made_up}"), day, &token, &form);
    check(&format!("bounces+{made_up}"), day, &token, &form);

    // What an operator writes is taken or refused, with no secret in the refusal.
    let _ =
        (made_up.parse::<Prefix>(), made_up.parse::<LocalPartPattern>(), made_up.parse::<VerpDelimiters>());
    if let Err(error) = Keys::parse(&text) {
        assert!((1..=1 + text.len()).contains(&error.entry), "{error}");
    }
});
