//! Phrases for locked rooms: five words that can be told by voice, and how hard a phrase is to
//! guess.
//!
//! The list is our own: 2048 pronounceable words of 4 to 7 letters that are in no language we know
//! of, no two of which differ in one letter only, so that a slip of the finger is no other phrase.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

/// The list, sorted, a word a line.
const LIST: &str = include_str!("words.txt");
/// Words of a phrase; 11 bits each.
pub const PHRASE_WORDS: usize = 5;
/// Bits of one word of the list.
const WORD_BITS: f64 = 11.0;
/// A phrase of fewer bits gets a warning.
pub const WEAK_BELOW_BITS: f64 = 50.0;

/// Five words of the list: 55 bits where `random` is uniform.
#[must_use]
pub fn phrase(random: &[u8; 2 * PHRASE_WORDS]) -> Zeroizing<String> {
    let words: Vec<&str> = LIST.lines().collect();
    let pick = |pair: &[u8]| {
        let number = pair
            .iter()
            .fold(0, |number, &byte| number << 8 | usize::from(byte));
        words[number % words.len()]
    };
    let picked: Vec<&str> = random.chunks(2).map(pick).collect();
    Zeroizing::new(picked.join(" "))
}

/// About how many bits it takes to guess a phrase; rather too few than too many. Words of the list
/// count for what they are, others as people choose them: 2.5 bits a letter or digit, 4 for what is
/// neither, next to nothing for what repeats or counts on.
#[must_use]
pub fn bits(phrase: &str) -> f64 {
    let words: BTreeSet<&str> = phrase.split_whitespace().collect();
    let list: BTreeSet<&str> = LIST.lines().collect();
    let of_word = |word: &&str| {
        if list.contains(word) {
            WORD_BITS
        } else {
            of_letters(word)
        }
    };
    words.iter().map(of_word).sum()
}

/// Whether a phrase is easy to guess.
#[must_use]
pub fn is_weak(phrase: &str) -> bool {
    bits(phrase) < WEAK_BELOW_BITS
}

fn of_letters(word: &str) -> f64 {
    let mut before: Option<char> = None;
    let of_char = |c: char| {
        let follows = before.is_some_and(|before| u32::from(before).abs_diff(u32::from(c)) <= 1);
        before = Some(c);
        match c {
            _ if follows => 0.5,
            _ if c.is_alphanumeric() => 2.5,
            _ => 4.0,
        }
    };
    word.chars().map(of_char).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_2048_words_that_no_slip_turns_into_each_other() {
        let words: Vec<&str> = LIST.lines().collect();
        assert_eq!(words.len(), 2048);
        assert!(words.is_sorted());
        let mut patterns = BTreeSet::new();
        for word in &words {
            assert!((4..=7).contains(&word.len()), "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
            for at in 0..word.len() {
                let pattern = format!("{}*{}", &word[..at], &word[at + 1..]);
                assert!(patterns.insert(pattern), "{word}");
            }
        }
    }

    #[test]
    fn a_phrase_is_five_words_and_each_value_has_its_own() {
        let first = phrase(&[0; 10]);
        assert_eq!(first.split(' ').count(), PHRASE_WORDS);
        let all: BTreeSet<String> = (0..2048u16)
            .map(|number| {
                let mut random = [0; 10];
                random[8..].copy_from_slice(&number.to_be_bytes());
                phrase(&random).to_string()
            })
            .collect();
        assert_eq!(all.len(), 2048);
        assert!(!is_weak(&phrase(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])));
    }

    #[test]
    fn what_people_choose_is_weak_and_what_is_long_is_not() {
        let four = phrase(&[9; 10]);
        for weak in [
            "",
            "lunch",
            "lunch2024",
            "hunter2",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "lunch lunch lunch lunch lunch",
            "Tr0ub4dor&3",
            &four,
        ] {
            assert!(is_weak(weak), "{weak}: {}", bits(weak));
        }
        for strong in [
            "the quick brown cat eats a green lamp",
            "x8#kQ2!mZ@pL5%vT9$",
        ] {
            assert!(!is_weak(strong), "{strong}: {}", bits(strong));
        }
    }
}
