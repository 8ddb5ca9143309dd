//! JSON into a tree.
//!
//! `serde_json` judges the text; what remains is to find out where each value of a correct text stands.

use serde_json::Value;

use super::{Lines, MAX_DEPTH, SyntaxError};
use crate::{
    problem::Origin,
    tree::{Entry, Kind, Node},
};

pub(super) fn read(text: &str) -> Result<Node, SyntaxError> {
    serde_json::from_str::<Value>(text).map_err(|error| explain(text, &error))?;
    let mut scanner = Scanner { text, lines: Lines::of(text), at: 0 };
    scanner
        .value(0)
        .ok_or_else(|| SyntaxError { message: "the file is nested too deeply".to_owned(), origin: None })
}

fn explain(text: &str, error: &serde_json::Error) -> SyntaxError {
    let said = error.to_string();
    let message = said.split(" at line ").next().unwrap_or_default().to_lowercase();
    let message = if text.trim().is_empty() {
        "the file is empty: it must hold at least `{}`".to_owned()
    } else if text.trim_start().starts_with("//") || text.trim_start().starts_with("/*") {
        "the file is not JSON: JSON has no comments".to_owned()
    } else {
        format!("the file is not JSON: {message}")
    };
    let origin = Origin::File { line: error.line().max(1), column: error.column().max(1) };
    SyntaxError { message, origin: Some(origin) }
}

/// Walks through a text that is known to be JSON.
struct Scanner<'a> {
    text: &'a str,
    lines: Lines<'a>,
    at: usize,
}

impl Scanner<'_> {
    fn value(&mut self, depth: usize) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        let origin = self.next();
        let kind = match self.peek()? {
            b'{' => Kind::Map(self.members(depth)?),
            b'[' => Kind::List(self.items(depth)?),
            b'"' => Kind::Text(self.string()?),
            _ => Node::from_value(serde_json::from_str(self.word()).ok()?, origin).kind,
        };
        Some(Node { kind, origin })
    }

    fn members(&mut self, depth: usize) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        self.at += 1;
        loop {
            let origin = self.next();
            match self.peek()? {
                b'}' => break,
                b',' => self.at += 1,
                _ => {
                    let key = self.string()?;
                    self.next();
                    // The colon.
                    self.at += 1;
                    entries.push(Entry { key, origin, value: self.value(depth + 1)? });
                }
            }
        }
        self.at += 1;
        Some(entries)
    }

    fn items(&mut self, depth: usize) -> Option<Vec<Node>> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.next();
            match self.peek()? {
                b']' => break,
                b',' => self.at += 1,
                _ => items.push(self.value(depth + 1)?),
            }
        }
        self.at += 1;
        Some(items)
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        while *bytes.get(self.at)? != b'"' {
            self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }

    fn word(&mut self) -> &str {
        let rest = &self.text[self.at..];
        let end = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn next(&mut self) -> Origin {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        self.lines.origin(self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
