//! Permissions: what a role grants, and whether a set of grants meets what is asked.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

const SELF: &str = "@self";

/// Something granted: `orders:read`, `orders:*` or `*`, each with `@self` where it reaches the
/// user's own resources only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    text: String,
    // How much of `text` stands before `@self`.
    pattern: usize,
}

impl Permission {
    /// Reads one: words of `[A-Za-z0-9_.-]` joined by `:`, the last of which may be `*`.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FAULT: &str = "must be words of A-Z, a-z, 0-9 and _.- joined by `:`, where the last \
                             may be `*`, of at most 128 characters, with `@self` behind it or not";
        if text.len() > 128 {
            return Err(FAULT);
        }
        let pattern = text.strip_suffix(SELF).unwrap_or(text);
        let (head, last) = pattern.rsplit_once(':').map_or((None, pattern), |(h, l)| (Some(h), l));
        let fits =
            head.is_none_or(|head| head.split(':').all(is_word)) && (last == "*" || is_word(last));
        if fits { Ok(Self { text: text.to_owned(), pattern: pattern.len() }) } else { Err(FAULT) }
    }

    /// The permission as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn pattern(&self) -> &str {
        self.text.get(..self.pattern).unwrap_or(&self.text)
    }

    /// Whether it ends in `*`.
    pub(super) fn is_wide(&self) -> bool {
        self.pattern().ends_with('*')
    }

    /// Whether it ends in `@self`.
    pub(super) fn is_self_only(&self) -> bool {
        self.pattern < self.text.len()
    }

    /// Whether it meets what is asked.
    #[must_use]
    pub fn meets(&self, asked: &Asked, reach: Reach) -> bool {
        let reaches = match reach {
            Reach::OwnResource => true,
            Reach::OwnResourceBySelfOnly => self.is_self_only(),
            Reach::OthersResource => !self.is_self_only(),
            Reach::NothingBySelfOnly => false,
        };
        reaches && covers(self.pattern(), &asked.text)
    }

    /// Whether whoever holds this one may give `other` away.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        (!self.is_self_only() || other.is_self_only()) && covers(self.pattern(), other.pattern())
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How far a bearer's permissions reach in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The resource is the bearer's own: `@self` counts.
    OwnResource,
    /// The resource is the bearer's own, and the profile lets only `@self` count.
    OwnResourceBySelfOnly,
    /// The resource is somebody else's, or nobody's: `@self` does not count.
    OthersResource,
    /// As before, where the profile lets only `@self` count.
    NothingBySelfOnly,
}

/// Something asked for: a permission without `*` or `@self`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    text: String,
    print: Print,
}

/// A number for a text: of equal texts equal, of others seldom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print(u64);

impl Print {
    fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl Asked {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name.
    pub fn parse(text: impl Into<String> + AsRef<str>) -> Result<Self, &'static str> {
        if text.as_ref().len() <= 128 && text.as_ref().split(':').all(is_word) {
            Ok(Self::new(text.into()))
        } else {
            Err("must be words of A-Z, a-z, 0-9 and _.- joined by `:`, of at most 128 characters, \
                 without `*` or `@self`")
        }
    }

    /// What our own RPCs ask for.
    #[must_use]
    pub fn of(own: &'static str) -> Self {
        Self::new(own.to_owned())
    }

    fn new(text: String) -> Self {
        Self { print: Print::of(&text), text }
    }

    /// The permission as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The permissions of a role, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PermissionSet {
    // Sorted by what they say.
    all: Vec<Permission>,
    // The print of each, in the same order: close together, so that most need not be looked at.
    prints: Vec<Print>,
    // Those of them that end in `*`: seldom many.
    wide: Vec<Permission>,
}

impl PermissionSet {
    /// Bytes that are kept of each beside itself.
    pub(super) const PRINT: usize = size_of::<Print>();

    /// Lists them, sorted.
    pub fn iter(&self) -> std::slice::Iter<'_, Permission> {
        self.all.iter()
    }

    /// Whether one of them meets what is asked: the same as to ask each, in fewer steps.
    #[must_use]
    pub fn meets(&self, asked: &Asked, reach: Reach) -> bool {
        let alike = self.prints.iter().zip(&self.all).filter(|(print, _)| **print == asked.print);
        alike.map(|(_, held)| held).chain(&self.wide).any(|held| held.meets(asked, reach))
    }
}

/// What somebody may give away: what they hold, arranged so that one of many is found in a few
/// steps, for there may be tens of thousands.
#[derive(Debug, Default)]
pub(super) struct Holdings<'a> {
    everywhere: Patterns<'a>,
    own_resources: Patterns<'a>,
}

#[derive(Debug, Default)]
struct Patterns<'a> {
    whole: HashSet<&'a str>,
    // What stands before a `*`.
    prefixes: HashSet<&'a str>,
}

impl Holdings<'_> {
    /// Finds the first that is not included in what is held.
    pub(super) fn find_lacking<'p>(
        &self,
        given: impl IntoIterator<Item = &'p Permission>,
    ) -> Option<&'p Permission> {
        given.into_iter().find(|given| !self.include(given))
    }

    /// The same as to ask [`Permission::includes`] of each, in fewer steps.
    fn include(&self, given: &Permission) -> bool {
        self.everywhere.cover(given.pattern())
            || (given.is_self_only() && self.own_resources.cover(given.pattern()))
    }
}

impl Patterns<'_> {
    fn cover(&self, pattern: &str) -> bool {
        let ends = pattern.match_indices(':').map(|(colon, _)| colon + 1);
        let prefixes = std::iter::once(0).chain(ends).filter_map(|end| pattern.get(..end));
        self.whole.contains(pattern)
            || prefixes.into_iter().any(|prefix| self.prefixes.contains(prefix))
    }
}

