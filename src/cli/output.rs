//! How answers are printed: aligned columns for people, one JSON document for programs.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::Value;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Columns and sentences, for people
    Table,
    /// One JSON document, for programs: names as in the contract, times as in RFC 3339
    Json,
}

/// A message of the contract that can be shown.
pub(super) trait View {
    /// The fields that a list shows, by their names in the contract.
    const COLUMNS: &'static [&'static str];

    /// The message as an object: every field by its name in the contract.
    fn json(&self) -> Value;
}

/// Prints a command's answer. Each method makes one JSON document, so a command calls one of them
/// once.
pub(super) struct Printer<'a> {
    pub(super) out: &'a mut (dyn Write + Send),
    pub(super) format: OutputFormat,
}

impl Printer<'_> {
    /// Prints many: a row each, or an array.
    pub(super) fn list<T: View>(&mut self, items: &[T]) -> io::Result<()> {
        let items: Vec<Value> = items.iter().map(View::json).collect();
        match self.format {
            OutputFormat::Table => self.rows(T::COLUMNS, &items),
            OutputFormat::Json => self.document(&Value::Array(items)),
        }
    }

    /// Prints one: a line for each field, or an object.
    pub(super) fn one<T: View>(&mut self, item: &T) -> io::Result<()> {
        self.fields(&item.json(), &item.json())
    }

    /// Prints a line for each field of `shown`, or the object `document`.
    pub(super) fn fields(&mut self, shown: &Value, document: &Value) -> io::Result<()> {
        match self.format {
            OutputFormat::Table => {
                let fields = shown.as_object().into_iter().flatten();
                let lines = fields.map(|(name, value)| vec![words(name), text(value)]);
                self.table(Table::new().add_rows(lines))
            }
            OutputFormat::Json => self.document(document),
        }
    }

    /// Prints names: one a line, or an array.
    pub(super) fn names(&mut self, names: &[String]) -> io::Result<()> {
        match self.format {
            OutputFormat::Table => names.iter().try_for_each(|name| self.line(&printable(name))),
            OutputFormat::Json => self.document(&names.into()),
        }
    }

    /// Says that something was done: a sentence, or the answer as an object.
    pub(super) fn done(&mut self, sentence: &str, document: &Value) -> io::Result<()> {
        match self.format {
            OutputFormat::Table => self.line(&printable(sentence)),
            OutputFormat::Json => self.document(document),
        }
    }

    /// Prints secrets, one a line and nothing else, or the answer that holds them. That nobody
    /// reads them is an error here: they are lost.
    pub(super) fn secrets(&mut self, secrets: &[&str], document: &Value) -> io::Result<()> {
        match self.format {
            OutputFormat::Table => {
                for secret in secrets {
                    writeln!(self.out, "{}", printable(secret))?;
                }
            }
            OutputFormat::Json => writeln!(self.out, "{document:#}")?,
        }
        self.out.flush()
    }

    fn rows(&mut self, columns: &[&str], items: &[Value]) -> io::Result<()> {
        let mut table = Table::new();
        table.set_header(columns.iter().map(|name| words(name).to_uppercase()));
        for item in items {
            let cell = |name: &&str| item.get(*name).map_or_else(String::new, text);
            table.add_row(columns.iter().map(cell));
        }
        self.table(&mut table)
    }

    fn table(&mut self, table: &mut Table) -> io::Result<()> {
        table.load_preset(presets::NOTHING);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        self.line(&table.trim_fmt())
    }

    fn document(&mut self, document: &Value) -> io::Result<()> {
        self.line(&format!("{document:#}"))
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        match writeln!(self.out, "{line}").and_then(|()| self.out.flush()) {
            // `tokend user list | head` has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

/// A name of the contract as people write it.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(text_of_item).collect::<Vec<_>>().join(", "),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn text_of_item(item: &Value) -> String {
    item.as_str().map_or_else(|| item.to_string(), printable)
}

/// The text with what could steer a terminal, or turn the direction of its line, written out.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || turns_direction(character) {
            // Writing into a string can't fail.
            let _ = write!(shown, "{}", character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn turns_direction(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_out_what_could_steer_a_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\u{9b}1m\n\u{202e}c"),
            r"a\u{1b}[2Jb\u{9b}1m\u{a}\u{202e}c"
        );
        assert_eq!(printable("Müller-Øre 日本"), "Müller-Øre 日本");
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn minds_that_nobody_reads_only_where_a_secret_is_lost() {
        for format in [OutputFormat::Table, OutputFormat::Json] {
            let mut printer = Printer { out: &mut Closed, format };
            printer.done("done", &Value::Null).unwrap();
            printer.secrets(&["tkd_x"], &Value::Null).unwrap_err();
        }
    }
}
