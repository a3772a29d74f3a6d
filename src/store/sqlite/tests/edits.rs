//! Changes under a condition, and many addresses in one question: in clear and hashed alike.

use super::hashed::{JANE, key, open_with};
use super::*;
use crate::store::{Condition, Edited, Entries, Put, PutDone, Standing, Versions, version};

const OTHER: &str = "other@example.org";

fn put(stream: i64, condition: Condition) -> Put {
    let entry = ManualEntry { stream, now: contract::at(1), ..entry(JANE) };
    Put { entry, seen: None, condition, force: false }
}

fn only(version: &str) -> Condition {
    Condition { matches: Some(Versions::These(vec![version.to_owned()])), none_matches: None }
}

#[tokio::test]
async fn a_change_is_made_only_while_what_was_seen_stands() {
    for addresses in [Addresses::clear(None), Addresses::hashed(key())] {
        let dir = TempDir::new().unwrap();
        let store = open_with(&dir.path().join("dsnd.db"), addresses).await.unwrap();
        let absent = Condition { matches: None, none_matches: Some(Versions::Any) };
        let made = store.put(put(0, absent.clone())).await.unwrap();
        let Edited::Done(PutDone { created: true, entries }) = made else { panic!("{made:?}") };
        let first = version(&entries).unwrap();
        assert_eq!(store.put(put(0, absent)).await.unwrap(), Edited::Changed);
        // Another stream's entry belongs to what was seen of the whole address.
        let made = store.put(put(7, only(&first))).await.unwrap();
        assert!(
            matches!(&made, Edited::Done(PutDone { created: true, entries }) if entries.len() == 2),
            "{made:?}"
        );
        let removal = || Removal {
            address_key: JANE.to_owned(),
            stream: None,
            now: contract::at(2),
            origin: AuditOrigin::Api,
            actor: None,
        };
        assert_eq!(store.take_off(removal(), only(&first)).await.unwrap(), Edited::Changed);
        let stands = store.entries_of(JANE, None, contract::at(2)).await.unwrap();
        assert_eq!(stands.len(), 2);
        let seen = version(&stands).unwrap();
        assert_eq!(store.take_off(removal(), only(&seen)).await.unwrap(), Edited::Done(true));
        assert_eq!(store.take_off(removal(), Condition::default()).await.unwrap(), Edited::Done(false));
        store.close().await;
    }
}

#[tokio::test]
async fn what_holds_in_a_stream_is_seen_and_its_own_entry_alone_is_changed() {
    for addresses in [Addresses::clear(None), Addresses::hashed(key())] {
        let dir = TempDir::new().unwrap();
        let store = open_with(&dir.path().join("dsnd.db"), addresses).await.unwrap();
        store.put(put(0, Condition::default())).await.unwrap();
        let stands = store.entries_of(JANE, Some(7), contract::at(2)).await.unwrap();
        assert_eq!(stands.iter().map(|entry| entry.stream).collect::<Vec<_>>(), [0]);
        let removal = || Removal {
            address_key: JANE.to_owned(),
            stream: Some(7),
            now: contract::at(2),
            origin: AuditOrigin::Api,
            actor: None,
        };
        assert_eq!(store.take_off(removal(), Condition::default()).await.unwrap(), Edited::Done(false));
        // What stands for every stream lasts longer, and is not what this takes the place of.
        let seen = only(&version(&stands).unwrap());
        let mut new = Put { seen: Some(7), ..put(7, seen.clone()) };
        new.entry.expires_at = Some(contract::at(9));
        let made = store.put(new.clone()).await.unwrap();
        let Edited::Done(PutDone { created: true, entries }) = made else { panic!("{made:?}") };
        assert_eq!(entries, store.entries_of(JANE, Some(7), contract::at(2)).await.unwrap());
        assert_eq!(entries.len(), 2);
        assert_eq!(store.put(new).await.unwrap(), Edited::Changed);
        assert_eq!(store.take_off(removal(), seen).await.unwrap(), Edited::Changed);
        let seen = only(&version(&entries).unwrap());
        assert_eq!(store.take_off(removal(), seen).await.unwrap(), Edited::Done(true));
        assert_eq!(store.entries_of(JANE, None, contract::at(2)).await.unwrap(), stands);
        store.close().await;
    }
}

#[tokio::test]
async fn many_addresses_are_asked_about_as_one_would_be() {
    for addresses in [Addresses::clear(None), Addresses::hashed(key())] {
        let dir = TempDir::new().unwrap();
        let store = open_with(&dir.path().join("dsnd.db"), addresses).await.unwrap();
        store.put(put(7, Condition::default())).await.unwrap();
        store.put(put(0, Condition::default())).await.unwrap();
        let asked = [OTHER.to_owned(), JANE.to_owned(), JANE.to_owned()];
        for stream in [None, Some(7), Some(8)] {
            let now = contract::at(3);
            let standing = store.standing_of(&asked, stream, now).await.unwrap();
            let jane = store.standing(JANE, stream, now).await.unwrap();
            assert_eq!(standing[0], Standing::default());
            assert_eq!((&standing[1].entries, &standing[2]), (&jane, &standing[1]));
        }
        store.close().await;
    }
}
