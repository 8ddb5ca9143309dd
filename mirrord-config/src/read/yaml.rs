//! YAML into a tree, by the rules of YAML 1.2.
//!
//! `no`, `off` and `012` are texts: elsewhere they mean what their writer did not say, so whoever meant a value is
//! told. Aliases are copied, within a limit; a second document is refused.

use std::collections::HashMap;

use serde_json::{Number, Value};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{MAX_DEPTH, SyntaxError};
use crate::{
    problem::Origin,
    tree::{Entry, Kind, Node},
};

/// How many values a file may have, with all its aliases copied.
const MAX_VALUES: usize = 100_000;

pub(super) fn read(text: &str) -> Result<Node, SyntaxError> {
    let mut builder = Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), n_values: 0 };
    let mut root = None;
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            _ if root.is_some() => return Err(refuse("the file has more than one document", span)),
            event => root = Some(builder.node(event, span, 0)?),
        }
    }
    root.ok_or_else(|| SyntaxError {
        message: "the file is empty: it must hold at least `{}`".to_owned(),
        origin: Some(Origin::File { line: 1, column: 1 }),
    })
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    n_values: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, SyntaxError> {
        loop {
            return match self.parser.next_event() {
                None => Ok(None),
                Some(Ok((Event::Comment(..), _))) => continue,
                Some(Ok(event)) => Ok(Some(event)),
                Some(Err(error)) => Err(explain(&error)),
            };
        }
    }

    fn expect(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        self.next()?
            .ok_or_else(|| SyntaxError { message: "the file ends too early".to_owned(), origin: None })
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, SyntaxError> {
        let origin = origin(span);
        self.count(1, span)?;
        if depth > MAX_DEPTH {
            return Err(refuse("the file is nested too deeply", span));
        }
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text =
                    style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                (if is_text { Kind::Text(text.into_owned()) } else { plain(&text) }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (Kind::List(self.items(depth)?), anchor),
            Event::MappingStart(_, anchor, _) => (Kind::Map(self.entries(depth)?), anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| refuse("an alias lies within what it stands for", span))?;
                self.count(size(&node), span)?;
                return Ok(Node::new(node.kind, origin));
            }
            _ => return Err(refuse("the file has a value where none can be", span)),
        };
        let node = Node::new(kind, origin);
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, SyntaxError> {
        let mut items = Vec::new();
        loop {
            match self.expect()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, SyntaxError> {
        let mut entries = Vec::new();
        loop {
            let (key, key_span) = match self.expect()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(key, ..), span) => (key.into_owned(), span),
                (_, span) => return Err(refuse("a key must be a text", span)),
            };
            let (event, span) = self.expect()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push(Entry { key, origin: origin(key_span), value });
        }
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), SyntaxError> {
        self.n_values += more;
        if self.n_values > MAX_VALUES { Err(refuse("the file has too many values", span)) } else { Ok(()) }
    }
}

/// A scalar without quotes, by the core schema of YAML 1.2 but for numbers that begin with a needless zero.
fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ => number(text).map_or_else(|| Kind::Text(text.to_owned()), Kind::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(Number::from);
    }
    match serde_json::from_str::<Value>(text.strip_prefix('+').unwrap_or(text)) {
        Ok(Value::Number(number)) => Some(number),
        _ => None,
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::List(items) => items.iter().map(size).sum(),
        Kind::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
        _ => 0,
    }
}

fn origin(span: Span) -> Origin {
    Origin::File { line: span.start.line(), column: span.start.col() + 1 }
}

fn refuse(message: &str, span: Span) -> SyntaxError {
    SyntaxError { message: message.to_owned(), origin: Some(origin(span)) }
}

fn explain(error: &ScanError) -> SyntaxError {
    let marker = error.marker();
    SyntaxError {
        message: format!("the file is not YAML: {}", error.info()),
        origin: Some(Origin::File { line: marker.line().max(1), column: marker.col() + 1 }),
    }
}
