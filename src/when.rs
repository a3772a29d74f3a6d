//! Points in time as people write them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A time that may be over: one, a date (its beginning, in UTC), or how long ago: `2026-11-21T20:00:00Z`, `2026-11-21`, `90m`, `2h`, `3d`.
///
/// # Errors
/// What can be written, where this cannot.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    // Whole seconds, as the database has them.
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
    before(text, now).ok_or_else(|| {
        "write a time such as 2026-11-21T20:00:00Z, a date such as 2026-11-21, or how long ago: 90m, 2h, 3d, 1w"
            .to_owned()
    })
}

/// A time or a date to come, or how long from now: `2027-01-01`, `90d`.
///
/// # Errors
/// What can be written, where this cannot or is over.
pub fn later(text: &str) -> Result<Timestamp, String> {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
    let at = moment(text).or_else(|| now.checked_add(duration(text)?).ok());
    at.filter(|at| *at > now).ok_or_else(|| {
        "write a time to come such as 2027-11-21T20:00:00Z, a date such as 2027-11-21, or how long from now: 12h, 90d"
            .to_owned()
    })
}

fn before(text: &str, now: Timestamp) -> Option<Timestamp> {
    moment(text).or_else(|| now.checked_sub(duration(text)?).ok())
}

fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let date = text.parse::<Date>().ok().filter(|_| text.len() == "2026-11-21".len())?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn duration(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - unit.len_utf8()];
    let number: u32 = digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some(SignedDuration::from_secs(i64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_dates_and_durations_are_understood_and_nothing_else() {
        let now: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        for (text, at) in [
            ("2026-11-01T10:00:00Z", "2026-11-01T10:00:00Z"),
            ("2026-11-01T12:00:00+02:00", "2026-11-01T10:00:00Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("30s", "2026-11-21T19:59:30Z"),
            ("90m", "2026-11-21T18:30:00Z"),
            ("2h", "2026-11-21T18:00:00Z"),
            ("3d", "2026-11-18T20:00:00Z"),
            ("1w", "2026-11-14T20:00:00Z"),
        ] {
            assert_eq!(before(text, now), Some(at.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "h",
            "-2h",
            "+2h",
            "2",
            "2y",
            "2 h",
            "yesterday",
            "2026-13-01",
            "99999999999d",
            "4294967295w",
            "2ü",
        ] {
            assert_eq!(before(text, now), None, "{text:?}");
        }
    }
}
