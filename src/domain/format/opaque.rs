//! Opaque secrets: random bits and a keyed check of them, as one number in the digits of a form.
//!
//! The check lets us refuse a forged token from memory. Whoever steals its key gains database
//! reads, and no token.

use std::fmt;

use aws_lc_rs::hmac;

use super::super::profile::OpaqueForm;
use super::super::token::Secret;

/// The most random bytes that a form holds.
pub const MAX_RANDOM: usize = 24;

const HEX: &[u8] = b"0123456789abcdef";
const BASE36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How a form is laid out.
struct Layout {
    prefix: &'static str,
    alphabet: &'static [u8],
    digits: usize,
    random_bytes: usize,
    check_bits: u32,
}

const fn layout(form: OpaqueForm) -> Layout {
    match form {
        OpaqueForm::Hex40 => {
            Layout { prefix: "", alphabet: HEX, digits: 40, random_bytes: 16, check_bits: 32 }
        }
        OpaqueForm::Base36x32 => {
            Layout { prefix: "", alphabet: BASE36, digits: 32, random_bytes: 16, check_bits: 37 }
        }
        OpaqueForm::Apnz => Layout {
            prefix: "apnz_",
            alphabet: BASE62,
            digits: 35,
            random_bytes: 20,
            check_bits: 48,
        },
        OpaqueForm::Tkd => Layout {
            prefix: "tkd_",
            alphabet: BASE62,
            digits: 43,
            random_bytes: 24,
            check_bits: 64,
        },
        OpaqueForm::Tkr => Layout {
            prefix: "tkr_",
            alphabet: BASE62,
            digits: 43,
            random_bytes: 24,
            check_bits: 64,
        },
    }
}

/// Makes a secret of a form from random bytes, of which it takes as many as the form holds.
///
/// `profile` is part of what is checked, so that a secret of one profile is not one of another's.
#[must_use]
pub fn write(
    form: OpaqueForm,
    profile: &str,
    key: &hmac::Key,
    random: &[u8; MAX_RANDOM],
) -> Secret {
    let layout = layout(form);
    let random = random.get(..layout.random_bytes).unwrap_or(random);
    let check = check(&layout, profile, key, random);
    let number = Number::from_bytes(random).shifted_left(layout.check_bits).with_low(check);
    let mut text = layout.prefix.to_owned();
    text.push_str(&number.digits(layout.alphabet, layout.digits));
    Secret::new(text)
}

/// What a secret of a form holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Read {
    form: OpaqueForm,
    random: Vec<u8>,
    check: u64,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").field("form", &self.form).finish_non_exhaustive()
    }
}

/// Reads a secret, if it is written in this form.
#[must_use]
pub fn read(form: OpaqueForm, text: &str) -> Option<Read> {
    let layout = layout(form);
    let digits = text.strip_prefix(layout.prefix)?;
    if digits.len() != layout.digits {
        return None;
    }
    let number = Number::from_digits(layout.alphabet, digits.as_bytes())?;
    let check = number.low(layout.check_bits);
    let random = number.shifted_right(layout.check_bits).to_bytes(layout.random_bytes)?;
    Some(Read { form, random, check })
}

impl Read {
    /// Whether the check is the one that this key makes for this profile.
    #[must_use]
    pub fn is_genuine(&self, profile: &str, key: &hmac::Key) -> bool {
        // A plain comparison: who learns the check bit by bit has learnt nothing that opens.
        check(&layout(self.form), profile, key, &self.random) == self.check
    }
}

fn check(layout: &Layout, profile: &str, key: &hmac::Key, random: &[u8]) -> u64 {
    let mut context = hmac::Context::with_key(key);
    context.update(profile.as_bytes());
    context.update(&[0]);
    context.update(layout.prefix.as_bytes());
    context.update(&[0]);
    context.update(random);
    let tag = context.sign();
    let first = tag.as_ref().first_chunk::<8>().copied().unwrap_or_default();
    u64::from_be_bytes(first) >> (64 - layout.check_bits)
}

/// A number of 256 bits: four limbs, the lowest first.
#[derive(Clone, Copy)]
struct Number([u64; 4]);

impl Number {
    fn from_bytes(bytes: &[u8]) -> Self {
        let mut number = Self([0; 4]);
        for byte in bytes {
            // At most 24 bytes come in, so nothing is carried out.
            number = number.times_plus(256, u64::from(*byte)).unwrap_or(number);
        }
        number
    }

    /// The lowest bytes, if it fits into so many.
    fn to_bytes(self, count: usize) -> Option<Vec<u8>> {
        let mut all: Vec<u8> = self.0.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
        let bytes = all.split_off(all.len().checked_sub(count)?);
        all.iter().all(|byte| *byte == 0).then_some(bytes)
    }

    fn from_digits(alphabet: &[u8], digits: &[u8]) -> Option<Self> {
        let base = alphabet.len() as u64;
        digits.iter().try_fold(Self([0; 4]), |number, digit| {
            let value = alphabet.iter().position(|known| known == digit)?;
            number.times_plus(base, value as u64)
        })
    }

