//! Points in time, as dialects write them.

use prost_types::Timestamp;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

const SPACED: StaticFormatDescription =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]+00:00");

const SECONDS: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

const MILLISECONDS: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Writes `2019-04-01 13:53:28.536782+00:00`, always with six digits, cut and not rounded. `None`
/// where the timestamp is none of the years 1 to 9999.
pub(super) fn spaced(timestamp: &Timestamp) -> Option<String> {
    written(timestamp, SPACED)
}

/// Writes `2019-08-24T14:15:22Z`, cut to the second; `None` as [`spaced`].
pub(super) fn seconds(timestamp: &Timestamp) -> Option<String> {
    written(timestamp, SECONDS)
}

/// Writes `2019-09-23T14:15:22.000Z`, cut to the millisecond; `None` as [`spaced`].
pub(super) fn milliseconds(timestamp: &Timestamp) -> Option<String> {
    written(timestamp, MILLISECONDS)
}

fn written(timestamp: &Timestamp, form: StaticFormatDescription) -> Option<String> {
    let Timestamp { seconds, nanos } = *timestamp;
    let nanos = u32::try_from(nanos).ok()?;
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?.replace_nanosecond(nanos).ok()?;
    if time.year() < 1 {
        return None;
    }
    time.format(form).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: i64, nanos: i32) -> Option<String> {
        spaced(&Timestamp { seconds, nanos })
    }

    #[test]
    fn writes_six_digits_always() {
        let cases = [
            (1_554_126_808, 536_782_000, "2019-04-01 13:53:28.536782+00:00"),
            (1_554_126_808, 536_782_999, "2019-04-01 13:53:28.536782+00:00"),
            (1_554_126_808, 0, "2019-04-01 13:53:28.000000+00:00"),
            (1_554_126_808, 7_000, "2019-04-01 13:53:28.000007+00:00"),
            (0, 999_999_999, "1970-01-01 00:00:00.999999+00:00"),
            (-1, 0, "1969-12-31 23:59:59.000000+00:00"),
        ];
        for (seconds, nanos, expected) in cases {
            assert_eq!(text(seconds, nanos).as_deref(), Some(expected));
        }
    }

    #[test]
    fn writes_an_instant_to_the_second_or_the_millisecond() {
        let instant = Timestamp { seconds: 1_569_248_122, nanos: 1_999_999 };
        assert_eq!(super::seconds(&instant).unwrap(), "2019-09-23T14:15:22Z");
        assert_eq!(milliseconds(&instant).unwrap(), "2019-09-23T14:15:22.001Z");
    }

    #[test]
    fn writes_nothing_for_what_no_calendar_holds() {
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000)] {
            assert_eq!(text(seconds, nanos), None);
        }
    }
}
