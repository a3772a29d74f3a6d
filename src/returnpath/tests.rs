//! The token plays against a forger; addresses of every kind come back as they went in.

use proptest::prelude::*;

use super::keys::Keys;
use super::*;
use crate::address::{ForwardPath, MAX_LOCAL_PART, Mailbox};

const OLD: &str = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEW: &str = "2 ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
const TODAY: i64 = 20_778;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 86_400 + 40_000).unwrap()
}

fn keys(text: &str) -> Keys {
    Keys::parse(text).unwrap()
}

fn paths(keys: Keys) -> ReturnPaths {
    let patterns = ["bounces", "b-*", "bounces+*"].map(|text| text.parse().unwrap());
    ReturnPaths::new(&["Bounces.Example.COM".to_owned(), "bücher.example".to_owned()], patterns.to_vec())
        .with_tokens(keys, Prefix::default(), 14)
}

fn judge(paths: &ReturnPaths, local_part: &str, day: i64) -> Result<ReturnPath, Refusal> {
    let mailbox = Mailbox::new(local_part, "bounces.example.com").unwrap();
    paths.judge(&ForwardPath::Mailbox(mailbox), at(day))
}

fn mint(keys: &Keys, recipient: &str, stream: u32, day: i64) -> Token {
    let form = crate::address::comparison_form(recipient);
    Token::mint(keys.newest().unwrap(), &form, stream, at(day)).unwrap()
}

fn blind(keys: &Keys, recipient: &str, stream: u32, day: i64) -> String {
    Prefix::default().blind(&mint(keys, recipient, stream, day))
}

fn proven(path: &ReturnPath, keys: &Keys, candidates: &[&str]) -> Option<String> {
    let ReturnPath::Token { token, readable } = path else { return None };
    let candidates = candidates.iter().map(|text| (*text).to_owned()).collect();
    prove(token, readable.as_ref(), &Candidates::new(keys, [token], candidates)).recipient
}

#[test]
fn without_keys_only_our_domains_and_local_parts_are_taken() {
    let paths = paths(Keys::default());
    for (address, said) in [
        ("bounces@bounces.example.com", Ok(ReturnPath::Fixed)),
        ("BOUNCES@BOUNCES.EXAMPLE.COM", Ok(ReturnPath::Fixed)),
        ("B-abcdef@bounces.example.com", Ok(ReturnPath::Fixed)),
        ("Postmaster@bounces.example.com", Ok(ReturnPath::Fixed)),
        ("b-1@xn--bcher-kva.example", Ok(ReturnPath::Fixed)),
        ("info@bounces.example.com", Err(Refusal::NoSuchMailbox)),
        ("bounces@example.com", Err(Refusal::NotOurs)),
        ("postmaster@example.org", Err(Refusal::NotOurs)),
    ] {
        let path = ForwardPath::Mailbox(Mailbox::parse(address).unwrap());
        assert_eq!(paths.judge(&path, at(TODAY)), said, "{address}");
    }
    assert_eq!(paths.judge(&ForwardPath::Postmaster, at(TODAY)), Ok(ReturnPath::Fixed));
    let verp = judge(&paths, "bounces+user=x.example", TODAY).unwrap();
    assert_eq!(verp, ReturnPath::Verp { recipient: Mailbox::parse("user@x.example").unwrap() });
}

#[test]
fn a_token_is_valid_from_a_day_before_to_its_last_day_whatever_its_case() {
    let keys = keys(NEW);
    let paths = paths(keys.clone());
    let minted = blind(&keys, "user@x.example", 7, TODAY);
    for local_part in [minted.clone(), minted.to_uppercase()] {
        for day in [TODAY - 1, TODAY, TODAY + 14] {
            let path = judge(&paths, &local_part, day).unwrap();
            let ReturnPath::Token { token, readable: None } = &path else { panic!("{path:?}") };
            assert_eq!((token.stream(), i64::from(token.day()), token.key_id()), (7, TODAY, 2));
            let named = proven(&path, &keys, &["other@x.example", "User@X.example"]);
            assert_eq!(named.as_deref(), Some("User@X.example"));
        }
        assert_eq!(judge(&paths, &local_part, TODAY + 15), Err(TokenError::Expired(15).into()));
        assert_eq!(judge(&paths, &local_part, TODAY - 2), Err(TokenError::FromTheFuture(2).into()));
    }
    let late = ForwardPath::Mailbox(Mailbox::new(&minted, "bounces.example.com").unwrap());
    assert!(matches!(paths.accepted(&late), ReturnPath::Token { .. }), "once in, its age does not matter");
}

