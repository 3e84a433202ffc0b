//! What clients send, read from bytes within limits.
//!
//! Each reader refuses by an enum of its own, whose words hold nothing of the input but a name
//! where they say so. None panics, whatever it is given, and the cost of each grows with the
//! input's length alone, which the caller has bounded.

pub mod accept;
pub mod authorization;
pub mod content_type;
pub mod form;
pub mod json;
pub mod lifetime;
pub mod soap;
pub mod xml;

/// What of a name may stand in a fault: its first 64 characters, without the control characters.
pub(super) fn shown(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_name_in_part_and_without_control_characters() {
        assert_eq!(shown("a\r\n\u{1b}[31mb\u{9b}"), "a[31mb");
        assert_eq!(shown(&"ä".repeat(65)), "ä".repeat(64));
    }
}
