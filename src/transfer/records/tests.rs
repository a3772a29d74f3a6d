use super::*;

/// Whole records with their lines; broken ones with `!` and what is wrong.
fn told(record: &Record<'_>) -> String {
    match record {
        Record::Whole { line, bytes } => format!("{line} {}", String::from_utf8_lossy(bytes)),
        Record::Broken { line, bytes, what } => format!("{line}! {what}, {} octets", bytes.len()),
    }
}

/// Every record of a text that comes in pieces of that many octets.
fn all(text: &[u8], piece: usize, mut next: impl FnMut(&mut Records) -> Option<String>) -> Vec<String> {
    let mut records = Records::new();
    let mut found = Vec::new();
    for bytes in text.chunks(piece) {
        records.feed(bytes);
        while let Some(record) = next(&mut records) {
            found.push(record);
        }
        assert!(records.rest().0.len() <= MAX_RECORD + piece, "what is kept is bounded");
    }
    records.end();
    while let Some(record) = next(&mut records) {
        found.push(record);
    }
    found
}

fn rows(text: &[u8], piece: usize) -> Vec<String> {
    all(text, piece, |records| records.next_row(b',').map(|record| told(&record)))
}

fn values(text: &str, piece: usize) -> Result<Vec<String>, ListError> {
    let mut document = Document::default();
    let mut failed = None;
    let found = all(text.as_bytes(), piece, |records| match records.next_value(&mut document) {
        Ok(record) => record.map(|record| told(&record)),
        Err(error) => {
            failed.get_or_insert(error);
            None
        }
    });
    failed.map_or(Ok(found), Err)
}

use super::super::ListError;

#[test]
fn lines_end_with_lf_or_crlf_or_the_text() {
    for piece in [1, 2, 3, 100] {
        let found = all(b"a\r\nb\n\nc", piece, |records| records.next_line().map(|record| told(&record)));
        assert_eq!(found, ["1 a", "2 b", "3 ", "4 c"], "{piece}");
    }
}

#[test]
fn a_quoted_field_may_hold_the_end_of_a_line() {
    for piece in [1, 2, 7, 100] {
        let found = rows(b"a,\"x\r\ny\"\"\nz\",b\r\nc,d \"e\" f\ng", piece);
        assert_eq!(found, ["1 a,\"x\r\ny\"\"\nz\",b", "4 c,d \"e\" f", "5 g"], "{piece}");
    }
}

#[test]
fn a_quote_that_stays_open_costs_its_own_line() {
    for piece in [1, 1_000, 1 << 20] {
        assert_eq!(
            rows(b"a\n\"b\nc\nd", piece),
            ["1 a", &format!("2! {OPEN_QUOTE}, 2 octets"), "3 c", "4 d"]
        );
    }
    let mut text = b"a\n\"b\n".to_vec();
    (0..20_000).for_each(|number| text.extend_from_slice(format!("line {number}\n").as_bytes()));
    let found = rows(&text, 10_000);
    assert_eq!(found.len(), 20_002);
    assert_eq!(found[1..3], [format!("2! {OPEN_QUOTE}, 2 octets"), "3 line 0".to_owned()]);
}

#[test]
fn a_row_that_swallowed_its_neighbour_gives_it_back() {
    let mut records = Records::new();
    records.feed(b"\"a,b\nc,\"d\ne\n");
    assert_eq!(told(&records.next_row(b',').unwrap()), "1 \"a,b\nc,\"d");
    assert_eq!(told(&records.split_row().unwrap()), format!("1! {OPEN_QUOTE}, 4 octets"));
    assert_eq!(records.next_row(b','), None, "its quote may be closed yet");
    records.end();
    assert_eq!(told(&records.next_row(b',').unwrap()), format!("2! {OPEN_QUOTE}, 4 octets"));
    assert_eq!(told(&records.next_row(b',').unwrap()), "3 e");
    assert_eq!(records.split_row(), None);
}

#[test]
fn a_line_that_is_too_long_costs_itself_alone() {
    for quote in ["", "\""] {
        let text = [b"a\n", quote.as_bytes(), &vec![b'x'; 3 * MAX_RECORD], b"\nb\n"].concat();
        for piece in [1_000, 70_000, 1 << 20] {
            let found = rows(&text, piece);
            assert_eq!(found, ["1 a", &format!("2! {TOO_LONG}, {MAX_RECORD} octets"), "3 b"], "{piece}");
        }
    }
}

#[test]
fn the_values_of_a_list_are_found_one_by_one() {
    for piece in [1, 3, 1_000] {
        let list = "[ {\"a\": \"]}\\\"\"},\n {\"b\": [1, {}]} , \"c\" ]";
        assert_eq!(values(list, piece).unwrap(), ["1 {\"a\": \"]}\\\"\"}", "2 {\"b\": [1, {}]}", "2 \"c\""]);
        let pages = "{\"next\": \"items\", \"deep\": {\"items\": [{}]},\n\"Items\": [{\"a\": 1}], \"x\": [{}]}\n\
                     {\"Suppressions\": [{\"b\": 2}]}";
        assert_eq!(values(pages, piece).unwrap(), ["2 {\"a\": 1}", "3 {\"b\": 2}"]);
    }
    let long = format!("[{{\"a\": \"{}\"}}, {{}}]", "x".repeat(3 * MAX_RECORD));
    for piece in [1_000, 1 << 20] {
        let found = values(&long, piece).unwrap();
        assert_eq!(found, [format!("1! {TOO_LONG}, {MAX_RECORD} octets"), "1 {}".to_owned()], "{piece}");
    }
}

#[test]
fn a_document_that_is_broken_says_where() {
    for (text, line) in [("[{}\n", 2), ("[{}]]", 1), ("{\n]", 2), ("\n[1]", 2), ("[\"x", 1), ("x", 1)] {
        let error = values(text, 3).unwrap_err();
        assert!(matches!(error, ListError::Json { line: at, .. } if at == line), "{text}: {error}");
    }
    assert!(values(&"[".repeat(100), 10).is_err());
}