/// The Kelvin sign was once folded to k, so that one token named two people.
#[test]
fn a_token_minted_when_symbols_were_folded_is_still_taken_and_proves_nothing_about_whoever_has_the_symbol() {
    let keys = keys(NEW);
    let minted = blind(&keys, "kate@example.com", 7, TODAY); // what the symbol's owner got, too
    let path = judge(&paths(keys.clone()), &minted, TODAY + 14).unwrap();
    assert_eq!(proven(&path, &keys, &["\u{212a}ate@example.com"]), None, "it may be a token of kate's");
    assert_eq!(proven(&path, &keys, &["Kate@example.com"]).as_deref(), Some("Kate@example.com"));
    let today = blind(&keys, "\u{212a}ate@example.com", 7, TODAY);
    let path = judge(&paths(keys.clone()), &today, TODAY).unwrap();
    assert_eq!(proven(&path, &keys, &["kate@example.com"]), None);
    assert!(proven(&path, &keys, &["\u{212a}ate@example.com"]).is_some());
}

#[test]
fn tokens_of_the_old_key_verify_until_it_is_removed() {
    let minted = blind(&keys(OLD), "user@x.example", 0, TODAY);
    let both = keys(&format!("{OLD}\n{NEW}\n"));
    assert!(judge(&paths(both.clone()), &minted, TODAY + 14).is_ok());
    assert_eq!(mint(&both, "user@x.example", 0, TODAY).key_id(), 2, "the newest mints");
    let removed = judge(&paths(keys(NEW)), &minted, TODAY);
    assert_eq!(removed, Err(TokenError::UnknownKey(1).into()));
    let replaced = keys(&NEW.replacen('2', "1", 1));
    assert_eq!(judge(&paths(replaced), &minted, TODAY), Err(TokenError::BadMac.into()));
}

#[test]
fn a_readable_address_counts_only_where_the_token_is_its_own() {
    let keys = keys(NEW);
    let paths = paths(keys.clone());
    let user = Mailbox::parse("User@example.com").unwrap();
    let token = mint(&keys, "user@example.com", 0, TODAY);
    let readable = Prefix::default().readable(&token, &user);
    assert_eq!(readable, format!("b-{}=User=example.com", token.encode()));
    let path = judge(&paths, &readable, TODAY).unwrap();
    assert_eq!(proven(&path, &keys, &["forward@y.example"]).as_deref(), Some("User@example.com"));
    for (changed, error) in [
        (readable.replace("User", "ceo"), TokenError::OtherAddress),
        (readable.replace("=example", "example"), TokenError::NotAToken),
        (format!("{readable}.de"), TokenError::OtherAddress),
        (format!("b-{}=", token.encode()), TokenError::NotAToken),
    ] {
        assert_eq!(judge(&paths, &changed, TODAY), Err(error.into()), "{changed}");
    }
    for blind in [
        "a-longer-local-part@example.com",
        "a..b@x.de",
        "\"a b\"@x.de",
        "jürgen@x.de",
        "a@ein-langerer-name.example.com",
    ] {
        let spelled = Prefix::default().readable(&token, &Mailbox::parse(blind).unwrap());
        assert_eq!(spelled, Prefix::default().blind(&token), "{blind}");
    }
}

