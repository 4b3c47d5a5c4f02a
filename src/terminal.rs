//! Text from elsewhere on this terminal: names, and what a server says.

/// Replaces control and formatting characters, which could move the cursor, hide text or reverse the writing direction.
pub(crate) fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_control_the_terminal() {
        assert_eq!(printable("Eve\u{1b}[2J\r\n\u{202e}root"), "Eve\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}root");
        assert_eq!(printable("\u{9b}31m\u{7f}\u{8}a\u{200d}b"), "\u{fffd}31m\u{fffd}\u{fffd}a\u{fffd}b");
        assert_eq!(printable("Zoë · 日本 🙂"), "Zoë · 日本 🙂");
    }
}
