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
const MAX_DIGITS: usize = 43;

const FORMS: [OpaqueForm; 5] =
    [OpaqueForm::Tkd, OpaqueForm::Tkr, OpaqueForm::Hex40, OpaqueForm::Base36x32, OpaqueForm::Apnz];

static HEX: Alphabet = Alphabet::new(b"0123456789abcdef");
static BASE36: Alphabet = Alphabet::new(b"0123456789abcdefghijklmnopqrstuvwxyz");
static BASE62: Alphabet =
    Alphabet::new(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/// How many digits of any of the alphabets fit into 64 bits for certain.
const DIGITS_AT_ONCE: usize = 10;

/// The digits of a form, both ways.
struct Alphabet {
    digits: &'static [u8],
    /// By the byte: what it stands for, or [`Self::NONE`].
    values: [u8; 256],
}

impl Alphabet {
    const NONE: u8 = u8::MAX;

    #[expect(clippy::indexing_slicing, reason = "the compiler runs it, and would refuse")]
    #[expect(clippy::cast_possible_truncation, reason = "there are at most 62")]
    const fn new(digits: &'static [u8]) -> Self {
        let mut values = [Self::NONE; 256];
        let mut value = 0;
        while value < digits.len() {
            values[digits[value] as usize] = value as u8;
            value += 1;
        }
        Self { digits, values }
    }

    const fn base(&self) -> u64 {
        self.digits.len() as u64
    }

    fn value(&self, digit: u8) -> Option<u64> {
        let value = self.values.get(usize::from(digit)).copied().unwrap_or(Self::NONE);
        (value != Self::NONE).then(|| u64::from(value))
    }

    fn digit(&self, value: u64) -> u8 {
        usize::try_from(value).ok().and_then(|at| self.digits.get(at)).copied().unwrap_or(b'0')
    }
}

/// How a form is laid out.
struct Layout {
    prefix: &'static str,
    alphabet: &'static Alphabet,
    digits: usize,
    random_bytes: usize,
    check_bits: u32,
}

const fn layout(form: OpaqueForm) -> Layout {
    match form {
        OpaqueForm::Hex40 => {
            Layout { prefix: "", alphabet: &HEX, digits: 40, random_bytes: 16, check_bits: 32 }
        }
        OpaqueForm::Base36x32 => {
            Layout { prefix: "", alphabet: &BASE36, digits: 32, random_bytes: 16, check_bits: 37 }
        }
        OpaqueForm::Apnz => Layout {
            prefix: "apnz_",
            alphabet: &BASE62,
            digits: 35,
            random_bytes: 20,
            check_bits: 48,
        },
        OpaqueForm::Tkd => Layout {
            prefix: "tkd_",
            alphabet: &BASE62,
            digits: 43,
            random_bytes: 24,
            check_bits: 64,
        },
        OpaqueForm::Tkr => Layout {
            prefix: "tkr_",
            alphabet: &BASE62,
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
    let mut text = String::with_capacity(layout.prefix.len() + layout.digits);
    text.push_str(layout.prefix);
    number.write_digits(layout.alphabet, layout.digits, &mut text);
    Secret::new(text)
}

/// What a secret of a form holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Read {
    form: OpaqueForm,
    // Behind as many zeros as the form holds less of them.
    random: [u8; MAX_RANDOM],
    check: u64,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").field("form", &self.form).finish_non_exhaustive()
    }
}

/// Reads a secret, if it is written in one of the forms. No text is written in two.
#[must_use]
pub fn read(text: &str) -> Option<Read> {
    FORMS.into_iter().find_map(|form| read_as(form, text))
}

fn read_as(form: OpaqueForm, text: &str) -> Option<Read> {
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
    /// The form in which it is written.
    #[must_use]
    pub const fn form(&self) -> OpaqueForm {
        self.form
    }

    /// Whether the check is the one that this key makes for this profile.
    #[must_use]
    pub fn is_genuine(&self, profile: &str, key: &hmac::Key) -> bool {
        // A plain comparison: who learns the check bit by bit has learnt nothing that opens.
        let layout = layout(self.form);
        let (_, random) = self.random.split_at(MAX_RANDOM - layout.random_bytes);
        check(&layout, profile, key, random) == self.check
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
        bytes.chunks(4).fold(Self([0; 4]), |number, chunk| {
            let value = chunk.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
            // At most 24 bytes come in, so nothing is carried out.
            number.times_plus(1 << (8 * chunk.len()), value).unwrap_or(number)
        })
    }

    /// The lowest `count` bytes at the end, if it fits into them.
    fn to_bytes(self, count: usize) -> Option<[u8; MAX_RANDOM]> {
        let [a, b, c, d] = self.0;
        let mut bytes = [0; MAX_RANDOM];
        for (place, limb) in bytes.chunks_exact_mut(8).zip([c, b, a]) {
            place.copy_from_slice(&limb.to_be_bytes());
        }
        let (above, _) = bytes.split_at(MAX_RANDOM.checked_sub(count)?);
        (d == 0 && above.iter().all(|byte| *byte == 0)).then_some(bytes)
    }

    fn from_digits(alphabet: &Alphabet, digits: &[u8]) -> Option<Self> {
        digits.chunks(DIGITS_AT_ONCE).try_fold(Self([0; 4]), |number, chunk| {
            let (mut factor, mut value) = (1, 0);
            for digit in chunk {
                factor *= alphabet.base();
                value = value * alphabet.base() + alphabet.value(*digit)?;
            }
            number.times_plus(factor, value)
        })
    }

    fn write_digits(mut self, alphabet: &Alphabet, count: usize, text: &mut String) {
        let mut digits = [0; MAX_DIGITS];
        let (digits, _) = digits.split_at_mut(count.min(MAX_DIGITS));
        for chunk in digits.rchunks_mut(DIGITS_AT_ONCE) {
            let mut value = self.divide(chunk.iter().map(|_| alphabet.base()).product());
            for place in chunk.iter_mut().rev() {
                *place = alphabet.digit(value % alphabet.base());
                value /= alphabet.base();
            }
        }
        text.extend(digits.iter().copied().map(char::from));
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

    /// Whatever changes here would no longer know the tokens that are out.
    #[test]
    fn writes_what_it_has_always_written() {
        let random = std::array::from_fn(|at| 7 * u8::try_from(at).unwrap() + 1);
        let texts = FORMS.map(|form| write(form, "p", &key(1), &random).expose().to_owned());
        let known = [
            "tkd_0FAE0br7FNXNSiMwMIFF0C1t0KyYFUbUS2lkITSHTcu",
            "tkr_0FAE0br7FNXNSiMwMIFF0C1t0KyYFUbUM5ScVKVn4Fu",
            "01080f161d242b323940474e555c636acf6c705b",
            "03usw7gxf5nazvc3kllgjcjnnrb7sbco",
            "apnz_0BlKehJPIXFvC5I7se73KhsLhY0ebhfWODQ",
        ];
        assert_eq!(texts, known);
    }

    #[test]
    fn refuses_a_number_that_does_not_fit() {
        assert!(read(&"f".repeat(40)).is_some());
        for text in ["z".repeat(32), "z".repeat(35), "z".repeat(43)] {
            for prefix in ["", "apnz_", "tkd_", "tkr_"] {
                assert!(read(&format!("{prefix}{text}")).is_none(), "{prefix}{text}");
            }
        }
    }

    #[test]
    fn tells_a_made_one_from_one_of_another_key_or_profile() {
        for form in FORMS {
            let secret = write(form, "azion", &key(1), &[9; MAX_RANDOM]);
            let read = super::read(secret.expose()).unwrap();
            assert_eq!(read.form(), form);
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
            let read = super::read(secret.expose()).unwrap();
            prop_assert_eq!(read.form(), form);
            prop_assert!(read.is_genuine("p", &key(1)));
            let count = layout(form).random_bytes;
            prop_assert_eq!(&read.random[MAX_RANDOM - count..], &random[..count]);
        }

        #[test]
        fn refuses_one_changed_digit(random: [u8; MAX_RANDOM], form in 0..FORMS.len(), at: usize) {
            let form = FORMS[form];
            let mut text = write(form, "p", &key(1), &random).expose().to_owned().into_bytes();
            let at = at % text.len();
            text[at] = if text[at] == b'1' { b'2' } else { b'1' };
            let text = String::from_utf8(text).unwrap();
            prop_assert!(!read(&text).is_some_and(|read| read.is_genuine("p", &key(1))));
        }

        #[test]
        fn never_panics_on_what_is_no_token(text in ".{0,64}") {
            prop_assert!(!read(&text).is_some_and(|read| read.is_genuine("p", &key(1))));
        }
    }
}
