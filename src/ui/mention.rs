//! A name in a text.

/// Where `word` stands in `text` by itself, whatever the case; byte range of the first place.
#[must_use]
pub fn find_word(text: &str, word: &str) -> Option<(usize, usize)> {
    if word.is_empty() {
        return None;
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.char_indices().find_map(|(start, _)| {
        let end = match_at(&text[start..], word)? + start;
        let inside = text[..start].chars().next_back().is_some_and(is_part)
            || text[end..].chars().next().is_some_and(is_part);
        (!inside).then_some((start, end))
    })
}

/// The bytes of `text` that `word` matches at its start, whatever the case.
fn match_at(text: &str, word: &str) -> Option<usize> {
    let mut wanted = word.chars().flat_map(char::to_lowercase).peekable();
    for (at, c) in text.char_indices() {
        for lower in c.to_lowercase() {
            if wanted.next() != Some(lower) {
                return None;
            }
        }
        if wanted.peek().is_none() {
            return Some(at + c.len_utf8());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_word_whatever_its_case() {
        assert_eq!(find_word("hello Ana!", "ana"), Some((6, 9)));
        assert_eq!(find_word("banana ana", "ana"), Some((7, 10)));
        assert_eq!(find_word("ÄRGER", "ärger"), Some((0, 6)));
        assert_eq!(find_word("anal", "ana"), None);
        assert_eq!(find_word("x", ""), None);
        assert_eq!(find_word("an", "ana"), None);
    }
}
