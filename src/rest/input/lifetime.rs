//! Lifetimes in words: `30d`, `12 hours`, `1.5h`.

use std::time::Duration;

// 10,000 years: what google.protobuf.Duration holds.
const LONGEST_SECONDS: u64 = 315_576_000_000;

// Fractions of a unit are read this far: 10⁻¹⁸ years are less than a nanosecond.
const DIGITS: usize = 18;

const MILLISECOND: u128 = 1_000_000;
const SECOND: u128 = 1000 * MILLISECOND;
const MINUTE: u128 = 60 * SECOND;
const HOUR: u128 = 60 * MINUTE;
const DAY: u128 = 24 * HOUR;

// In nanoseconds. The words are those of the npm package `ms`; its year is six hours longer.
const UNITS: [(u128, &[&str]); 7] = [
    (MILLISECOND, &["ms", "msec", "msecs", "millisecond", "milliseconds"]),
    (SECOND, &["s", "sec", "secs", "second", "seconds"]),
    (MINUTE, &["m", "min", "mins", "minute", "minutes"]),
    (HOUR, &["h", "hr", "hrs", "hour", "hours"]),
    (DAY, &["d", "day", "days"]),
    (7 * DAY, &["w", "week", "weeks"]),
    (365 * DAY, &["y", "yr", "yrs", "year", "years"]),
];

/// Why a text is no lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LifetimeFault {
    /// It is no number with a unit behind it.
    #[error("is no lifetime such as `30d` or `12 hours`")]
    Malformed,
    /// It is a number alone.
    #[error("has no unit")]
    NoUnit,
    /// It is longer than 10,000 years.
    #[error("is too long")]
    TooLong,
}

/// Reads a decimal number, at most one space, and a unit without regard to case: ms, s, m, h, d,
/// w, y and their long forms. A year has 365 days. What is less than a nanosecond is cut off.
/// The lifetime may be zero, and is at most 10,000 years of 365.25 days.
///
/// # Errors
/// The [`LifetimeFault`] of the text. A sign, an exponent and space around it are malformed.
pub fn parse(text: &str) -> Result<Duration, LifetimeFault> {
    let is_number = |letter: char| letter.is_ascii_digit() || letter == '.';
    let (number, unit) = text.split_at(text.find(|c| !is_number(c)).unwrap_or(text.len()));
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return Err(LifetimeFault::Malformed),
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    if number.is_empty() || fraction.contains('.') {
        return Err(LifetimeFault::Malformed);
    }
    if unit.is_empty() {
        return Err(LifetimeFault::NoUnit);
    }
    let unit = nanoseconds(unit.strip_prefix(' ').unwrap_or(unit))?;
    let whole = digits(whole)?.checked_mul(unit).ok_or(LifetimeFault::TooLong)?;
    let fraction: String =
        fraction.chars().chain("0".repeat(DIGITS).chars()).take(DIGITS).collect();
    let part = digits(&fraction)?.saturating_mul(unit) / 10_u128.pow(18);
    let longest = Duration::from_secs(LONGEST_SECONDS);
    let total = whole.checked_add(part).filter(|total| *total <= longest.as_nanos());
    total.map(Duration::from_nanos_u128).ok_or(LifetimeFault::TooLong)
}

fn nanoseconds(word: &str) -> Result<u128, LifetimeFault> {
    let of = |(_, words): &&(u128, &[&str])| words.iter().any(|w| w.eq_ignore_ascii_case(word));
    UNITS.iter().find(of).map(|(length, _)| *length).ok_or(LifetimeFault::Malformed)
}

// Only digits come here, so what does not parse is too great.
fn digits(text: &str) -> Result<u128, LifetimeFault> {
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| LifetimeFault::TooLong) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_unit_by_each_of_its_names() {
        for (names, length) in [
            ("ms msec msecs millisecond milliseconds", Duration::from_millis(1)),
            ("s sec secs second seconds", Duration::from_secs(1)),
            ("m min mins minute minutes", Duration::from_mins(1)),
            ("h hr hrs hour hours", Duration::from_hours(1)),
            ("d day days", Duration::from_hours(24)),
            ("w week weeks", Duration::from_hours(7 * 24)),
            ("y yr yrs year years", Duration::from_hours(365 * 24)),
        ] {
            for name in names.split(' ') {
                assert_eq!(parse(&format!("2{name}")), Ok(length * 2), "{name}");
                assert_eq!(parse(&format!("2 {}", name.to_uppercase())), Ok(length * 2), "{name}");
            }
        }
    }

    #[test]
    fn reads_fractions_to_the_nanosecond() {
        for (text, nanoseconds) in [
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("0.1 ms", 100_000),
            ("00.10ms", 100_000),
            ("1.0000000019s", 1_000_000_001),
            ("0.0000000000000000000000000001y", 0),
            ("0d", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
        let long = format!("1.{}s", "0".repeat(60_000));
        assert_eq!(parse(&long), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn refuses_what_is_no_number_with_a_unit() {
        for text in [
            "",
            " ",
            "d",
            ".d",
            "1.d",
            "1..5d",
            "1.5.5d",
            "-1d",
            "+1d",
            "- 1d",
            "1e3s",
            "0x1d",
            "NaN",
            "NaNs",
            "inf",
            "infs",
            "1  d",
            " 1d",
            "1d ",
            "1\td",
            "1 ",
            "1d1h",
            "1 d d",
            "1,5h",
            "1µs",
            "1ns",
            "1mo",
            "1 monthes",
            "١d",
            "1\u{a0}d",
            "1d\0",
        ] {
            assert_eq!(parse(text), Err(LifetimeFault::Malformed), "{text:?}");
        }
    }

    #[test]
    fn refuses_a_number_without_a_unit() {
        for text in ["30", "0", "1.5", "99999999999999999999999999999999999999999999999"] {
            assert_eq!(parse(text), Err(LifetimeFault::NoUnit), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_longer_than_the_contract_can_say() {
        assert_eq!(parse("315576000000s"), Ok(Duration::from_secs(LONGEST_SECONDS)));
        let longer =
            ["315576000000.000000001s", "315576000000001ms", "10007y", "99999999999999999999y"];
        for text in longer {
            assert_eq!(parse(text), Err(LifetimeFault::TooLong), "{text}");
        }
        for digits in [38, 39, 40, 60_000] {
            assert_eq!(
                parse(&("9".repeat(digits) + "ms")),
                Err(LifetimeFault::TooLong),
                "{digits}"
            );
        }
    }

    proptest! {
        #[test]
        fn judges_any_text(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn judges_anything_like_a_lifetime(text in "[0-9.]{0,50} {0,2}[a-zA-Z]{0,3}") {
            if let Ok(lifetime) = parse(&text) {
                prop_assert!(lifetime <= Duration::from_secs(LONGEST_SECONDS));
            }
        }

        #[test]
        fn reads_what_was_written(milliseconds in 0..=LONGEST_SECONDS * 1000) {
            let lifetime = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&format!("{milliseconds} ms")), Ok(lifetime));
            let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
            prop_assert_eq!(parse(&format!("{seconds}.{rest:03}s")), Ok(lifetime));
        }
    }
}
