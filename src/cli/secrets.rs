//! Where passwords and tokens are read from: standard input, or a terminal that shows nothing.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::error::Error;
use crate::secret;

/// More than any secret of the contract: a password has 1024 bytes at most, a JWT a few thousand.
const LONGEST_LINE: u16 = 16 * 1024;

/// Where secrets come from. The methods block.
pub trait SecretSource: Send + Sync + 'static {
    /// Whether somebody sits at a terminal and can be asked.
    fn is_terminal(&self) -> bool;

    /// Asks at the terminal, and does not show what is typed.
    ///
    /// # Errors
    /// There is no terminal, or it can't be read.
    fn ask(&self, prompt: &str) -> io::Result<SecretString>;

    /// Reads the next line of standard input, without its line end and what an editor puts before
    /// it. Empty where it has ended.
    ///
    /// # Errors
    /// It can't be read, is no UTF-8 or no line of text, or is longer than 16 KiB.
    fn next_line(&self) -> io::Result<SecretString>;
}

/// The standard input and the terminal of this process.
#[derive(Debug, Clone, Copy)]
pub struct Console;

impl SecretSource for Console {
    fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn ask(&self, prompt: &str) -> io::Result<SecretString> {
        rpassword::prompt_password(prompt).map(Into::into)
    }

    fn next_line(&self) -> io::Result<SecretString> {
        line_of(&mut io::stdin().lock())
    }
}

fn line_of(input: &mut dyn io::BufRead) -> io::Result<SecretString> {
    // The room is made at once: a buffer that grows leaves copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(usize::from(LONGEST_LINE)));
    input.take(u64::from(LONGEST_LINE)).read_until(b'\n', &mut line)?;
    let refused = |fault| io::Error::new(io::ErrorKind::InvalidData, format!("the line {fault}"));
    if line.len() == usize::from(LONGEST_LINE) && !line.ends_with(b"\n") {
        return Err(refused("is too long"));
    }
    let text = std::str::from_utf8(&line).map_err(|_| refused("is no UTF-8"))?;
    Ok(secret::text(text).map_err(refused)?.into())
}

/// A [`SecretSource`] for async code: it blocks a thread that is there to be blocked, and refuses
/// an empty answer.
#[derive(Clone)]
pub(super) struct Secrets(pub(super) Arc<dyn SecretSource>);

impl Secrets {
    /// Asks at the terminal for `what`; where there is none, the error names the flag `instead`.
    pub(super) async fn ask(
        &self,
        what: &'static str,
        prompt: String,
        instead: &'static str,
    ) -> Result<SecretString, Error> {
        if !self.0.is_terminal() {
            return Err(Error::NoTerminal { what, instead });
        }
        self.read(what, move |source| source.ask(&prompt)).await
    }

    /// Reads the next line of standard input, which is `what`.
    pub(super) async fn next_line(&self, what: &'static str) -> Result<SecretString, Error> {
        self.read(what, SecretSource::next_line).await
    }

    /// Asks at the terminal, or reads a line where there is none.
    pub(super) async fn ask_or_read(&self, what: &'static str) -> Result<SecretString, Error> {
        self.read(what, move |source| {
            if source.is_terminal() {
                source.ask(&format!("The {what}: "))
            } else {
                source.next_line()
            }
        })
        .await
    }

    async fn read(
        &self,
        what: &'static str,
        read: impl FnOnce(&dyn SecretSource) -> io::Result<SecretString> + Send + 'static,
    ) -> Result<SecretString, Error> {
        let source = Arc::clone(&self.0);
        let secret = tokio::task::spawn_blocking(move || read(source.as_ref()))
            .await
            .map_err(|error| Error::Input(io::Error::other(error)))?
            .map_err(Error::Input)?;
        if secret.expose_secret().is_empty() { Err(Error::EmptySecret(what)) } else { Ok(secret) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(mut input: &[u8]) -> io::Result<String> {
        line_of(&mut input).map(|line| line.expose_secret().to_owned())
    }

    #[test]
    fn takes_one_line_without_its_end_and_trims_nothing_else() {
        assert_eq!(line(b" a b \r\nc\n").unwrap(), " a b ");
        assert_eq!(line(b"no end").unwrap(), "no end");
        assert_eq!(line(b"").unwrap(), "");
        assert_eq!(line(b"\xef\xbb\xbfa\r\n").unwrap(), "a");
    }

    #[test]
    fn leaves_the_next_line_for_the_next_secret() {
        let mut input: &[u8] = b"old\nnew\n";
        assert_eq!(line_of(&mut input).unwrap().expose_secret(), "old");
        assert_eq!(line_of(&mut input).unwrap().expose_secret(), "new");
    }

    #[test]
    fn refuses_a_line_without_end_or_that_is_no_text() {
        assert!(line(&vec![b'a'; 20_000]).is_err());
        assert!(line(b"\xff\n").is_err());
        assert!(line(b"a\r").is_err());
        assert!(line(b"a\rb\n").is_err());
        assert!(line(b"a\0\n").is_err());
    }
}
