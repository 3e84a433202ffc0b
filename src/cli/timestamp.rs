//! Times and lengths of time, between the contract and text.

use prost_types::{Duration, Timestamp};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The time as RFC 3339 in UTC. What no calendar holds is `invalid`.
pub(super) fn format(time: &Timestamp) -> String {
    i128::from(time.seconds)
        .checked_mul(1_000_000_000)
        .and_then(|nanos| nanos.checked_add(i128::from(time.nanos)))
        .and_then(|nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "invalid".to_owned())
}

/// Reads a time as RFC 3339 writes it.
///
/// # Errors
/// The text is not of that form.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "a time is given as 2027-01-31T12:00:00Z".to_owned())?;
    let nanos = i32::try_from(time.nanosecond()).unwrap_or_default();
    Ok(Timestamp { seconds: time.unix_timestamp(), nanos })
}

/// Reads a length of time such as `30d`, `15m` or `1h 30m`.
///
/// # Errors
/// The text is not of that form, or longer than the contract can say.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "a length of time is given as 30d, 15m or 1h 30m".to_owned())
}

/// The length of time in seconds, as the JSON form of protobuf writes it: `1.500s`.
pub(super) fn seconds(duration: &Duration) -> String {
    duration.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc_3339() {
        for (text, seconds, nanos, written) in [
            ("2026-11-22T11:58:00Z", 1_795_348_680, 0, "2026-11-22T11:58:00Z"),
            ("2026-11-22T13:58:00.25+02:00", 1_795_348_680, 250_000_000, "2026-11-22T11:58:00.25Z"),
            ("1969-12-31T23:59:59.5Z", -1, 500_000_000, "1969-12-31T23:59:59.5Z"),
        ] {
            let time = parse(text).unwrap();
            assert_eq!((time.seconds, time.nanos), (seconds, nanos));
            assert_eq!(format(&time), written);
        }
        for text in ["", "2026-11-22", "tomorrow", "2026-02-30T00:00:00Z"] {
            parse(text).unwrap_err();
        }
    }

    #[test]
    fn does_not_fail_on_a_time_that_no_calendar_holds() {
        for seconds in [i64::MIN, i64::MAX] {
            assert_eq!(format(&Timestamp { seconds, nanos: i32::MAX }), "invalid");
        }
    }

    #[test]
    fn reads_lengths_of_time() {
        for (text, seconds) in
            [("30d", 2_592_000), ("15m", 900), ("1h 30m", 5_400), ("1h30m", 5_400)]
        {
            assert_eq!(parse_duration(text).unwrap(), Duration { seconds, nanos: 0 });
        }
        for text in ["", "30", "-1d", "a while", "99999999999999999999d"] {
            parse_duration(text).unwrap_err();
        }
        assert_eq!(seconds(&Duration { seconds: 1, nanos: 500_000_000 }), "1.500s");
    }
}