#[test]
fn half_a_token_never_passes_as_an_unsigned_address() {
    let keys = keys(NEW);
    let everything = ReturnPaths::new(&["bounces.example.com".to_owned()], vec!["*".parse().unwrap()])
        .with_tokens(keys.clone(), "r.".parse().unwrap(), 14);
    let minted = "r.".parse::<Prefix>().unwrap().blind(&mint(&keys, "user@x.example", 0, TODAY));
    assert!(judge(&everything, &minted, TODAY).is_ok());
    for broken in ["r.", "R.x", &minted[..minted.len() - 1], &format!("{minted}x"), &format!("{minted}+x")] {
        assert_eq!(judge(&everything, broken, TODAY), Err(TokenError::NotAToken.into()), "{broken}");
    }
    assert_eq!(judge(&everything, "bounces", TODAY), Ok(ReturnPath::Fixed));
    let strict = everything.refusing_unsigned(true);
    assert_eq!(judge(&strict, "bounces", TODAY), Err(Refusal::Unsigned));
    assert_eq!(judge(&strict, "postmaster", TODAY), Ok(ReturnPath::Fixed));
    assert!(judge(&strict, &minted, TODAY).is_ok());
}

#[test]
fn batv_is_verified_where_it_has_keys_and_adds_nothing_to_a_token() {
    let keys = keys(&format!("{NEW}\nbatv3 text:word"));
    let paths = paths(keys.clone());
    let address = |local: &str| Mailbox::new(local, "bounces.example.com").unwrap();
    let signed = |local: &str, day| {
        let signed = batv::sign(&keys, 3, &address(local), at(day)).unwrap();
        signed.split('@').next().unwrap().to_owned()
    };
    assert_eq!(judge(&paths, &signed("bounces", TODAY), TODAY), Ok(ReturnPath::Batv { recipient: None }));
    let recipient = Some(Mailbox::parse("user@x.example").unwrap());
    assert_eq!(
        judge(&paths, &signed("bounces+user=x.example", TODAY), TODAY),
        Ok(ReturnPath::Batv { recipient })
    );
    assert_eq!(judge(&paths, &signed("info", TODAY), TODAY), Err(Refusal::NoSuchMailbox));
    assert_eq!(judge(&paths, &signed("bounces", TODAY - 30), TODAY), Err(batv::BatvError::Expired.into()));
    let token = blind(&keys, "user@x.example", 0, TODAY);
    let wrapped = judge(&paths, &format!("prvs=9000abcdef={token}"), TODAY).unwrap();
    assert!(matches!(wrapped, ReturnPath::Token { .. }), "{wrapped:?}");
}

/// A small generator of numbers, the same on every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

#[test]
fn ten_thousand_forgeries_name_nobody_but_the_forger() {
    let keys = keys(NEW);
    let paths = paths(keys.clone());
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    let (mut refused, mut taken) = (0, 0);
    for round in 0..10_000 {
        let (forger, victim) = (format!("forger{round}@x.example"), format!("victim{round}@y.example"));
        let own = blind(&keys, &forger, 1, TODAY);
        let letters = b"abcdefghijklmnopqrstuvwxyz234567";
        let forged = match round % 9 {
            0 => {
                // Random, of our version.
                let rest: String = (0..31).map(|_| char::from(letters[numbers.below(32)])).collect();
                format!("b-c{rest}")
            }
            1 => own.clone(),
            2 => own[..numbers.below(own.len() - 2) + 2].to_owned(),
            3 => own
                .chars()
                .map(|c| if numbers.next().is_multiple_of(2) { c.to_ascii_uppercase() } else { c })
                .collect(),
            4 => format!("{own}{}", char::from(letters[numbers.below(32)])),
            5 => blind(&keys, &forger, 1, TODAY - 15 - i64::try_from(numbers.below(1_000)).unwrap()),
            6 => {
                // The stream, or any other octet, changed.
                let mut octets = *mint(&keys, &forger, 1, TODAY).octets();
                let place = if numbers.next().is_multiple_of(2) { 5 } else { numbers.below(20) };
                octets[place] ^= 1 << numbers.below(8);
                format!("b-{}", data_encoding::BASE32_NOPAD.encode(&octets).to_lowercase())
            }
            7 => format!("{own}=victim{round}=y.example"),
            _ => {
                // The victim's tag with the forger's signature.
                let mut octets = *mint(&keys, &forger, 1, TODAY).octets();
                octets[6..12].copy_from_slice(&token::tag(keys.newest().unwrap(), &victim));
                format!("b-{}", data_encoding::BASE32_NOPAD.encode(&octets).to_lowercase())
            }
        };
        match judge(&paths, &forged, TODAY) {
            Err(_) => refused += 1,
            Ok(path) => {
                taken += 1;
                assert!(matches!(round % 9, 1 | 3), "{forged} is taken: {path:?}");
                assert_eq!(proven(&path, &keys, &[&victim, "ceo@customer.example"]), None, "{forged}");
                assert_eq!(proven(&path, &keys, &[&victim, &forger]).as_ref(), Some(&forger), "{forged}");
            }
        }
    }
    assert_eq!((refused, taken), (10_000 - 2_222, 2_222), "only the forgers' own tokens are taken");
}

