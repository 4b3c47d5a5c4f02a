//! Notes that several runs share, written once.

/// Merges notes that differ only in their numbers: the first of each kind, with its origin and the number of further ones,
/// in the order in which kinds first appear.
pub(crate) fn gathered<'a>(notes: impl IntoIterator<Item = (String, &'a str)>) -> Vec<String> {
    let mut kinds: Vec<(String, String, &str, usize)> = Vec::new();
    for (who, note) in notes {
        let kind: String = note.chars().filter(|character| !character.is_ascii_digit()).collect();
        match kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((_, _, _, more)) => *more += 1,
            None => kinds.push((kind, who, note, 0)),
        }
    }
    let line = |(_, who, note, more): (String, String, &str, usize)| match (who.as_str(), more) {
        ("", _) => note.to_owned(),
        (who, 0) => format!("{who}: {note}"),
        (who, more) => format!("{who}, and {more} more alike: {note}"),
    };
    kinds.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_differing_in_numbers_are_merged() {
        let notes =
            [("run 1", "late by 50 µs"), ("run 1", "busy"), ("run 2", "late by 9 µs"), ("run 3", "late by 1 µs")];
        let merged = gathered(notes.map(|(who, note)| (who.to_owned(), note)));
        assert_eq!(merged, ["run 1, and 2 more alike: late by 50 µs", "run 1: busy"]);
        assert_eq!(gathered([(String::new(), "busy")]), ["busy"]);
    }
}
