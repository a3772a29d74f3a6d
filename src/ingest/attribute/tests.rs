//! Who is acted upon, for every way in which a report names, hides or forges its recipient.

use jiff::Timestamp;

use super::*;
use crate::address::ForwardPath;
use crate::returnpath::{Prefix, ReturnPaths};

const US: &str = "User@shop.example";

fn keys() -> Keys {
    Keys::parse("1 000102030405060708090a0b0c0d0e0f").unwrap()
}

fn mint(recipient: &str, readable: bool) -> ReturnPath {
    let keys = keys();
    let mailbox = Mailbox::parse(recipient).unwrap();
    let form = mailbox.comparison_form();
    let token = Token::mint(keys.newest().unwrap(), &form, 7, Timestamp::now()).unwrap();
    let prefix = Prefix::default();
    let local = if readable { prefix.readable(&token, &mailbox) } else { prefix.blind(&token) };
    accepted(&local)
}

fn accepted(local_part: &str) -> ReturnPath {
    let paths = ReturnPaths::new(&["b.example".to_owned()], vec!["*".parse().unwrap()]).with_tokens(
        keys(),
        Prefix::default(),
        14,
    );
    let path = ForwardPath::Mailbox(Mailbox::new(local_part, "b.example").unwrap());
    paths.judge(&path, Timestamp::now()).unwrap()
}

/// A report with groups of (Original-Recipient, Final-Recipient), and what stands before and in the other parts.
fn report(groups: &[(&str, &str)], header: &str, text: &str, returned: &str) -> Report {
    let fields: String = groups
        .iter()
        .map(|(original, last)| {
            let original = if original.is_empty() {
                String::new()
            } else {
                format!("Original-Recipient: rfc822; {original}\n")
            };
            let last =
                if last.is_empty() { String::new() } else { format!("Final-Recipient: rfc822; {last}\n") };
            format!("{original}{last}Action: failed\nStatus: 5.1.1\n\n")
        })
        .collect();
    let message = format!(
        "From: MAILER-DAEMON@mx.example\n{header}MIME-Version: 1.0\nContent-Type: multipart/report; \
         report-type=delivery-status; boundary=b\n\n--b\nContent-Type: text/plain\n\n{text}\n--b\n\
         Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n{fields}--b\n\
         Content-Type: text/rfc822-headers\n\n{returned}\n\n--b--\n"
    );
    Report::parse(message.as_bytes())
}

fn attributed(paths: &[ReturnPath], report: &Report) -> Vec<(Option<String>, &'static str, bool)> {
    let value = |fields: &RecipientFields| {
        let address = fields.original_recipient.as_ref().or(fields.final_recipient.as_ref())?;
        Some(address.value.clone())
    };
    let named = report.recipients.iter().map(value).collect();
    let all = attribute(&keys(), paths, report, named);
    assert_eq!(all.len(), report.recipients.len());
    for one in &all {
        let stream = if one.trust == Trust::Proven || one.applies { 7 } else { ANY_STREAM };
        assert_eq!(one.stream, stream, "{one:?}");
    }
    all.into_iter().map(|one| (one.recipient, one.trust.as_str(), one.applies)).collect()
}

fn one(paths: &[ReturnPath], report: &Report) -> (Option<String>, &'static str, bool) {
    attributed(paths, report).remove(0)
}

fn is(recipient: &str, trust: &'static str, applies: bool) -> (Option<String>, &'static str, bool) {
    (Some(recipient.to_owned()), trust, applies)
}

