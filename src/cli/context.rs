//! What a command works with: the server, who calls it, and where the answer goes.

use std::io::Write;

use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};

use super::args::ClientCommand;
use super::credentials::Credentials;
use super::error::Error;
use super::output::{Printer, printable};
use super::secrets::Secrets;
use super::token::TokenCommand;
use super::{DEADLINE, Session, Standing};
use crate::client::{REALM, Upstream};
use crate::pb;

/// The most that a page of the contract holds.
pub(super) const PAGE_SIZE: i32 = 500;

pub(super) struct Context<'a> {
    pub(super) upstream: Upstream,
    pub(super) caller: Caller,
    pub(super) secrets: Secrets,
    pub(super) printer: Printer<'a>,
    notes: &'a mut (dyn Write + Send),
    authorization: Option<MetadataValue<Ascii>>,
    realm: Option<MetadataValue<Ascii>>,
}

/// As whom this command calls.
pub(super) enum Caller {
    /// The operator of the local database.
    Operator,
    /// A user, or nobody where the command needs no caller.
    User(Option<Credentials>),
}

impl<'a> Context<'a> {
    /// Finds out who calls, and asks at the terminal where that is needed.
    pub(super) async fn open(
        command: &ClientCommand,
        session: Session<'a>,
        out: &'a mut (dyn Write + Send),
    ) -> Result<Self, Error> {
        let Session { upstream, standing, secrets, notes } = session;
        let secrets = Secrets(secrets);
        let connection = command.connection();
        let caller = match standing {
            Standing::Operator => {
                if connection.as_user.is_some() || connection.token_stdin {
                    return Err(Error::OperatorWithCredentials);
                }
                Caller::Operator
            }
            Standing::Remote(environment) => {
                match Credentials::find(connection, &environment, &secrets).await? {
                    None if needs_caller(command) => {
                        Caller::User(Some(ask_for_token(&secrets).await?))
                    }
                    found => Caller::User(found),
                }
            }
        };
        let (authorization, realm) = match &caller {
            Caller::User(Some(credentials)) => (Some(credentials.header()?), credentials.realm()?),
            Caller::User(None) | Caller::Operator => (None, None),
        };
        let printer = Printer { out, format: connection.output };
        Ok(Self { upstream, caller, secrets, printer, notes, authorization, realm })
    }

    /// The message as a request of the caller, with its deadline.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(DEADLINE);
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        if let Some(value) = &self.realm {
            request.metadata_mut().insert(REALM, value.clone());
        }
        request
    }

    /// Answers the user of that name.
    pub(super) async fn get_user(&mut self, name: &str, realm: &str) -> Result<pb::User, Error> {
        let name = pb::UserName { realm: realm.to_owned(), username: name.to_owned() };
        let request = pb::GetUserRequest { target: Some(pb::get_user_request::Target::Name(name)) };
        let request = self.request(request);
        let answer = self.upstream.directory.get_user(request).await?.into_inner();
        part(answer.user, "the user")
    }

    /// Says something that is no part of the answer. Where it can't be written, nothing is lost
    /// that was asked for.
    pub(super) fn note(&mut self, sentence: &str) {
        drop(writeln!(self.notes, "{}", printable(sentence)));
    }
}

/// What anyone may do: check a token, and end one by showing it.
fn needs_caller(command: &ClientCommand) -> bool {
    match command {
        ClientCommand::Token(noun) => match &noun.command {
            TokenCommand::Check(_) => false,
            TokenCommand::Revoke(revoke) => !revoke.target.secret_stdin,
            TokenCommand::Create(_) | TokenCommand::List(_) => true,
        },
        ClientCommand::User(_)
        | ClientCommand::Role(_)
        | ClientCommand::Key(_)
        | ClientCommand::Audit(_)
        | ClientCommand::Purge(_)
        | ClientCommand::Fence(_) => true,
    }
}

async fn ask_for_token(secrets: &Secrets) -> Result<Credentials, Error> {
    if !secrets.0.is_terminal() {
        return Err(Error::NoCredentials);
    }
    let prompt = "Sign in with a token (or stop, and use --as NAME): ".to_owned();
    secrets.ask("token", prompt, "TOKEND_TOKEN").await.map(Credentials::Bearer)
}

/// Takes a part of an answer that the contract promises.
pub(super) fn part<T>(part: Option<T>, what: &'static str) -> Result<T, Error> {
    part.ok_or(Error::Incomplete(what))
}

/// How many pages are read: as many as fifty million items make.
const MOST_PAGES: usize = 100_000;

/// Follows pages to their end, or until there are `limit` items. `page` takes the page's token,
/// and answers its items and the next one's token.
pub(super) async fn follow<T>(
    limit: Option<usize>,
    mut page: impl AsyncFnMut(String) -> Result<(Vec<T>, String), Error>,
) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    let mut token = String::new();
    for _ in 0..MOST_PAGES {
        let (items, next) = page(token.clone()).await?;
        all.extend(items);
        if let Some(limit) = limit.filter(|limit| all.len() >= *limit) {
            all.truncate(limit);
            return Ok(all);
        }
        if next.is_empty() {
            return Ok(all);
        }
        if next == token {
            return Err(Error::SamePage);
        }
        token = next;
    }
    Err(Error::NoEnd(MOST_PAGES))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pages(limit: Option<usize>) -> (Vec<u8>, Vec<String>) {
        let mut asked = Vec::new();
        let all = follow(limit, async |token: String| {
            asked.push(token.clone());
            Ok(match token.as_str() {
                "" => (vec![1, 2], "a".to_owned()),
                "a" => (vec![3, 4], "b".to_owned()),
                _ => (vec![5], String::new()),
            })
        });
        let all = all.await.unwrap();
        (all, asked)
    }

    #[tokio::test]
    async fn follows_pages_to_the_end() {
        assert_eq!(pages(None).await.0, [1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn asks_for_no_page_beyond_the_limit() {
        let (all, asked) = pages(Some(3)).await;
        assert_eq!((all, asked), (vec![1, 2, 3], vec![String::new(), "a".to_owned()]));
    }

    #[tokio::test]
    async fn leaves_a_server_that_turns_in_circles() {
        let endless = follow(None, async |_| Ok((vec![1], "again".to_owned())));
        assert!(matches!(endless.await, Err(Error::SamePage)));
    }

    #[tokio::test]
    async fn leaves_a_server_that_comes_to_no_end() {
        let mut number = 0;
        let endless = follow(None, async |_| {
            number += 1;
            Ok((Vec::<u8>::new(), number.to_string()))
        });
        assert!(matches!(endless.await, Err(Error::NoEnd(MOST_PAGES))));
    }
}
