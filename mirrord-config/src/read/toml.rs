//! TOML into a tree.

use serde_json::Number;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Lines, MAX_DEPTH, SyntaxError};
use crate::tree::{Entry, Kind, Node};

pub(super) fn read(text: &str) -> Result<Node, SyntaxError> {
    let lines = Lines::of(text);
    let table = DeTable::parse(text).map_err(|error| SyntaxError {
        message: format!("the file is not TOML: {}", error.message().lines().next().unwrap_or_default()),
        origin: error.span().map(|span| lines.origin(span.start)),
    })?;
    let (span, table) = (table.span(), table.into_inner());
    let kind = Kind::Map(entries(table, &lines, 0)?);
    Ok(Node::new(kind, lines.origin(span.start)))
}

fn entries(table: DeTable<'_>, lines: &Lines<'_>, depth: usize) -> Result<Vec<Entry>, SyntaxError> {
    let mut entries = table
        .into_iter()
        .map(|(key, value)| {
            let at = key.span().start;
            let value = node(value, lines, depth + 1)?;
            Ok((at, Entry { origin: lines.origin(at), key: key.into_inner().into_owned(), value }))
        })
        .collect::<Result<Vec<_>, SyntaxError>>()?;
    entries.sort_by_key(|(at, _)| *at);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn node(value: Spanned<DeValue<'_>>, lines: &Lines<'_>, depth: usize) -> Result<Node, SyntaxError> {
    let origin = lines.origin(value.span().start);
    let refuse = |message: String| SyntaxError { message, origin: Some(origin) };
    if depth > MAX_DEPTH {
        return Err(refuse("the file is nested too deeply".to_owned()));
    }
    let kind = match value.into_inner() {
        DeValue::String(text) => Kind::Text(text.into_owned()),
        DeValue::Boolean(value) => Kind::Bool(value),
        DeValue::Integer(value) => {
            let number = i64::from_str_radix(value.as_str(), value.radix())
                .map_err(|_| refuse(format!("the number `{}` is too large", value.as_str())))?;
            Kind::Number(number.into())
        }
        DeValue::Float(value) => {
            let number = value.as_str().parse().ok().and_then(Number::from_f64);
            Kind::Number(number.ok_or_else(|| refuse(format!("`{}` is no finite number", value.as_str())))?)
        }
        DeValue::Datetime(date) => Kind::Text(date.to_string()),
        DeValue::Array(items) => {
            Kind::List(items.into_iter().map(|item| node(item, lines, depth + 1)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => Kind::Map(entries(table, lines, depth)?),
    };
    Ok(Node::new(kind, origin))
}
