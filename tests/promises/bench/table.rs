//! The table, as docs/promises.md has it.

use crate::{
    rows::{Aim, Row},
    stage::Subject,
};

/// How wide the columns are, so that the table can be read in a terminal, too.
const WHAT: usize = 52;
const CELL: usize = 17;

/// The head.
pub(crate) fn begin(subjects: &[Subject<'_>]) {
    let names = subjects.iter().map(|subject| format!("{:<CELL$}", subject.name())).collect::<Vec<_>>();
    println!("| {:<WHAT$} | {:<4} | {} | Aim |", "What", "Unit", names.join(" | "));
    println!("|{}", "---|".repeat(subjects.len() + 3));
}

/// A row: what was measured, and beside it how that stands to a direct run. What misses its aim is bold.
pub(crate) fn tell(row: &Row, subjects: &[Subject<'_>], medians: &[Option<f64>]) {
    let direct = medians.first().copied().flatten().unwrap_or(f64::NAN);
    let cells = subjects.iter().zip(medians).map(|(subject, value)| {
        let aim = subject.aim(row);
        // The other engine's comes first, by the same data path.
        let layers = subjects.iter().position(|it| it.is_layer_of(subject)).and_then(|index| medians[index]);
        let cell = match value {
            None => "-".to_owned(),
            Some(value) if aim.is_none() && subject.is_direct() => number(*value),
            Some(value) => {
                let text = format!("{} ({})", number(*value), beside(row, *value, direct));
                let is_kept = aim.is_none_or(|aim| keeps(aim, *value, direct, layers));
                if is_kept { text } else { format!("**{text}**") }
            }
        };
        format!("{cell:<CELL$}")
    });
    let cells = cells.collect::<Vec<_>>().join(" | ");
    println!("| {:<WHAT$} | {:<4} | {cells} | {} |", row.what, row.unit, aims(row));
}

fn keeps(aim: Aim, value: f64, direct: f64, layers: Option<f64>) -> bool {
    match aim {
        Aim::Told => true,
        Aim::Times(most) => value <= direct * most,
        Aim::Share(least) => value >= direct * least,
        Aim::Plus(most) => value <= direct + most,
        Aim::Most(most) => value <= most,
        Aim::OfLayer(least) => layers.is_none_or(|layers| value >= layers * least),
    }
}

/// How a value stands to a direct run.
fn beside(row: &Row, value: f64, direct: f64) -> String {
    let is_difference =
        [Some(row.passed), row.supervisor].iter().flatten().any(|aim| matches!(aim, Aim::Plus(_)));
    let sign = if value < direct { "-" } else { "+" };
    if is_difference {
        format!("{sign}{}", number((value - direct).abs()))
    } else {
        format!("{:.2}", value / direct)
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn aims(row: &Row) -> String {
    let mut words = match (aim(row.passed, row), aim(row.proxied, row)) {
        (Some(passed), Some(proxied)) if passed == proxied => vec![passed],
        (passed, proxied) => {
            let passed = passed.map(|it| format!("passed {it}"));
            let proxied = proxied.map(|it| format!("proxied {it}"));
            [passed, proxied].into_iter().flatten().collect()
        }
    };
    words.extend(row.supervisor.and_then(|it| aim(it, row)).map(|it| format!("supervisor {it}")));
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn aim(aim: Aim, row: &Row) -> Option<String> {
    let unit = row.unit;
    Some(match aim {
        Aim::Told => return None,
        Aim::Times(most) => format!("at most {most}"),
        Aim::Share(least) => format!("at least {least}"),
        Aim::Plus(most) => format!("at most +{most} {unit}"),
        Aim::Most(most) => format!("at most {most} {unit}"),
        Aim::OfLayer(least) => format!("at least {least} of the layer's"),
    })
}

/// What stands beside the table.
#[expect(clippy::print_stderr, reason = "a table is no place for it")]
pub(crate) fn complain(why: &str) {
    eprintln!("{why}");
}
