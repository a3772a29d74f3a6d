//! Entity tags and the conditions made of them (RFC 9110 §8.8.3, §13.1).

use axum::http::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName};

use super::problem::Problem;
use crate::store::{Condition, Versions};

/// The condition that a request's headers are.
///
/// # Errors
/// 400 for what are no entity tags.
pub(super) fn condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    Ok(Condition { matches: versions(headers, IF_MATCH)?, none_matches: versions(headers, IF_NONE_MATCH)? })
}

/// The header with a version as a strong entity tag.
pub(super) fn etag(version: &str) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::from_str(&format!("\"{version}\""));
    (ETAG, value.unwrap_or_else(|_| HeaderValue::from_static("\"\"")))
}

fn versions(headers: &HeaderMap, name: HeaderName) -> Result<Option<Versions>, Problem> {
    let values = || headers.get_all(&name).iter();
    if values().next().is_none() {
        return Ok(None);
    }
    let wrong = || {
        let detail = format!("{name} takes \"*\" or entity tags, such as \"5d41402abc4b2a76b9719d91\"");
        Problem::bad_request(detail).at(name.as_str())
    };
    let mut known = Vec::new();
    for value in values() {
        let value = value.to_str().map_err(|_| wrong())?.trim();
        if value == "*" {
            return Ok(Some(Versions::Any));
        }
        let mut rest = value;
        // RFC 9110 §5.6.1.2: empty elements of a list are passed over.
        while let Some(tag) = Some(rest.trim_start_matches([',', ' ', '\t'])).filter(|rest| !rest.is_empty())
        {
            // Ours are strong; a weak one never matches in If-Match, and matches the same in If-None-Match.
            let (weak, quoted) = tag.strip_prefix("W/").map_or((false, tag), |quoted| (true, quoted));
            let (tag, behind) =
                quoted.strip_prefix('"').and_then(|tag| tag.split_once('"')).ok_or_else(wrong)?;
            known.push(if weak && name == IF_MATCH { String::new() } else { tag.to_owned() });
            rest = behind.trim_start();
            if !(rest.is_empty() || rest.starts_with(',')) {
                return Err(wrong());
            }
        }
    }
    Ok(Some(Versions::These(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: HeaderName, value: &str) -> Result<Option<Versions>, Problem> {
        versions(&HeaderMap::from_iter([(name.clone(), value.parse().unwrap())]), name)
    }

    #[test]
    fn entity_tags_are_read() {
        let these = |tags: &[&str]| Some(Versions::These(tags.iter().map(|tag| (*tag).to_owned()).collect()));
        assert_eq!(read(IF_MATCH, "*").unwrap(), Some(Versions::Any));
        assert_eq!(read(IF_MATCH, "\"a\", \"b\"").unwrap(), these(&["a", "b"]));
        assert_eq!(read(IF_MATCH, "\"a,b\" ,\"\"").unwrap(), these(&["a,b", ""]));
        assert_eq!(read(IF_MATCH, "W/\"a\"").unwrap(), these(&[""]), "a weak tag is no strong match");
        assert_eq!(read(IF_NONE_MATCH, "W/\"a\"").unwrap(), these(&["a"]));
        assert_eq!(read(IF_NONE_MATCH, "").unwrap(), these(&[]));
        assert_eq!(read(IF_NONE_MATCH, ", \"a\",,").unwrap(), these(&["a"]));
        for wrong in ["a", "\"a", "\"a\" \"b\"", "\"a\",b"] {
            assert!(read(IF_MATCH, wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(condition(&HeaderMap::new()).unwrap(), Condition::default());
    }
}