#[test]
fn the_recipient_is_found_wherever_the_report_names_him() {
    let token = [mint(US, false)];
    for (groups, header, text, returned) in [
        ((US, "forward@y.example"), "", "", ""),
        (("alias@y.example", US), "", "", ""),
        (("User+40shop.example", "x"), "", "", "To: user@shop.example"),
        (("", "forward@y.example"), "X-Failed-Recipients: user@shop.example\n", "", ""),
        (("", "forward@y.example"), "", "", "To: other@x.example, Us <USER@shop.example>"),
        (("", "forward@y.example"), "", "", "Cc: user@SHOP.example"),
        (("", "forward@y.example"), "", "", "Delivered-To: user@shop.example"),
        (("", "forward@y.example"), "", "I could not reach <user@shop.example>.", ""),
        (("", "forward@y.example"), "", "Mail to user@shop.example.\nfailed", ""),
        (("", ""), "", "", "To: user@shop.example"),
    ] {
        let report = report(&[groups], header, text, returned);
        let (recipient, trust, applies) = one(&token, &report);
        assert_eq!((trust, applies), ("proven", true), "{groups:?} {header} {text} {returned}");
        assert_eq!(comparison_form(&recipient.unwrap()), comparison_form(US));
        let last = report.recipients[0].final_recipient.as_ref().map_or("", |address| &address.value);
        assert_eq!(last, groups.1, "what the report says stays as it is");
    }
}

#[test]
fn an_address_that_an_mta_left_encoded_is_still_the_one_we_mailed() {
    let report = report(&[("a+2Bb@x.example", "c@y.example")], "", "", "");
    assert_eq!(one(&[mint("a+b@x.example", false)], &report), is("a+b@x.example", "proven", true));
}

#[test]
fn a_report_that_names_nobody_we_mailed_counts_only_for_a_readable_token() {
    let report = report(&[("", "ceo@customer.example")], "", "call ceo@customer.example", "To: x@y.example");
    assert_eq!(one(&[mint(US, false)], &report), is("ceo@customer.example", "token_only", false));
    assert_eq!(one(&[mint("user@shop.example", true)], &report), is("user@shop.example", "token_only", true));
}

#[test]
fn a_token_opens_only_its_own_group() {
    let groups = [("", "ceo@customer.example"), ("", US), ("", "x@y.example")];
    let report =
        report(&groups, "X-Failed-Recipients: ceo@customer.example\n", "", "To: ceo@customer.example");
    let said = attributed(&[mint(US, true)], &report);
    assert_eq!(
        said,
        [
            is("ceo@customer.example", "token_only", false),
            is(US, "proven", true),
            is("x@y.example", "token_only", false)
        ]
    );
}

/// One message to two people under the token of the first: what befalls the second is not the first one's.
#[test]
fn another_addressee_of_the_same_message_is_no_forward() {
    let gone = "gone@other.example";
    let both = "To: user@shop.example\nCc: Gone@Other.example";
    for (groups, header, text, returned) in [
        (("", gone), "", "", both),
        ((gone, gone), "", "<gone@other.example>: user unknown", both),
        ((gone, "x"), "", "", "To: user@shop.example"),
        (("gone+40other.example", "x"), "", "", "To: user@shop.example"),
        (("", gone), "X-Failed-Recipients: gone@other.example\n", "Your mail to user@shop.example", both),
        (("", "forward@y.example"), "X-Failed-Recipients: gone@other.example\n", "", both),
        (("", "forward@y.example"), "", "<forward@y.example> (expanded from <gone@other.example>): no", both),
        (("", ""), "", "<gone@other.example>: user unknown", both),
        (("", gone), "", "", "To: user@shop.example\nDelivered-To: gone@other.example"),
    ] {
        let report = report(&[groups], header, text, returned);
        for readable in [false, true] {
            let (_, trust, applies) = one(&[mint(US, readable)], &report);
            assert_eq!((trust, applies), ("token_only", false), "{groups:?} {header} {text} {returned}");
        }
        if groups.1 == gone {
            let verp = [accepted("bounces+user=shop.example")];
            assert_eq!(one(&verp, &report), is(gone, "unsigned", false), "{groups:?}");
        }
    }
    let mut complaint = report(&[("forward@y.example", "")], "", "", "To: user@shop.example");
    complaint.kind = ReportKind::Feedback;
    assert_eq!(one(&[mint(US, false)], &complaint).1, "proven", "who complains may have been forwarded to");
    let named = report(&[("", "forward@y.example")], "", "Your mail to <user@shop.example> failed.", both);
    assert_eq!(one(&[mint(US, false)], &named), is("user@shop.example", "proven", true));
}

