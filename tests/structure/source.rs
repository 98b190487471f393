//! Rust sources taken apart, as far as the rules need it.

use std::collections::BTreeSet;

/// A source file, read and taken apart.
pub struct Source {
    /// Relative to the package, with `/`.
    pub path: String,
    pub text: String,
    /// Without comments, and with the contents of strings blanked.
    pub code: String,
    /// Whether the whole file is compiled for tests only.
    pub test_only: bool,
}

impl Source {
    pub fn new(path: &str, text: &str, test_only: bool) -> Self {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text),
            test_only,
        }
    }

    /// The code that ships: without the test modules at its bottom.
    pub fn shipped(&self) -> String {
        if self.test_only {
            String::new()
        } else {
            without_tests(&self.code)
        }
    }

    /// `src/wire/header.rs` is `["wire", "header"]`, `src/wire/mod.rs` is `["wire"]`.
    pub fn module(&self) -> Vec<String> {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let mut parts: Vec<String> = inside
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if parts.len() > 1 && parts.last().is_some_and(|last| last == "mod") {
            parts.pop();
        }
        parts
    }
}

/// Every path below the crate's root that `code` names, by `crate::`, `lanchat::` or `super::`.
pub fn used_paths(code: &str, module: &[String]) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for root in ["crate::", "lanchat::"] {
        for (at, _) in code.match_indices(root) {
            if whole_word(code, at, root) && !code[..at].ends_with("$") {
                use_tree(&code[at + root.len()..], &[], &mut found);
            }
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") || !whole_word(code, at, "super::") {
            continue;
        }
        let mut rest = &code[at..];
        let mut base = module.to_vec();
        while let Some(up) = rest.strip_prefix("super::") {
            base.pop();
            rest = up;
        }
        use_tree(rest, &base, &mut found);
    }
    found.retain(|path| !path.is_empty());
    found
}

/// Adds every path of a use tree (`a::{b, c::d}`) that starts at `text`; returns what follows.
fn use_tree<'a>(text: &'a str, base: &[String], found: &mut BTreeSet<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = use_tree(rest, base, found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                Some(more) => return &more.trim_start()[1..],
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mut path = base.to_vec();
    if !name.is_empty() && name != "self" {
        path.push(name.to_owned());
    }
    if let Some(deeper) = rest.strip_prefix("::") {
        return use_tree(deeper, &path, found);
    }
    found.insert(path);
    let rest = rest.strip_prefix('*').unwrap_or(rest);
    match rest.trim_start().strip_prefix("as ") {
        Some(renamed) => renamed
            .trim_start()
            .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        None => rest,
    }
}

/// `code` with its `#[cfg(test)]` modules blanked.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = test_attributes(rest).next().map(|(at, _)| at) {
        let after = &rest[at..];
        let end = match (after.find('{'), after.find(';')) {
            (Some(brace), semicolon) if semicolon.is_none_or(|s| brace < s) => {
                brace + block_len(&after[brace..])
            }
            (_, Some(semicolon)) => semicolon + 1,
            _ => after.len(),
        };
        out.push_str(&rest[..at]);
        out.extend(
            after[..end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

/// Where the attributes stand that let code be compiled for tests only: begin and end of each.
fn test_attributes(code: &str) -> impl Iterator<Item = (usize, usize)> {
    let test_only = |condition: &str| {
        let mut words = condition.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.any(|word| word == "test") && !condition.contains("not") && !condition.contains("any")
    };
    code.match_indices("#[cfg(").filter_map(move |(at, _)| {
        let len = code[at..].find(']')? + 1;
        test_only(&code[at..at + len]).then_some((at, at + len))
    })
}

/// Bytes of the block that starts with the `{` at the beginning of `text`.
fn block_len(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// `text` with comments and the contents of strings and characters replaced by spaces.
pub fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = opaque_end(&chars, at);
        if end > at {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment, string or character literal that starts at `at` ends; `at` if none does.
fn opaque_end(chars: &[char], at: usize) -> usize {
    let next = |by: usize| chars.get(at + by).copied().unwrap_or('\0');
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next(1) == '/' => find(chars, at, |c, i| c[i] == '\n').unwrap_or(chars.len()),
        '/' if next(1) == '*' => block_comment_end(chars, at),
        'r' if (!in_word || chars[at - 1] == 'b') && (next(1) == '"' || next(1) == '#') => {
            raw_string_end(chars, at)
        }
        '"' => quoted_end(chars, at, '"'),
        '\'' if next(1) == '\\' || next(2) == '\'' => quoted_end(chars, at, '\''),
        _ => at,
    }
}

fn find(chars: &[char], from: usize, hit: impl Fn(&[char], usize) -> bool) -> Option<usize> {
    (from..chars.len()).find(|&i| hit(chars, i))
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], from: usize) -> usize {
    let hashes = chars[from + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(from + 1 + hashes) != Some(&'"') {
        return from; // a raw identifier
    }
    let closes = |c: &[char], i: usize| {
        c[i] == '"' && c[i + 1..].iter().take_while(|&&c| c == '#').count() >= hashes
    };
    find(chars, from + 2 + hashes, closes).map_or(chars.len(), |i| i + 1 + hashes)
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Files that `parent` declares by `#[cfg(test)] mod name;`.
pub fn test_only_files(parent: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (_, end) in test_attributes(&parent.code) {
        let after = parent.code[end..].trim_start();
        let after = after.strip_prefix("pub(crate) ").unwrap_or(after);
        let after = after.strip_prefix("pub(super) ").unwrap_or(after);
        let Some(rest) = after.strip_prefix("mod ") else {
            continue;
        };
        let name: String = rest
            .chars()
            .take_while(|&c| c.is_alphanumeric() || c == '_')
            .collect();
        if rest[name.len()..].starts_with(';') {
            let dir = match parent.path.rsplit_once('/') {
                Some((dir, "mod.rs" | "lib.rs" | "main.rs")) => dir.to_owned(),
                _ => parent.path.trim_end_matches(".rs").to_owned(),
            };
            found.push(format!("{dir}/{name}.rs"));
            found.push(format!("{dir}/{name}/"));
        }
    }
    found
}

/// Whether `word`, found at `at`, is not a part of a longer one.
pub fn whole_word(line: &str, at: usize, word: &str) -> bool {
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    let starts = word.starts_with(of_word);
    let ends = word.ends_with(of_word);
    let before = line[..at].chars().next_back().is_some_and(of_word);
    let after = line[at + word.len()..].chars().next().is_some_and(of_word);
    !(starts && before || ends && after)
}
