//! Points in time as lists write them.

use jiff::civil::{Date, DateTime};
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Numbers above this are milliseconds: as seconds they would be thousands of years ahead.
const MILLISECONDS: f64 = 1e11;

/// A time in whole seconds, as the database has them: RFC 3339, seconds since 1970 (also with a fraction, or in
/// milliseconds), RFC 5322 as Mailgun writes it, and times and dates without a zone, which are UTC.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let at = text.parse().ok().or_else(|| number(text)).or_else(|| civil(text)).or_else(|| mail(text))?;
    Timestamp::from_second(at.as_second()).ok().filter(|at| *at >= Timestamp::UNIX_EPOCH)
}

fn number(text: &str) -> Option<Timestamp> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
    let number: f64 = digits.then(|| text.parse().ok())??;
    let seconds = if number > MILLISECONDS { number / 1_000.0 } else { number };
    Timestamp::UNIX_EPOCH.checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}

fn civil(text: &str) -> Option<Timestamp> {
    let text = [" UTC", " GMT", " +0000"].iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(text);
    let at = text.parse::<DateTime>().ok().or_else(|| Some(text.parse::<Date>().ok()?.into()))?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn mail(text: &str) -> Option<Timestamp> {
    // RFC 5322 §4.3 has no "UTC".
    let text = text.strip_suffix("UTC").map_or_else(|| text.to_owned(), |text| format!("{text}GMT"));
    rfc2822::DateTimeParser::new().parse_timestamp(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_moment_is_that_moment() {
        let at: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        for text in [
            "2026-11-20T10:00:00Z",
            "2026-11-20T10:00:00.837+00:00",
            "2026-11-20T05:00:00-05:00",
            "2026-11-20 10:00:00",
            "2026-11-20 10:00:00 UTC",
            "2026-11-20T10:00:00",
            "1795168800",
            "1795168800.077",
            "1795168800077",
            "Fri, 20 Nov 2026 10:00:00 UTC",
            "Fri, 20 Nov 2026 10:00:00 GMT",
            "Fri, 20 Nov 2026 12:00:00 +0200",
        ] {
            assert_eq!(parse(text), Some(at), "{text}");
        }
        assert_eq!(parse("2026-11-20"), Some("2026-11-20T00:00:00Z".parse().unwrap()));
        for text in ["", "yesterday", "-5", "1969-12-31", "2026-13-01", "1e999", "."] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
