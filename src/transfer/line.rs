//! One record of a list as names with values, whether it was a row of CSV or a JSON object.

use std::borrow::Cow;

use serde_json::Value;

use super::format::plain_name;

/// A record: its columns or keys, in plain spelling, with their values; empty cells of CSV have none.
#[derive(Debug, Default)]
pub(super) struct Line<'a> {
    fields: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
    /// It was an address by itself in a JSON document.
    pub(super) bare: bool,
}

impl<'a> Line<'a> {
    /// A row of CSV under its columns, as many of both.
    pub(super) fn of_row(names: &'a [String], cells: impl Iterator<Item = &'a str>) -> Self {
        let value = |cell: &'a str| (!cell.is_empty()).then_some(Cow::Borrowed(cell));
        let fields = names.iter().zip(cells).map(|(name, cell)| (Cow::Borrowed(name.as_str()), value(cell)));
        Self { fields: fields.collect(), bare: false }
    }

    /// A JSON object, or an address by itself.
    pub(super) fn of_json(bytes: &[u8]) -> Result<Line<'static>, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| match error.is_eof() {
            true => "JSON that ends in the middle".to_owned(),
            false => format!("no valid JSON at column {}", error.column()),
        })?;
        match value {
            Value::Object(object) => {
                let fields = object.into_iter().map(|(name, value)| (plain_name(&name).into(), text(value)));
                Ok(Line { fields: fields.collect(), bare: false })
            }
            Value::String(address) => {
                Ok(Line { fields: vec![("email".into(), Some(address.into()))], bare: true })
            }
            _ => Err("no JSON object".to_owned()),
        }
    }

    /// Its columns or keys.
    pub(super) fn names(&self) -> Vec<String> {
        self.fields.iter().map(|(name, _)| name.clone().into_owned()).collect()
    }

    /// Whether there is such a column or key.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }

    /// The value under a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name)?.1.as_deref()
    }

    /// The same where it is more than white space, without that around it.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The first of several names that has a text.
    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }
}

fn text(value: Value) -> Option<Cow<'static, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.into()),
        Value::Array(all) => Some(all.into_iter().filter_map(text).collect::<Vec<_>>().join(", ").into()),
        other => Some(other.to_string().into()),
    }
}
