//! Which words somebody may have meant.

/// How many are told.
const MOST: usize = 5;

/// The candidates nearest to a word, nearest first; if none is near, all, as long as they are few.
#[must_use]
pub fn near(wanted: &str, candidates: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut candidates: Vec<(usize, String)> =
        candidates.into_iter().map(|candidate| (distance(wanted, &candidate), candidate)).collect();
    candidates.sort();
    candidates.dedup();
    let bound = (wanted.chars().count() / 3).max(2);
    let is_near = |(distance, name): &(usize, String)| {
        (*distance <= bound && *distance < name.chars().count())
            || name.contains(wanted)
            || (name.len() > 2 && wanted.contains(name.as_str()))
    };
    if candidates.iter().any(is_near) {
        candidates.retain(is_near);
    }
    candidates.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// How many letters must be put, taken or changed to make one word of the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = change.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_nearest_word_is_told_first() {
        assert_eq!(near("wbe", names(&["database", "web", "web-2", "we"])), ["we", "web"]);
        assert_eq!(near("web", names(&["shop-web-1", "db"])), ["shop-web-1"]);
    }

    #[test]
    fn if_none_is_near_all_are_told_as_long_as_they_are_few() {
        assert_eq!(near("nothing", names(&["b", "a"])), ["a", "b"]);
        assert_eq!(near("nothing", (0..9).map(|digit| digit.to_string())).len(), MOST);
        assert!(near("nothing", []).is_empty());
    }
}