    fn digits(mut self, alphabet: &[u8], count: usize) -> String {
        let mut text = vec!['0'; count];
        for place in text.iter_mut().rev() {
            let digit = self.divide(alphabet.len() as u64);
            *place = usize::try_from(digit)
                .ok()
                .and_then(|digit| alphabet.get(digit))
                .map_or('0', |digit| char::from(*digit));
        }
        text.into_iter().collect()
    }

    /// `self · factor + more`, if that fits.
    fn times_plus(mut self, factor: u64, more: u64) -> Option<Self> {
        let mut carry = u128::from(more);
        for limb in &mut self.0 {
            let product = u128::from(*limb) * u128::from(factor) + carry;
            *limb = low_half(product);
            carry = product >> 64;
        }
        (carry == 0).then_some(self)
    }

    /// Divides by `divisor` and answers what is left over.
    fn divide(&mut self, divisor: u64) -> u64 {
        let mut rest = 0_u128;
        for limb in self.0.iter_mut().rev() {
            let part = (rest << 64) | u128::from(*limb);
            *limb = low_half(part / u128::from(divisor));
            rest = part % u128::from(divisor);
        }
        low_half(rest)
    }

    fn shifted_left(self, bits: u32) -> Self {
        // In two steps, for a shift by a whole limb is one that `u64` does not know.
        let (first, second) = (bits / 2, bits - bits / 2);
        self.shifted_left_below_limb(first).shifted_left_below_limb(second)
    }

    fn shifted_left_below_limb(mut self, bits: u32) -> Self {
        let mut carry = 0;
        for limb in &mut self.0 {
            let wide = (u128::from(*limb) << bits) | carry;
            *limb = low_half(wide);
            carry = wide >> 64;
        }
        self
    }

    fn shifted_right(self, bits: u32) -> Self {
        let [a, b, c, d] = self.0;
        let pick =
            |low: u64, high: u64| low_half(((u128::from(high) << 64) | u128::from(low)) >> bits);
        Self([pick(a, b), pick(b, c), pick(c, d), pick(d, 0)])
    }

    fn with_low(mut self, low: u64) -> Self {
        let [first, ..] = &mut self.0;
        *first |= low;
        self
    }

    fn low(self, bits: u32) -> u64 {
        let [first, ..] = self.0;
        first & (u64::MAX >> (64 - bits))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
const fn low_half(wide: u128) -> u64 {
    wide as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMS: [OpaqueForm; 5] = [
        OpaqueForm::Hex40,
        OpaqueForm::Base36x32,
        OpaqueForm::Apnz,
        OpaqueForm::Tkd,
        OpaqueForm::Tkr,
    ];

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    #[test]
    fn has_the_documented_length_and_alphabet() {
        for random in [[0; MAX_RANDOM], [0xff; MAX_RANDOM]] {
            let text = |form| write(form, "p", &key(1), &random).expose().to_owned();
            let hex = text(OpaqueForm::Hex40);
            assert_eq!(hex.len(), 40);
            assert!(hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{hex}");
            let base36 = text(OpaqueForm::Base36x32);
            assert_eq!(base36.len(), 32);
            assert!(base36.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z')), "{base36}");
            let apnz = text(OpaqueForm::Apnz);
            let rest = apnz.strip_prefix("apnz_").unwrap();
            assert_eq!(rest.len(), 35);
            assert!(rest.bytes().all(|b| b.is_ascii_alphanumeric()), "{rest}");
            assert_eq!(text(OpaqueForm::Tkd).len(), 47);
            assert!(text(OpaqueForm::Tkr).starts_with("tkr_"));
        }
    }

    #[test]
    fn tells_a_made_one_from_one_of_another_key_or_profile() {
        for form in FORMS {
            let secret = write(form, "azion", &key(1), &[9; MAX_RANDOM]);
            let read = read(form, secret.expose()).unwrap();
            assert!(read.is_genuine("azion", &key(1)));
            assert!(!read.is_genuine("azion", &key(2)));
            assert!(!read.is_genuine("other", &key(1)));
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(random: [u8; MAX_RANDOM], form in 0..FORMS.len()) {
            let form = FORMS[form];
            let secret = write(form, "p", &key(1), &random);
            let read = read(form, secret.expose()).unwrap();
            prop_assert!(read.is_genuine("p", &key(1)));
            prop_assert_eq!(&read.random[..], &random[..layout(form).random_bytes]);
        }

        #[test]
        fn refuses_one_changed_digit(random: [u8; MAX_RANDOM], form in 0..FORMS.len(), at: usize) {
            let form = FORMS[form];
            let mut text = write(form, "p", &key(1), &random).expose().to_owned().into_bytes();
            let at = at % text.len();
            text[at] = if text[at] == b'1' { b'2' } else { b'1' };
            let text = String::from_utf8(text).unwrap();
            prop_assert!(!read(form, &text).is_some_and(|read| read.is_genuine("p", &key(1))));
        }

        #[test]
        fn never_panics_on_what_is_no_token(text in ".{0,64}", form in 0..FORMS.len()) {
            let form = FORMS[form];
            prop_assert!(!read(form, &text).is_some_and(|read| read.is_genuine("p", &key(1))));
        }
    }
}
