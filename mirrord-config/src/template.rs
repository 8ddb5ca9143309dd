//! A file's text is a template: `{{ key }}`, `{{ git_branch }}` and `get_env(name="X", default="Y")` (Tera).

use std::{collections::BTreeMap, sync::Arc};

use tera::{Context, ErrorKind, Kwargs, State, Tera};

use crate::{problem::Origin, read::SyntaxError};

/// What a template may ask.
pub(crate) struct Template<'a> {
    /// The captured environment.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// The branch that is checked out; asked at most once, and only for a text that names it.
    pub(crate) git_branch: &'a dyn Fn() -> Option<String>,
}

/// Whether a text has anything to render.
pub(crate) fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

impl Template<'_> {
    /// Renders a text. Without a key the template must not ask for it.
    pub(crate) fn render(&self, text: &str, key: Option<&str>) -> Result<String, SyntaxError> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        let mut tera = Tera::new();
        let environment = Arc::new(self.environment.clone());
        tera.register_function(
            "get_env",
            move |arguments: Kwargs, _: &State| -> tera::TeraResult<tera::Value> {
                let name = arguments.must_get::<&str>("name")?;
                match (environment.get(name), arguments.get::<tera::Value>("default")?) {
                    (Some(value), _) => Ok(tera::Value::from(value.as_str())),
                    (None, Some(default)) => Ok(default),
                    (None, None) => Err(tera::Error::message(format!("the variable `{name}` is not set"))),
                }
            },
        );
        let mut context = Context::new();
        if let Some(key) = key {
            context.insert("key", key);
        }
        if text.contains("git_branch")
            && let Some(branch) = (self.git_branch)()
        {
            context.insert("git_branch", &branch);
        }
        tera.render_str(text, &context, false).map_err(|error| explain(&error))
    }
}

fn explain(error: &tera::Error) -> SyntaxError {
    let (said, span) = match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
            (report.message().to_owned(), Some(report.span()))
        }
        _ => (error.to_string(), None),
    };
    let line = said.lines().next().unwrap_or_default().trim_end_matches('.');
    let mut letters = line.chars();
    let line: String = letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect();
    SyntaxError {
        message: format!("the template cannot be rendered: {line}"),
        origin: span.map(|span| Origin::File { line: span.start_line.max(1), column: span.start_col + 1 }),
    }
}