impl<'a> FromIterator<&'a Permission> for Holdings<'a> {
    fn from_iter<I: IntoIterator<Item = &'a Permission>>(permissions: I) -> Self {
        let mut holdings = Self::default();
        for held in permissions {
            let patterns = if held.is_self_only() {
                &mut holdings.own_resources
            } else {
                &mut holdings.everywhere
            };
            match held.pattern().strip_suffix('*') {
                Some(prefix) => patterns.prefixes.insert(prefix),
                None => patterns.whole.insert(held.pattern()),
            };
        }
        holdings
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let mut all: Vec<_> = permissions.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        let prints = all.iter().map(|held| Print::of(held.pattern())).collect();
        let wide = all.iter().filter(|held| held.is_wide()).cloned().collect();
        Self { all, prints, wide }
    }
}

impl IntoIterator for PermissionSet {
    type Item = Permission;
    type IntoIter = std::vec::IntoIter<Permission>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl<'a> IntoIterator for &'a PermissionSet {
    type Item = &'a Permission;
    type IntoIter = std::slice::Iter<'a, Permission>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// Whether `pattern` covers `other`, which may be a pattern itself.
fn covers(pattern: &str, other: &str) -> bool {
    match pattern.strip_suffix('*') {
        // `orders:*` leaves the prefix `orders:`, and `*` the empty one.
        Some(prefix) => other.starts_with(prefix),
        None => pattern == other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const REACHES: [Reach; 4] = [
        Reach::OwnResource,
        Reach::OwnResourceBySelfOnly,
        Reach::OthersResource,
        Reach::NothingBySelfOnly,
    ];

    proptest! {
        #[test]
        fn a_set_meets_what_one_of_it_meets(
            held in vec("([ab.]:|-:){0,2}([ab._-]{1,2}|[*])(@self)?", 0..8),
            asked in "([ab.]:|-:){0,2}[ab._-]{1,2}",
            reach in 0_usize..4,
        ) {
            let held: Vec<_> = held.iter().map(|text| Permission::parse(text).unwrap()).collect();
            let (asked, reach) = (Asked::parse(asked).unwrap(), REACHES[reach]);
            let one = held.iter().any(|held| held.meets(&asked, reach));
            prop_assert_eq!(held.into_iter().collect::<PermissionSet>().meets(&asked, reach), one);
        }
    }

    proptest! {
        #[test]
        fn holdings_include_what_one_of_them_includes(
            held in vec("([ab.]:|-:){0,2}([ab._-]{1,2}|[*])(@self)?", 0..8),
            given in "([ab.]:|-:){0,2}([ab._-]{1,2}|[*])(@self)?",
        ) {
            let held: Vec<_> = held.iter().map(|text| Permission::parse(text).unwrap()).collect();
            let given = Permission::parse(&given).unwrap();
            let one = held.iter().any(|held| held.includes(&given));
            prop_assert_eq!(held.iter().collect::<Holdings<'_>>().include(&given), one);
        }
    }

    fn meets(granted: &str, asked: &str, reach: Reach) -> bool {
        Permission::parse(granted).unwrap().meets(&Asked::parse(asked).unwrap(), reach)
    }

    #[test]
    fn meets_what_a_pattern_covers() {
        for (granted, asked, met) in [
            ("orders:read", "orders:read", true),
            ("orders:read", "orders:readonly", false),
            ("orders:*", "orders:read", true),
            ("orders:*", "orders:line:read", true),
            ("orders:*", "orders", false),
            ("orders:*", "ordersx:read", false),
            ("*", "anything:at.all", true),
            ("Orders:read", "orders:read", false),
        ] {
            assert_eq!(meets(granted, asked, Reach::OthersResource), met, "{granted} {asked}");
        }
    }

    #[test]
    fn reaches_no_further_than_self() {
        for (granted, own, own_self_only, others) in [
            ("a:b", true, false, true),
            ("a:b@self", true, true, false),
            ("*@self", true, true, false),
        ] {
            assert_eq!(meets(granted, "a:b", Reach::OwnResource), own, "{granted}");
            assert_eq!(meets(granted, "a:b", Reach::OwnResourceBySelfOnly), own_self_only);
            assert_eq!(meets(granted, "a:b", Reach::OthersResource), others, "{granted}");
            assert!(!meets(granted, "a:b", Reach::NothingBySelfOnly));
        }
    }

    #[test]
    fn includes_what_may_be_given_away() {
        let includes = |held: &str, given: &str| {
            Permission::parse(held).unwrap().includes(&Permission::parse(given).unwrap())
        };
        assert!(includes("*", "*"));
        assert!(includes("*", "a:*"));
        assert!(includes("a:*", "a:b@self"));
        assert!(includes("a:b", "a:b@self"));
        assert!(!includes("a:b@self", "a:b"));
        assert!(!includes("a:b", "a:*"));
        assert!(!includes("a:*", "*"));
    }

    #[test]
    fn refuses_what_is_no_permission() {
        for text in [
            "",
            ":",
            "a:",
            ":a",
            "a b",
            "**",
            "a*",
            "*:a",
            "a:*:b",
            "@self",
            "a@other",
            "a@self@self",
        ] {
            assert!(Permission::parse(text).is_err(), "{text}");
        }
        for text in ["", "*", "a:*", "a@self", "a:b@self"] {
            assert!(Asked::parse(text).is_err(), "{text}");
        }
    }
}
