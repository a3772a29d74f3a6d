//! What is no bounce, through to what it does: complaints suppress, answers of machines do nothing, and ordinary
//! mail names nobody.

use std::fs;
use std::path::Path;

use dsnd::classify::{Class, Classifier, Decision};
use dsnd::ingest::assess;
use dsnd::report::Report;

/// The name of a message, and of each recipient the address, the class and the decision.
type Results = Vec<(String, Vec<(Option<String>, Class, Decision)>)>;

/// The classes and decisions of the recipients of every golden message whose name begins like this.
fn results(prefix: &str, at_least: usize) -> Results {
    let classifier = Classifier::embedded().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reports");
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with(prefix) || !name.ends_with(".eml") {
            continue;
        }
        let report = Report::parse(&fs::read(&path).unwrap());
        let assessed = report.recipients.iter().map(|fields| assess(&classifier, &report, fields));
        let brief = |one: dsnd::ingest::Assessed| {
            (one.recipient, one.classification.class, one.classification.decision)
        };
        all.push((name, assessed.map(brief).collect()));
    }
    assert!(all.len() >= at_least, "only {} messages named {prefix}", all.len());
    all
}

#[test]
fn only_complaints_about_abuse_and_wishes_to_be_left_alone_suppress() {
    for (name, recipients) in results("arf-", 13) {
        let harmless =
            ["arf-not-spam.eml", "arf-virus.eml", "arf-auth-failure.eml", "arf-no-machine-part-no-words.eml"];
        assert!(!recipients.is_empty(), "{name}");
        for (recipient, class, decision) in recipients {
            let complaint = class == Class::Complaint && decision == Decision::Complaint;
            assert_eq!(complaint, !harmless.contains(&name.as_str()), "{name}");
            if !complaint {
                assert!(matches!(decision, Decision::Ignore | Decision::Sender), "{name}: {decision}");
            }
            let hidden = ["arf-redacted.eml", "arf-text-only.eml"].contains(&name.as_str());
            assert_eq!(recipient.is_none(), hidden, "{name}: {recipient:?}");
        }
    }
}

#[test]
fn answers_of_machines_do_nothing() {
    for (prefix, at_least, class) in [
        ("autoreply-", 19, Class::AutoReply),
        ("challenge-", 4, Class::Challenge),
        ("mdn-", 2, Class::AutoReply),
    ] {
        for (name, recipients) in results(prefix, at_least) {
            let expected = [(Some("ida@plants.example".to_owned()), class, Decision::Ignore)];
            assert_eq!(recipients, expected, "{name}");
        }
    }
}

#[test]
fn ordinary_mail_names_nobody() {
    for (name, recipients) in results("ordinary-", 7) {
        assert!(recipients.is_empty(), "{name}: {recipients:?}");
    }
}

#[test]
fn our_own_list_and_deliveries_suppress_nobody() {
    for (name, recipients) in results("service-ses-", 9) {
        let suppresses = recipients
            .iter()
            .any(|(_, _, decision)| matches!(decision, Decision::Suppress | Decision::Complaint));
        let right = [
            "service-ses-bounce.eml",
            "service-ses-bounce-sns-folded.eml",
            "service-ses-bounce-suppressed.eml",
            "service-ses-complaint.eml",
        ];
        assert_eq!(suppresses, right.contains(&name.as_str()), "{name}: {recipients:?}");
    }
}

#[test]
fn people_who_write_of_mail_that_failed_name_nobody() {
    for letter in [
        "From: joe@customer.example\nSubject: My undelivered mail to anna@x.example\n\n\
         Hello, my mail to anna@x.example could not be delivered. user unknown. Please help.\n",
        "From: tracking@courier.example\nSubject: Delivery failed: your parcel\n\n\
         We were unable to deliver your parcel to the recipient anna@x.example. invalid address\n",
        "From: news@shop.example\nSubject: Your weekly mail delivery report\n\n\
         Failed recipients: anna@x.example (mailbox full), bob@x.example user unknown\n",
    ] {
        let report = Report::parse(letter.as_bytes());
        assert!(report.recipients.is_empty(), "{letter}: {:?}", report.recipients);
    }
}
