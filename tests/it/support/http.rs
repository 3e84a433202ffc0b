//! HTTP over real sockets, recorded whole.

use std::fmt;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Headers that differ from call to call, and what a snapshot shows of them.
const VOLATILE: [&str; 2] = ["date", "x-request-id"];

/// A client of one HTTP listener. It follows no redirect and keeps no cookie.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    address: SocketAddr,
}

impl Http {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self { client, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn get(&self, path: &str) -> HttpRequest {
        self.request("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> HttpRequest {
        self.request("POST", path)
    }

    pub(crate) fn delete(&self, path: &str) -> HttpRequest {
        self.request("DELETE", path)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> HttpRequest {
        HttpRequest {
            http: self.clone(),
            method: method.parse().expect("a method"),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }
}

/// A request that is still to be sent.
pub(crate) struct HttpRequest {
    http: Http,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl HttpRequest {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header's name");
        self.headers.append(name, HeaderValue::from_str(value).expect("a header's value"));
        self
    }

    pub(crate) fn basic(self, username: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{username}:{password}"));
        self.header("authorization", &format!("Basic {pair}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn send(self) -> Exchange {
        let Self { http, method, path, headers, body } = self;
        let url = format!("http://{}{path}", http.address);
        let request = http.client.request(method.clone(), url).headers(headers).body(body);
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.text().await.expect("a body");
        Exchange { method, path, status, headers, body }
    }
}

/// What was asked and answered. Its `Display` is for snapshots: it shows what can be the same twice.
pub(crate) struct Exchange {
    method: Method,
    path: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Exchange {
    /// The headers, sorted, without what differs from call to call.
    pub(crate) fn headers(&self) -> String {
        let mut headers: Vec<_> = self.headers.iter().collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        let lines = headers.into_iter().map(|(name, value)| {
            let volatile = VOLATILE.contains(&name.as_str());
            let value = if volatile { "[volatile]" } else { value.to_str().unwrap_or("[bytes]") };
            format!("{name}: {value}\n")
        });
        lines.collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self}"))
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}\n\n{}", self.method, self.path, self.status)?;
        write!(f, "{}", self.headers())?;
        write!(f, "\n{}", self.body)
    }
}