#[test]
fn a_quoted_local_part_is_found_with_and_without_its_quotes() {
    let odd = "\"odd name\"@shop.example";
    for (groups, text, returned) in [
        (("", odd), "", ""),
        (("", "odd name@shop.example"), "", ""),
        (("\"odd+20name\"@shop.example", "x"), "", ""),
        (("", "forward@y.example"), "No <\"odd name\"@shop.example>: gone", ""),
        (("", "forward@y.example"), "", "To: Odd <\"odd name\"@shop.example>, other@x.example"),
    ] {
        let report = report(&[groups], "", text, returned);
        let (recipient, trust, _) = one(&[mint(odd, false)], &report);
        assert_eq!(trust, "proven", "{groups:?} {text} {returned}");
        assert_eq!(comparison_form(&recipient.unwrap()), odd, "{groups:?}");
    }
}

#[test]
fn an_alias_with_two_targets_is_the_recipient_of_the_first_that_failed() {
    let two = [("", "x@y.example"), ("", "z@y.example")];
    let forwards = report(&two, "", "", "");
    let first = |recipient, trust| [is(recipient, trust, true), is("z@y.example", "token_only", false)];
    assert_eq!(
        attributed(&[mint("user@shop.example", true)], &forwards),
        first("user@shop.example", "token_only")
    );
    let neither = two.map(|(_, forward)| is(forward, "token_only", false));
    assert_eq!(attributed(&[mint(US, false)], &forwards), neither, "a blind token names nobody");
    assert_eq!(attributed(&[mint("a@x.example", true), mint("b@x.example", true)], &forwards), neither);
    let returned = report(&two, "", "", "To: user@shop.example");
    assert_eq!(attributed(&[mint(US, false)], &returned), first("user@shop.example", "proven"));
    let mut delayed = forwards.clone();
    delayed.recipients[0].action = Some(Action::Delayed);
    let second = [is("x@y.example", "token_only", false), is("user@shop.example", "token_only", true)];
    assert_eq!(attributed(&[mint("user@shop.example", true)], &delayed), second);
    delayed.recipients[1].action = Some(Action::Delivered);
    assert_eq!(attributed(&[mint("user@shop.example", true)], &delayed), neither);
}

#[test]
fn every_token_stands_for_itself_and_two_that_fit_elsewhere_for_nobody() {
    let groups = [("", "a@x.example"), ("", "b@x.example"), ("", "c@x.example")];
    let paths = [mint("a@x.example", false), mint("c@x.example", false), accepted("bounces")];
    let trusts: Vec<_> =
        attributed(&paths, &report(&groups, "", "", "")).into_iter().map(|(_, trust, _)| trust).collect();
    assert_eq!(trusts, ["proven", "token_only", "proven"]);
    let vague = report(&[("", "forward@y.example")], "", "", "To: a@x.example, c@x.example");
    assert_eq!(one(&paths, &vague), is("forward@y.example", "token_only", false));
    let twice = [mint(US, false), mint(US, false), mint("user@shop.example", true)];
    assert_eq!(one(&twice, &report(&[("", US)], "", "", "")).1, "proven");
}

#[test]
fn without_a_token_nothing_is_proven_and_verp_says_whom_we_mailed() {
    let report = report(&[("", "forward@y.example")], "", "", "To: user@shop.example");
    assert_eq!(one(&[accepted("bounces")], &report), is("forward@y.example", "unsigned", false));
    assert_eq!(one(&[accepted("bounces+a=x.example")], &report), is("a@x.example", "unsigned", false));
    let two = [accepted("bounces+a=x.example"), accepted("bounces+b=x.example")];
    assert_eq!(one(&two, &report), is("forward@y.example", "unsigned", false));
}
