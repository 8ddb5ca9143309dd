//! What is happening now, for people and for editors (`MIRRORD_PROGRESS_MODE`).

use std::{env, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::printer;

/// The variable by which the user chooses; `off` for whatever a guest starts.
pub(crate) const MODE_VARIABLE: &str = "MIRRORD_PROGRESS_MODE";

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(60);

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// A spinner, on a terminal.
    Spinner,
    /// Lines of talk.
    Plain,
    /// The same lines, as data.
    Dumb,
    /// A JSON object per line, as data.
    Json,
    /// Not at all.
    Off,
}

impl Mode {
    /// What the user wants, if he says so. Nobody turns a spinner for whoever does not watch.
    fn told() -> Option<Self> {
        env::var(MODE_VARIABLE).ok().and_then(|name| Self::named(&name))
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "dumb" | "simple" => Some(Self::Dumb),
            "json" => Some(Self::Json),
            "off" => Some(Self::Off),
            "std" | "standard" if printer::is_watched() => Some(Self::Spinner),
            "std" | "standard" => Some(Self::Plain),
            _ => None,
        }
    }
}

/// One message to an editor. The names and fields are those that editors know.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Message<'a> {
    NewTask { name: &'a str, parent: Option<&'a str> },
    FinishedTask { name: &'a str, success: bool, message: Option<&'a str> },
    Warning { message: &'a str },
    Info { message: &'a str },
}

/// One task and the step that it is at. What is dropped before it is [`Progress::ready`] has failed.
#[derive(Debug)]
pub(crate) struct Progress {
    mode: Mode,
    root: &'static str,
    step: Option<String>,
    spinner: Option<ProgressBar>,
    is_over: bool,
}

/// Whether the user wants to hear nothing.
pub(crate) fn is_off() -> bool {
    std::env::var_os(MODE_VARIABLE).is_some_and(|mode| mode == "off")
}

impl Progress {
    /// Begins a task, told as the user wishes.
    pub(crate) fn begin(root: &'static str) -> Self {
        let untold = if printer::is_watched() { Mode::Spinner } else { Mode::Plain };
        Self::begin_in(root, Mode::told().unwrap_or(untold))
    }

    /// Begins a task whose reader is an editor, if the user does not say otherwise.
    pub(crate) fn for_editor(root: &'static str) -> Self {
        Self::begin_in(root, Mode::told().unwrap_or(Mode::Json))
    }

    fn begin_in(root: &'static str, mode: Mode) -> Self {
        let progress = Self { mode, root, step: None, spinner: None, is_over: false };
        progress.json(&Message::NewTask { name: root, parent: None });
        let unknown =
            env::var(MODE_VARIABLE).is_ok_and(|name| !name.is_empty() && Mode::named(&name).is_none());
        if unknown {
            let what = format!("`{MODE_VARIABLE}` names no way of telling progress, so it is told as usual");
            progress.warn(&what, Some("known are `std`, `dumb`, `json` and `off`"));
        }
        progress
    }

    /// Begins a step, which finishes the one before it.
    pub(crate) fn step(&mut self, name: impl Into<String>) {
        self.finish_step(true);
        let name = name.into();
        self.json(&Message::NewTask { name: &name, parent: Some(self.root) });
        match self.mode {
            Mode::Spinner => self.spinner = Some(spinner(&name)),
            Mode::Plain | Mode::Dumb => self.line(&name),
            Mode::Json | Mode::Off => {}
        }
        self.step = Some(name);
    }

    /// The step has done what it should.
    pub(crate) fn step_done(&mut self) {
        self.finish_step(true);
    }

    fn finish_step(&mut self, success: bool) {
        let Some(name) = self.step.take() else { return };
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
            printer::talk(format_args!("{} {name}", if success { "✓" } else { "x" }));
        }
        self.json(&Message::FinishedTask { name: &name, success, message: None });
    }

    /// Tells what the developer should know before it hurts.
    pub(crate) fn warn(&self, what: &str, hint: Option<&str>) {
        let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        self.json(&Message::Warning { message: &format!("{what}{hint}") });
        self.line(&format!("warning: {what}{hint}"));
    }

    /// Tells what is so.
    pub(crate) fn info(&self, what: &str) {
        self.json(&Message::Info { message: what });
        self.line(&format!("* {what}"));
    }

    /// The session stands: the last word before the guest's own.
    pub(crate) fn ready(&mut self) {
        const READY: &str = "Ready!";
        self.finish_step(true);
        self.json(&Message::FinishedTask { name: self.root, success: true, message: Some(READY) });
        self.line(READY);
        self.is_over = true;
    }

    /// Another process has told, or will tell, how it went on.
    pub(crate) fn leave_to_others(&mut self) {
        self.step = None;
        self.is_over = true;
    }

    /// The task has done what it should, and this is what came of it: data, however progress is told.
    pub(crate) fn finish(&mut self, message: &str) {
        self.finish_step(true);
        self.json(&Message::FinishedTask { name: self.root, success: true, message: Some(message) });
        if self.mode != Mode::Json {
            printer::data(message);
        }
        self.is_over = true;
    }

    fn line(&self, line: &str) {
        match (self.mode, &self.spinner) {
            (Mode::Spinner, Some(spinner)) => spinner.suspend(|| printer::talk(line)),
            (Mode::Spinner, None) | (Mode::Plain, _) => printer::talk(line),
            (Mode::Dumb, _) => printer::data(line),
            (Mode::Json | Mode::Off, _) => {}
        }
    }

    fn json(&self, message: &Message<'_>) {
        if self.mode == Mode::Json
            && let Ok(text) = serde_json::to_string(message)
        {
            printer::data(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish_step(false);
        if !self.is_over {
            self.json(&Message::FinishedTask { name: self.root, success: false, message: None });
        }
    }
}

fn spinner(name: &str) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        spinner.set_style(style);
    }
    spinner.set_message(name.to_owned());
    spinner.enable_steady_tick(TICK);
    spinner
}
