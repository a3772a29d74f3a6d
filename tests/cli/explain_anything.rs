//! `dsnd explain` on any file ends in a result.

use std::process::Stdio;

use proptest::prelude::*;

use crate::common::{Home, hard_bounce, json_lines};

/// A program is started a case, so many files go into one.
const FILES: usize = 60;

/// Pieces that steer a reader of reports into its corners.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"Content-Type: multipart/report; boundary=b\r\n\r\n",
        b"\r\n--b\r\n",
        b"\r\n--b--\r\n",
        b"Content-Type: message/delivery-status\r\n\r\n",
        b"Content-Type: message/rfc822\n\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Reporting-MTA: dns; mx.example.org\r\n\r\n",
        b"Final-Recipient: rfc822; a@example.net\r\n",
        b"Original-Recipient: ;\r\n",
        b"Action: failed\r\nStatus: 5.1.1\r\n",
        b"Diagnostic-Code: smtp; 550-5.1.1 no\r\n such user\r\n",
        b"Subject: =?utf-8?B?",
        b"From: \"<",
        b"\r\n\r\n",
        b"\0\xff\xfe",
    ];
    prop_oneof![3 => prop::sample::select(known).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..80)]
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2_000),
        prop::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat()),
        // A good report with one octet gone wrong, or cut off.
        (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(|(at, octet, cut)| {
            let mut report = hard_bounce("damaged", "a@example.net");
            let at = at.index(report.len());
            report[at] = octet;
            report.truncate(if cut { at } else { report.len() });
            report
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_file_is_explained(files in prop::collection::vec(file(), FILES)) {
        let home = Home::new();
        let names: Vec<String> = (0..files.len()).map(|index| format!("{index}.eml")).collect();
        for (name, content) in names.iter().zip(&files) {
            home.file(name, content);
        }
        for form in [&["explain", "--json"][..], &["explain"]] {
            let mut arguments = form.to_vec();
            arguments.extend(names.iter().map(String::as_str));
            let output = home.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
            prop_assert_eq!(output.status.code(), Some(0), "{:?}", output);
            prop_assert_eq!(std::str::from_utf8(&output.stderr), Ok(""));
            if form.len() == 2 {
                let sources: Vec<String> = json_lines(&output.stdout)
                    .iter()
                    .map(|message| message["source"].as_str().unwrap().to_owned())
                    .collect();
                prop_assert_eq!(&sources, &names, "an object a message");
            } else {
                prop_assert!(!output.stdout.contains(&0x1b), "no file steers the terminal");
            }
        }
    }
}
