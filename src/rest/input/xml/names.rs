//! What the reader leaves unchecked: the letters of names and texts, the space between attributes.

use quick_xml::name::QName;

/// Whether XML 1.0 may hold the letter at all (production 2).
pub(in crate::rest) fn is_char(letter: char) -> bool {
    matches!(letter,
        '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Whether it is a name, or two with a `:` between them (Namespaces in XML 1.0, production 7).
pub(super) fn is_qualified(name: QName<'_>) -> bool {
    let (local, prefix) = name.decompose();
    is_name(local.as_ref()) && prefix.is_none_or(|prefix| is_name(prefix.as_ref()))
}

/// Whether white space stands behind each attribute that another follows.
pub(super) fn are_spaced(attributes: &str) -> bool {
    let mut open = None;
    let mut closed = false;
    for letter in attributes.chars() {
        match open {
            Some(quote) if letter == quote => (open, closed) = (None, true),
            Some(_) => {}
            None if closed && !matches!(letter, ' ' | '\t' | '\r' | '\n') => return false,
            None => {
                open = matches!(letter, '"' | '\'').then_some(letter);
                closed = false;
            }
        }
    }
    true
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(begins_name) && letters.all(continues_name)
}

// Production 4, without the `:`.
fn begins_name(letter: char) -> bool {
    matches!(letter,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}'
        | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}'
        | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

// Production 4a, likewise.
fn continues_name(letter: char) -> bool {
    begins_name(letter)
        || matches!(letter,
            '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}
