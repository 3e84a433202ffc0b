//! Reads Rust as tokens, and finds every path that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A file of `src/`, by its path there.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The module that the file is: `rest/dialect/mod.rs` is `[rest, dialect]`.
    pub(super) fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/').map(str::to_owned).collect()
    }
}

/// A path that some code names.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) words: Vec<String>,
    /// From a `use`, where even a single word names something from outside.
    pub(super) imported: bool,
    /// The module that it stands in.
    module: Vec<String>,
}

/// What a reading of tokens found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) named: Vec<Named>,
    /// The names that `use` gives.
    pub(super) imports: BTreeSet<String>,
    /// The names that `mod` gives.
    pub(super) modules: BTreeSet<String>,
    /// What no layer may do, for it brings in code unseen.
    pub(super) hidden: Vec<&'static str>,
}

struct Reader<'a> {
    tokens: Vec<TokenTree>,
    at: usize,
    module: Vec<String>,
    found: &'a mut Found,
}

impl<'a> Reader<'a> {
    fn new(stream: TokenStream, module: Vec<String>, found: &'a mut Found) -> Self {
        Self { tokens: stream.into_iter().collect(), at: 0, module, found }
    }

    fn ident(&self, ahead: usize) -> Option<String> {
        match self.tokens.get(self.at + ahead) {
            Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
            _ => None,
        }
    }

    fn is_punct(&self, ahead: usize, punct: char) -> bool {
        matches!(self.tokens.get(self.at + ahead), Some(TokenTree::Punct(p)) if p.as_char() == punct)
    }

    fn is_step(&self) -> bool {
        self.is_punct(0, ':') && self.is_punct(1, ':')
    }

    fn within(&mut self, stream: TokenStream, module: Vec<String>) {
        Reader::new(stream, module, self.found).read();
    }

    fn read(mut self) {
        while let Some(token) = self.tokens.get(self.at).cloned() {
            match token {
                TokenTree::Group(group) => {
                    self.check_path_attribute(&group);
                    self.at += 1;
                    self.within(group.stream(), self.module.clone());
                }
                TokenTree::Ident(ident) => self.read_word(&ident.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == '\'' => self.at += 2,
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.at += 1,
            }
        }
    }

    fn check_path_attribute(&mut self, group: &Group) {
        let follows_hash = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        let is_attribute = matches!(follows_hash, Some(TokenTree::Punct(p)) if p.as_char() == '#');
        let text = group.stream().to_string().replace(' ', "");
        let conditional = text.starts_with("cfg_attr(") && text.contains(",path=\"");
        if is_attribute && (text.starts_with("path=") || conditional) {
            self.found.hidden.push("#[path]");
        }
    }

    fn read_word(&mut self, word: &str) {
        match word {
            // Not the `use<'a>` of a bound.
            "use" if !self.is_punct(1, '<') => {
                self.at += 1;
                self.read_use(Vec::new());
            }
            "extern" if self.ident(1).as_deref() == Some("crate") => {
                self.found.hidden.push("extern crate");
                self.at += 2;
            }
            "include" if self.is_punct(1, '!') => {
                self.found.hidden.push("include!");
                self.at += 2;
            }
            "mod" => self.read_mod(),
            _ => self.read_path(),
        }
    }

    fn read_mod(&mut self) {
        let Some(name) = self.ident(1) else {
            self.at += 1;
            return;
        };
        self.found.modules.insert(name.clone());
        self.at += 2;
        if let Some(TokenTree::Group(body)) = self.tokens.get(self.at).cloned()
            && body.delimiter() == Delimiter::Brace
        {
            self.at += 1;
            let mut module = self.module.clone();
            module.push(name);
            self.within(body.stream(), module);
        }
    }

    fn read_path(&mut self) {
        let continues = self.at >= 2
            && {
                let back = |n: usize| self.tokens.get(self.at - n);
                let is_colon = |t: Option<&TokenTree>| matches!(t, Some(TokenTree::Punct(p)) if p.as_char() == ':');
                let before = self.at.checked_sub(3).and_then(|at| self.tokens.get(at));
                let closes = matches!(before, Some(TokenTree::Punct(p)) if p.as_char() == '>');
                is_colon(back(1)) && is_colon(back(2)) && closes
            };
        let mut words = Vec::new();
        while let Some(word) = self.ident(0) {
            words.push(word);
            self.at += 1;
            if !self.is_step() || !matches!(self.tokens.get(self.at + 2), Some(TokenTree::Ident(_)))
            {
                break;
            }
            self.at += 2;
        }
        if words.len() > 1 && !continues {
            self.name(words, false);
        }
    }

    /// Reads one tree of a `use`, up to what ends it.
    fn read_use(&mut self, mut words: Vec<String>) {
        loop {
            if self.is_step() {
                self.at += 2;
            }
            match self.tokens.get(self.at).cloned() {
                Some(TokenTree::Ident(ident)) if ident == "as" => {
                    self.found.imports.extend(self.ident(1));
                    self.at += 2;
                    return self.name(words, true);
                }
                Some(TokenTree::Ident(ident)) => {
                    words.push(ident.to_string());
                    self.at += 1;
                }
                Some(TokenTree::Group(group)) => {
                    self.at += 1;
                    let module = self.module.clone();
                    let mut inner = Reader::new(group.stream(), module, self.found);
                    while inner.at < inner.tokens.len() {
                        inner.read_use(words.clone());
                        inner.at += usize::from(inner.is_punct(0, ','));
                    }
                    return;
                }
                Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => {
                    self.at += 1;
                    return self.name(words, true);
                }
                _ => {
                    if words.last().is_some_and(|word| word == "self") && words.len() > 1 {
                        words.pop();
                    }
                    self.found.imports.extend(words.last().cloned());
                    return self.name(words, true);
                }
            }
        }
    }

    fn name(&mut self, words: Vec<String>, imported: bool) {
        if !words.is_empty() {
            self.found.named.push(Named { words, imported, module: self.module.clone() });
        }
    }
}

impl Named {
    /// Where it leads inside our crate; `None` where it begins with something else.
    pub(super) fn absolute(&self) -> Option<Vec<String>> {
        let first = self.words.first()?;
        let mut module = match first.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            _ => return None,
        };
        for word in &self.words {
            match word.as_str() {
                "crate" | "self" => {}
                "super" => {
                    module.pop();
                }
                other => module.push(other.to_owned()),
            }
        }
        Some(module)
    }
}

pub(super) fn read(source: &Source) -> Found {
    let mut found = Found::default();
    let stream: TokenStream = source.text.parse().expect("src/ is Rust");
    Reader::new(stream, source.module(), &mut found).read();
    found
}

pub(super) fn walk(folder: &Path, root: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, root, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            sources.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
        }
    }
}
