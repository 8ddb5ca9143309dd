//! How the tour looks.

use std::io::IsTerminal;

/// Says a sentence.
pub(crate) fn say(words: &str) {
    println!("{words}");
}

/// Where the tour is written; with colour if somebody watches.
pub(crate) struct Page {
    colour: bool,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self { colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    fn paint(&self, code: &str, words: &str) -> String {
        if self.colour { format!("\x1b[{code}m{words}\x1b[0m") } else { words.to_owned() }
    }

    pub(crate) fn title(&self, words: &str) {
        println!("\n{}", self.paint("1", words));
    }

    pub(crate) fn command(&self, words: &str) {
        println!("  {}", self.paint("36", &format!("$ {words}")));
    }

    pub(crate) fn legend(&self) {
        say("");
        self.answer("inside", "in the pod, where it should work");
        self.answer("alone", "on this machine, as it is");
        self.answer("mirrord", "on this machine, by `mirrord exec`");
    }

    /// One of the three answers; the first lines of it.
    pub(crate) fn answer(&self, who: &str, words: &str) {
        let code = if who == "alone" { "2" } else { "32" };
        let lines: Vec<&str> = words.trim_end().lines().collect();
        for (index, line) in lines.iter().take(4).enumerate() {
            let label = if index == 0 { who } else { "" };
            println!("    {label:>8} {} {}", self.paint("2", "|"), self.paint(code, line));
        }
        if lines.is_empty() {
            println!("    {who:>8} {} {}", self.paint("2", "|"), self.paint("2", "(nothing)"));
        }
    }
}
