//! The families that differ in data only: what opens a letter, where its addresses stand, and where the reason does.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::letter::Letter;
use super::service::Shape;
use super::{Family, Reading};

/// A family that is told by what opens its letters, and read by their layout.
#[derive(Debug)]
pub(super) struct Laid {
    name: &'static str,
    /// As [`Family::certain`].
    certain: bool,
    /// What opens a letter, in lower case; empty: what its addresses are listed after.
    opens: &'static [&'static str],
    shape: Shape,
}

impl Laid {
    /// Nothing, to fill in.
    const EMPTY: Self = Self { name: "", certain: false, opens: &[], shape: Shape::EMPTY };

    /// What opens a letter of this family.
    const fn phrases(&self) -> &'static [&'static str] {
        if self.opens.is_empty() { self.shape.listed_after } else { self.opens }
    }
}

/// What opens the letters of all families, and the family of each phrase.
static OPENINGS: LazyLock<(AhoCorasick, Vec<usize>)> = LazyLock::new(|| {
    let phrases = || {
        let families = TABLE.iter().enumerate();
        families.flat_map(|(at, family)| family.phrases().iter().map(move |phrase| (at, phrase)))
    };
    let kind = Some(AhoCorasickKind::ContiguousNFA);
    #[expect(clippy::expect_used, reason = "literals of this program, searched by its tests")]
    let searcher =
        AhoCorasick::builder().kind(kind).build(phrases().map(|(_, phrase)| phrase)).expect("short");
    (searcher, phrases().map(|(at, _)| at).collect())
});

/// The families of the table that may have written a letter that opens like this, in their order.
pub(super) fn opened_by(letter: &Letter<'_>) -> impl Iterator<Item = &'static Laid> {
    let (searcher, family_of) = &*OPENINGS;
    let mut found: Vec<_> = searcher
        .find_overlapping_iter(letter.opening_words())
        .map(|phrase| family_of[phrase.pattern()])
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|at| &TABLE[at])
}

impl Family for Laid {
    fn name(&self) -> &'static str {
        self.name
    }

    fn certain(&self) -> bool {
        self.certain
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        self.shape.read(letter)
    }
}

