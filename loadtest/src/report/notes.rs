//! Notes that several runs make alike, told once.

/// Puts notes together that differ in their numbers only: the first of each kind, as it was made, with the name of who
/// made it and how many made it besides. In the order in which kinds first appear.
pub(crate) fn gathered<'a>(notes: impl IntoIterator<Item = (String, &'a str)>) -> Vec<String> {
    let mut kinds: Vec<(String, String, &str, usize)> = Vec::new();
    for (who, note) in notes {
        let kind: String = note.chars().filter(|character| !character.is_ascii_digit()).collect();
        match kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((_, _, _, more)) => *more += 1,
            None => kinds.push((kind, who, note, 0)),
        }
    }
    let told = |(_, who, note, more): (String, String, &str, usize)| match (who.as_str(), more) {
        ("", _) => note.to_owned(),
        (who, 0) => format!("{who}: {note}"),
        (who, more) => format!("{who}, and {more} more alike: {note}"),
    };
    kinds.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_that_differ_in_numbers_only_are_told_once() {
        let notes =
            [("run 1", "late by 50 µs"), ("run 1", "busy"), ("run 2", "late by 9 µs"), ("run 3", "late by 1 µs")];
        let told = gathered(notes.map(|(who, note)| (who.to_owned(), note)));
        assert_eq!(told, ["run 1, and 2 more alike: late by 50 µs", "run 1: busy"]);
        assert_eq!(gathered([(String::new(), "busy")]), ["busy"]);
    }
}
