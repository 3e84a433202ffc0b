//! What one unavoidable step costs: a signature, a verification, a hash, each in a loop in this
//! process, by the processor time of the thread that does it.

use std::thread;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustix::time::{ClockId, clock_gettime};

use crate::figures::{float, micros};
use crate::{Result, fail};

/// About what a token of ours has before its signature, in bytes.
const MESSAGE: [u8; 400] = [b'.'; 400];
/// The default cost of a hash.
const MEMORY_KIB: u32 = 19456;
const ITERATIONS: u32 = 2;
const LANES: u32 = 1;

/// The algorithms that a refresh without rotation is measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signatures {
    /// Ed25519.
    Ed25519,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and 2048 bits.
    Rs256,
}

/// Processor time of one signature and of one verification, in microseconds, each done for so
/// long. Both keys are parsed before.
pub(crate) struct Signing {
    pub(crate) sign: f64,
    pub(crate) verify: f64,
}

impl Signatures {
    /// Measures them, each for so long.
    pub(crate) fn measure(self, time: Duration) -> Result<Signing> {
        match self {
            Self::Ed25519 => ed25519(time),
            Self::Rs256 => rs256(time),
        }
    }
}

fn ed25519(time: Duration) -> Result<Signing> {
    let pair = Ed25519KeyPair::generate()?;
    let public = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref())?;
    let signature = pair.sign(&MESSAGE);
    Ok(Signing {
        sign: cost(time, || {
            std::hint::black_box(pair.sign(std::hint::black_box(&MESSAGE)));
            Ok(())
        })?,
        verify: cost(time, || Ok(public.verify_sig(&MESSAGE, signature.as_ref())?))?,
    })
}

fn rs256(time: Duration) -> Result<Signing> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())?;
    let random = SystemRandom::new();
    let mut signature = vec![0; pair.public_modulus_len()];
    let sign = cost(time, || {
        Ok(pair.sign(&RSA_PKCS1_SHA256, &random, std::hint::black_box(&MESSAGE), &mut signature)?)
    })?;
    Ok(Signing { sign, verify: cost(time, || Ok(public.verify_sig(&MESSAGE, &signature)?))? })
}

/// Processor time of one Argon2id of the default cost, in microseconds, done for so long by as many
/// threads as the server hashes on, for they share the machine's memory. The memory of a hash is
/// taken once.
pub(crate) fn argon2(time: Duration, threads: usize) -> Result<f64> {
    thread::scope(|scope| {
        let hashing: Vec<_> = (0..threads).map(|_| scope.spawn(|| argon2_alone(time))).collect();
        let mut total = 0.0;
        for hasher in hashing {
            total += hasher.join().unwrap_or_else(|_| fail("a thread that hashes panicked"))?;
        }
        Ok(total / float(crate::figures::count(threads)))
    })
}

fn argon2_alone(time: Duration) -> Result<f64> {
    let params = Params::new(MEMORY_KIB, ITERATIONS, LANES, None)?;
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; 32];
    cost(time, || {
        let (password, salt) = (b"correct horse battery", b"0123456789abcdef");
        Ok(argon2.hash_password_into_with_memory(password, salt, &mut hash, &mut memory)?)
    })
}

/// The processor time of one turn, in microseconds, over turns that take so long together.
fn cost(time: Duration, mut turn: impl FnMut() -> Result<()>) -> Result<f64> {
    turn()?;
    let begun = cpu()?;
    let mut turns: u64 = 0;
    loop {
        turn()?;
        turns += 1;
        let spent = cpu()?.saturating_sub(begun);
        if spent >= time {
            return Ok(micros(spent) / float(turns));
        }
    }
}

/// The processor time of this thread until now.
fn cpu() -> Result<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?)
}