/// The table, in the order in which the families are asked.
pub(super) static TABLE: &[Laid] = &[
    // Gateways that list addresses by stars below "Delivery to the following recipients failed permanently", and
    // give `Technical details:`.
    Laid {
        name: "starred",
        opens: &["this is an automatically generated delivery status notification."],
        shape: Shape {
            listed_after: &[
                "recipients failed permanently:",
                "recipients was aborted after",
                "recipients is delayed",
            ],
            reason_after: &["technical details:"],
            delayed: &["recipients is delayed"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Gmail and Google Workspace before their reports were DSNs, and the same words without the machine's part.
    Laid {
        name: "gmail",
        shape: Shape {
            listed_after: &[
                "delivery to the following recipient failed permanently",
                "delivery to the following recipients failed permanently",
                "delivery to the following recipient has been delayed",
                "delivery to the following recipients has been delayed",
                "there was a temporary problem delivering your message to",
                "your message wasn't delivered to",
                "your message couldn't be delivered to",
            ],
            reason_after: &[
                "the error that the other server returned was:",
                "technical details of permanent failure:",
                "technical details of temporary failure:",
                "the response from the remote server was:",
                "the response was:",
            ],
            original: &["----- original message -----", "----- message header follows -----"],
            delayed: &[
                "has been delayed",
                "there was a temporary problem delivering",
                "technical details of temporary failure",
            ],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // T-Online, and smail before it: boxes of bars around "Failed addresses follow".
    Laid {
        name: "tonline",
        opens: &["- failed addresses follow:"],
        shape: Shape {
            listed_after: &["failed addresses follow:"],
            original: &["message header follows:", "message text follows:", "message follows:"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // DragonFly Mail Agent: one recipient a letter, the reply below a line about the failing command.
    Laid {
        name: "dragonfly",
        opens: &["this is the dragonfly mail agent"],
        shape: Shape {
            listed_after: &["there was an error delivering your mail to"],
            original: &["message headers follow", "original message follows"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Trustwave MailMarshal: the reason before the recipients.
    Laid {
        name: "mailmarshal",
        shape: Shape {
            listed_after: &["the following recipients were affected:"],
            reason_after: &["could not be delivered because of"],
            original: &["additional information"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // m-FILTER of Digital Arts and mail hubs of its kind: addresses, then `-------server message`.
    Laid {
        name: "mfilter",
        opens: &["-------server message"],
        shape: Shape {
            listed_after: &["以下のメールアドレスへの送信に失敗しました", "failed to send to the following"],
            reason_after: &["-------server message"],
            reason_until: &["-------smtp command"],
            original: &["-------original message", "-------original mail info"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // KDDI's au one net: "Your mail sent on … Could not be delivered to".
    Laid {
        name: "kddi",
        certain: true,
        opens: &["your mail sent on:", "your mail attempted to be delivered on:"],
        shape: Shape { listed_after: &["could not be delivered to:"], ..Shape::EMPTY },
    },
    // Biglobe and other gateways of Japanese providers: addresses with delivery problems, then information.
    Laid {
        name: "biglobe",
        opens: &["----- the following addresses had delivery problems -----"],
        shape: Shape {
            listed_after: &["the following addresses had delivery problems"],
            reason_after: &["----- non-delivered information -----"],
            original: &["----- original message", "----- message header"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // MailFoundry appliances.
    Laid {
        name: "mailfoundry",
        opens: &["unable to deliver message to: <"],
        shape: Shape {
            listed_after: &["unable to deliver message to:"],
            reason_after: &["delivery failed for the following reason:"],
            reason_until: &["this has been a permanent failure"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // MX Logic, later McAfee SaaS: `<address>: reply` after Exim's opening words.
    Laid {
        name: "mxlogic",
        opens: &["a message that you have sent could not be delivered to one or more"],
        shape: Shape {
            listed_after: &["the following address failed:", "the following addresses failed:"],
            original: &["included is a copy of the message header"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // McAfee WebShield and Email Gateway: addresses with delivery problems, the reason in parentheses.
    Laid {
        name: "mcafee",
        opens: &["--- the following addresses had delivery problems ---"],
        shape: Shape {
            listed_after: &["the following addresses had delivery problems"],
            reason_until: &["original message"],
            original: &["--- original message", "---original message"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Mimecast: "The problem appears to be", then further lines set off by two hyphens.
    Laid {
        name: "mimecast",
        opens: &["this is a delivery failure notification message indicating that"],
        shape: Shape {
            listed_after: &["addressed to email address"],
            reason_after: &["the problem appears to be", "additional information follows"],
            reason_until: &["with subject", "this condition occurred"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // MailEnable, and Merak before it: `Recipient:` and `Reason:`.
    Laid {
        name: "mailenable",
        opens: &[
            "mailenable: message could not be delivered",
            "could not deliver message to the following recipient(s):",
        ],
        shape: Shape {
            listed_after: &["recipient: [smtp:", "failed recipient:"],
            reason_after: &["reason:"],
            original: &["message headers follow", "-- the header and top"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Gateways that put the reason in brackets behind the address, below "addresses had delivery errors".
    Laid {
        name: "bracketed",
        opens: &["---the following addresses had delivery errors---"],
        shape: Shape {
            listed_after: &["the following addresses had delivery errors"],
            reason_after: &["transcript of session follows"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Hosted filters whose letters open with "We had trouble delivering your message".
    Laid {
        name: "trouble",
        opens: &["we had trouble delivering your message"],
        shape: Shape {
            listed_after: &[
                "the following recipients returned permanent errors:",
                "the following recipients returned temporary errors:",
            ],
            reason_until: &["the attachment contains"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // SurfControl E-mail Filter: a transcript of the attempts.
    Laid {
        name: "surfcontrol",
        opens: &["a transcript of the attempts to send the message follows", "addressed to:"],
        shape: Shape {
            listed_after: &["addressed to:"],
            reason_after: &["failed to send to identified host", "failed to send to "],
            reason_until: &["message non-deliverable"],
            original: &["--- message non-deliverable"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Barracuda gateways: "could not be delivered to the following recipients" with the reason below.
    Laid {
        name: "barracuda",
        opens: &[
            "your message could not be delivered to the following recipients",
            "message could not be delivered to the following recipients",
        ],
        shape: Shape {
            listed_after: &["could not be delivered to the following recipients"],
            reason_after: &["reason:", "the reason given"],
            original: &["original message", "message headers"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Prodigy and its heirs: `User's mailbox is full: <address>`.
    Laid {
        name: "prodigy",
        opens: &["user's mailbox is full: <"],
        shape: Shape {
            listed_after: &["user's mailbox is full:"],
            reason_until: &["unable to deliver mail"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Cisco IronPort without its machine's part: "The following message to <…> was undeliverable".
    Laid {
        name: "ironport",
        shape: Shape {
            listed_after: &["the following message to <"],
            reason_after: &["the reason for the problem:"],
            original: &["original message"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Symantec.cloud, before it MessageLabs.
    Laid {
        name: "messagelabs",
        opens: &["this is the mail delivery agent at"],
        shape: Shape {
            listed_after: &["i was unable to deliver your message to the following address"],
            reason_after: &["reason:"],
            reason_until: &["the message subject was:"],
            original: &["original message", "message headers"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // FrontBridge, later Microsoft's hosted filter: "Your message to: … has not yet been delivered because".
    Laid {
        name: "frontbridge",
        opens: &["this is an automated message created by mail delivery software"],
        shape: Shape {
            listed_after: &["your message to:"],
            reason_after: &["delivered because"],
            reason_until: &["this is just a warning"],
            delayed: &["has not yet been delivered"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Hosts that say "Sorry, unable to deliver your message to … for the following reason".
    Laid {
        name: "sorry",
        opens: &["sorry, unable to deliver your message to "],
        shape: Shape {
            listed_after: &["unable to deliver your message to "],
            reason_after: &["the following reason:"],
            reason_until: &["a copy of the original message"],
            original: &["a copy of the original message"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // French gateways that say it twice, with the address below each sentence.
    Laid {
        name: "bilingual",
        certain: true,
        opens: &[
            "votre message n'a pas pu etre delivre a",
            "votre message n'a pas pu être délivré à",
            "votre message n'a pas pu être remis à",
        ],
        shape: Shape {
            listed_after: &[
                "votre message n'a pas pu etre delivre a",
                "votre message n'a pas pu être délivré à",
                "votre message n'a pas pu être remis à",
                "your message could not be delivered to",
            ],
            original: &["message original", "original message"],
            ..Shape::EMPTY
        },
    },
    // Gateways that name the address behind a label of their own, as usa.net and HotPOP did.
    Laid {
        name: "labelled",
        shape: Shape {
            listed_after: &[
                "undeliverable address:",
                "intended recipient:",
                "failing recipient:",
                "undelivered recipient:",
            ],
            reason_after: &["reason:", "error:"],
            original: &["returned mail follows", "original message", "message headers"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
    // Gateways with a directory of their own: "The address to which your message was addressed, …, did not exactly
    // match".
    Laid {
        name: "directory",
        certain: true,
        shape: Shape {
            listed_after: &["which your message was addressed, "],
            reason_until: &["the following locator information"],
            original: &["original message as received"],
            ..Shape::EMPTY
        },
        ..Laid::EMPTY
    },
];
