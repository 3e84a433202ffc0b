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
use crate::{Result, fail, machine};

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

/// Processor time of one signature and of one verification, in microseconds. Both keys are parsed
/// before.
pub(crate) struct Signing {
    pub(crate) sign: f64,
    pub(crate) verify: f64,
}

impl Signatures {
    /// Measures them, each for so long and on every core, as the server does them.
    pub(crate) fn measure(self, time: Duration) -> Result<Signing> {
        let threads = machine::cores()?;
        match self {
            Self::Ed25519 => ed25519(time, threads),
            Self::Rs256 => rs256(time, threads),
        }
    }
}

fn ed25519(time: Duration, threads: usize) -> Result<Signing> {
    let pair = Ed25519KeyPair::generate()?;
    let public = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref())?;
    let signature = pair.sign(&MESSAGE);
    Ok(Signing {
        sign: together(threads, || {
            cost(time, || {
                std::hint::black_box(pair.sign(std::hint::black_box(&MESSAGE)));
                Ok(())
            })
        })?,
        verify: together(threads, || {
            cost(time, || Ok(public.verify_sig(&MESSAGE, signature.as_ref())?))
        })?,
    })
}

fn rs256(time: Duration, threads: usize) -> Result<Signing> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())?;
    let random = SystemRandom::new();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &random, &MESSAGE, &mut signature)?;
    let sign = || {
        let mut signature = signature.clone();
        cost(time, || {
            let message = std::hint::black_box(&MESSAGE);
            Ok(pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?)
        })
    };
    let verify = || cost(time, || Ok(public.verify_sig(&MESSAGE, &signature)?));
    Ok(Signing { sign: together(threads, sign)?, verify: together(threads, verify)? })
}

/// Processor time of one Argon2id of the default cost, in microseconds, done for so long on so many
/// threads. The memory of a hash is taken once.
pub(crate) fn argon2(time: Duration, threads: usize) -> Result<f64> {
    together(threads, || argon2_alone(time))
}

/// What one turn costs where so many threads take turns at once, as those of the server do: they
/// share the machine's memory and its clock rate, and two may share one core.
fn together(threads: usize, measure: impl Fn() -> Result<f64> + Sync) -> Result<f64> {
    thread::scope(|scope| {
        let measuring: Vec<_> = (0..threads).map(|_| scope.spawn(&measure)).collect();
        let mut total = 0.0;
        for one in measuring {
            total += one.join().unwrap_or_else(|_| fail("a thread that measures panicked"))?;
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