fn addresses() -> impl Strategy<Value = (String, String)> {
    let local = prop_oneof![
        "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}",
        "[ -~]{1,64}",
        "[a-zäöüßéжλ日本語İΣ.]{1,20}",
        "[A-Z]{64}",
    ]
    .prop_filter("at most 64 octets", |local| local.len() <= MAX_LOCAL_PART);
    let domain = prop_oneof![
        "[a-zA-Z]{1,10}\\.(de|example|COM)",
        "(bücher|BÜCHER|xn--bcher-kva|straße|пример|例え)\\.example\\.?",
        "\\[192\\.0\\.2\\.[0-9]\\]",
        "([a-z]{1,60}\\.){3}example",
    ];
    (local, domain)
}

proptest! {
    #[test]
    fn what_was_minted_for_an_address_names_it_again((local, domain) in addresses(), stream in 0..=token::MAX_STREAM) {
        let keys = keys(NEW);
        let paths = paths(keys.clone());
        let recipient = Mailbox::new(&local, &domain).unwrap();
        let form = recipient.comparison_form();
        let token = Token::mint(keys.newest().unwrap(), &form, stream, at(TODAY)).unwrap();
        prop_assert_eq!(token.stream(), stream);
        for spelled in [Prefix::default().blind(&token), Prefix::default().readable(&token, &recipient)] {
            prop_assert!(spelled.len() <= MAX_LOCAL_PART && spelled.is_ascii());
            // As it comes back over SMTP: written, folded, parsed.
            for spelled in [spelled.clone(), spelled.to_uppercase()] {
                let mailbox = Mailbox::parse(&format!("{spelled}@bounces.example.com")).unwrap();
                let path = paths.judge(&ForwardPath::Mailbox(mailbox), at(TODAY)).unwrap();
                let written = [recipient.to_string(), form.clone(), format!("<{recipient}>")];
                for written in &written {
                    let named = proven(&path, &keys, &["other@x.example", written]).unwrap();
                    prop_assert_eq!(&named, written);
                }
                if let ReturnPath::Token { readable: Some(readable), .. } = path {
                    prop_assert_eq!(readable.comparison_form(), form.clone());
                }
            }
        }
    }

    #[test]
    fn any_local_part_is_taken_or_refused(local in "(b-|B-|prvs=|bounces\\+)?\\PC{0,60}") {
        if let Ok(mailbox) = Mailbox::new(&local, "bounces.example.com") {
            let keys = keys(&format!("{NEW}\nbatv3 text:word"));
            let judged = paths(keys).judge(&ForwardPath::Mailbox(mailbox), at(TODAY));
            let token = matches!(judged, Ok(ReturnPath::Token { .. } | ReturnPath::Batv { .. }));
            prop_assert!(!token, "{:?}", judged);
        }
    }
}
