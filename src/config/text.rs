//! How settings are written: durations, lists, secrets and words of a fixed set.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands in the place of a secret that is shown.
pub(super) const HIDDEN: &str = "[hidden]";

/// Makes an enum of which each variant has one written form.
macro_rules! words {
    ($(#[$of:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$each])* $variant),* }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(match self { $(Self::$variant => $text),* })
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                match String::deserialize(from)?.as_str() {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(serde::de::Error::custom(
                        concat!("must be one of", $(" `", $text, "`"),*),
                    )),
                }
            }
        }
    };
}
pub(super) use words;

/// How long a token lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Lifetime {
    /// This long: `15m`, `30d`.
    For(Duration),
    /// Without end: `never`.
    Never,
}

impl Serialize for Lifetime {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::For(time) => duration::serialize(time, to),
            Self::Never => to.serialize_str("never"),
        }
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text == "never" {
            return Ok(Self::Never);
        }
        match duration::parse(&text) {
            Some(time) if time >= Duration::from_secs(1) => Ok(Self::For(time)),
            Some(_) => Err(D::Error::custom("must be a second at least")),
            None => Err(D::Error::custom("must be a duration such as `15m` or `30d`, or `never`")),
        }
    }
}

/// A duration as people write it: `250ms`, `30s`, `15m`, `24h`, `30d`.
pub(super) mod duration {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    const UNITS: [(u128, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];

    pub(super) fn parse(text: &str) -> Option<Duration> {
        humantime::parse_duration(text).ok()
    }

    pub(in crate::config) fn serialize<S: Serializer>(
        time: &Duration,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let millis = time.as_millis();
        let unit = UNITS.iter().find(|(size, _)| millis > 0 && millis.is_multiple_of(*size));
        let (size, name) = unit.unwrap_or(&(1, "s"));
        to.serialize_str(&format!("{}{name}", millis / size))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Duration, D::Error> {
        parse(&String::deserialize(from)?)
            .ok_or_else(|| serde::de::Error::custom("must be a duration such as `250ms` or `30s`"))
    }
}

/// A duration that may be left out.
pub(super) mod optional_duration {
    use super::{Deserializer, Duration, Serializer, duration};

    #[expect(clippy::ref_option, reason = "serde hands the field over so")]
    pub(in crate::config) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => duration::serialize(time, to),
            None => to.serialize_none(),
        }
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        duration::deserialize(from).map(Some)
    }
}

/// A number of bytes as people write it: `16KiB`, `256MiB`, `2GiB`.
pub(super) mod size {
    use super::{Deserialize, Deserializer, Serializer};

    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

    fn parse(text: &str) -> Option<usize> {
        let (count, size) = UNITS
            .iter()
            .find_map(|(size, unit)| text.strip_suffix(unit).map(|count| (count.trim(), size)))?;
        // `parse` alone takes a sign.
        let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
        count.parse::<usize>().ok().filter(|_| is_number)?.checked_mul(*size)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over so")]
    pub(in crate::config) fn serialize<S: Serializer>(
        bytes: &usize,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let unit = UNITS.iter().find(|(size, _)| *bytes > 0 && bytes.is_multiple_of(*size));
        let (size, name) = unit.unwrap_or(&(1 << 10, "KiB"));
        to.serialize_str(&format!("{}{name}", bytes / size))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<usize, D::Error> {
        parse(&String::deserialize(from)?).ok_or_else(|| {
            serde::de::Error::custom("must be a size such as `64KiB`, `256MiB` or `2GiB`")
        })
    }
}

/// Reads a list, which the environment and flags write as words between commas.
pub(super) fn list<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of texts")]
    enum Written {
        List(Vec<String>),
        Commas(String),
    }
    let words = match Written::deserialize(from)? {
        Written::List(words) => words,
        Written::Commas(text) => text.split(',').map(str::to_owned).collect(),
    };
    words
        .iter()
        .map(|word| word.trim())
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().map_err(D::Error::custom))
        .collect()
}

/// A secret: read as text whatever it looks like, never shown.
pub(super) mod secret {
    use secrecy::SecretString;

    use super::{Deserialize, Deserializer, HIDDEN, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands the field over so")]
    pub(in crate::config) fn serialize<S: Serializer>(
        secret: &Option<SecretString>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match secret {
            Some(_) => to.serialize_str(HIDDEN),
            None => to.serialize_none(),
        }
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SecretString>, D::Error> {
        String::deserialize(from).map(|text| Some(text.into()))
    }
}

/// The URL of a database: it may hold a password, so only one of a file is shown.
pub(super) mod database_url {
    use secrecy::{ExposeSecret as _, SecretString};

    use super::{Deserialize, Deserializer, HIDDEN, Serializer};

    pub(in crate::config) fn serialize<S: Serializer>(
        url: &SecretString,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let url = url.expose_secret();
        to.serialize_str(if url.starts_with("sqlite:") { url } else { HIDDEN })
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SecretString, D::Error> {
        String::deserialize(from).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Setting {
        #[serde(with = "size")]
        bytes: usize,
    }

    fn read(text: &str) -> Result<Setting, toml::de::Error> {
        toml::from_str(&format!("bytes = '{text}'"))
    }

    #[test]
    fn reads_a_size_and_shows_it_in_its_largest_unit() {
        for (text, bytes, shown) in [
            ("16KiB", 16 << 10, "16KiB"),
            ("256 MiB", 256 << 20, "256MiB"),
            ("2048MiB", 2 << 30, "2GiB"),
            ("1025KiB", 1025 << 10, "1025KiB"),
            ("0KiB", 0, "0KiB"),
        ] {
            let setting = read(text).unwrap();
            assert_eq!(setting.bytes, bytes, "{text}");
            assert_eq!(toml::to_string(&setting).unwrap(), format!("bytes = \"{shown}\"\n"));
        }
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in
            ["", "16", "KiB", "16KB", "+1KiB", "-1KiB", "1.5MiB", "1e3KiB", "99999999999999GiB"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
