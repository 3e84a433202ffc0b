//! The server that does nothing: bare tonic on the same contract, with one answer that never
//! changes. It runs as a process of its own, which is this program started again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use prost::Message as _;
use tokend::pb;
use tokend::pb::token_service_server::{TokenService, TokenServiceServer};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::server::Process;
use crate::{Result, fail};

/// What it answers: the bytes that the real server answered to a call of the same kind.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// To `Authorize`.
    Authorize(Vec<u8>),
    /// To `RefreshOperationToken`.
    Refresh(Vec<u8>),
}

impl Answer {
    fn write(&self) -> String {
        let (name, bytes) = match self {
            Self::Authorize(bytes) => ("authorize", bytes),
            Self::Refresh(bytes) => ("refresh", bytes),
        };
        bytes.iter().fold(format!("{name}="), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Reads what [`Self::write`] wrote.
    fn read(text: &str) -> Result<Self> {
        let Some((name, hex)) = text.split_once('=') else { return fail("no answer is named") };
        let bytes = hex
            .as_bytes()
            .chunks(2)
            .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
            .collect::<Result<Vec<u8>>>()?;
        match name {
            "authorize" => Ok(Self::Authorize(bytes)),
            "refresh" => Ok(Self::Refresh(bytes)),
            other => fail(format!("there is no answer {other}")),
        }
    }
}

/// Starts the process: on so many cores, each with a runtime of its own, or on one runtime for all
/// where that is 0.
pub(crate) fn start(answer: &Answer, cores: usize) -> Result<Process> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--noop", &answer.write(), "--cores", &cores.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let Some(stdout) = child.stdout.take() else { return fail("it has no output") };
    let mut process = Process::new(child);
    let mut address = String::new();
    BufReader::new(stdout).read_line(&mut address)?;
    process.address = address.trim().parse()?;
    Ok(process)
}

/// Is the process.
pub(crate) fn serve(answer: &str, cores: usize) -> Result<()> {
    // Its input ends with whoever started it, however that ends.
    thread::spawn(|| {
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        std::process::exit(0);
    });
    let service = Constant::new(&Answer::read(answer)?)?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    listener.set_nonblocking(true)?;
    if cores == 0 {
        serve_together(listener, service)
    } else {
        serve_apart(listener, &service, cores)
    }
}

/// One runtime, on all cores.
fn serve_together(listener: TcpListener, service: Constant) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
        let prompt = incoming.map(|stream| stream.and_then(without_delay));
        let server = Server::builder().add_service(TokenServiceServer::new(service));
        Ok(server.serve_with_incoming(prompt).await?)
    })
}

/// A runtime for each core. A connection goes to the one that has the fewest.
fn serve_apart(listener: TcpListener, service: &Constant, cores: usize) -> Result<()> {
    let mut seats = Vec::new();
    for core in 0..cores {
        let (hand, handed) = unbounded_channel();
        let service = service.clone();
        thread::Builder::new()
            .name(format!("core-{core}"))
            .spawn(move || serve_one(handed, service))?;
        seats.push((hand, Arc::new(AtomicUsize::new(0))));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let stream = without_delay(listener.accept().await?.0)?.into_std()?;
            seat(&seats, stream);
        }
    })
}

type Hand = UnboundedSender<std::net::TcpStream>;

fn seat(seats: &[(Hand, Arc<AtomicUsize>)], stream: std::net::TcpStream) {
    let fewest = seats.iter().min_by_key(|(_, taken)| taken.load(Ordering::Relaxed));
    if let Some((hand, taken)) = fewest {
        // All connections of a slice end together: nobody has to be told of one that ends.
        taken.fetch_add(1, Ordering::Relaxed);
        // A core that is gone took the process's purpose with it; the caller will say so.
        drop(hand.send(stream));
    }
}

fn serve_one(handed: UnboundedReceiver<std::net::TcpStream>, service: Constant) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let incoming = UnboundedReceiverStream::new(handed).map(TcpStream::from_std);
        let server = Server::builder().add_service(TokenServiceServer::new(service));
        Ok(server.serve_with_incoming(incoming).await?)
    })
}

fn without_delay(stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[derive(Clone)]
struct Constant(Arc<Answers>);

#[derive(Default)]
struct Answers {
    authorize: pb::AuthorizeResponse,
    refresh: pb::RefreshOperationTokenResponse,
}

impl Constant {
    fn new(answer: &Answer) -> Result<Self> {
        let mut answers = Answers::default();
        match answer {
            Answer::Authorize(bytes) => {
                answers.authorize = pb::AuthorizeResponse::decode(bytes.as_slice())?;
            }
            Answer::Refresh(bytes) => {
                answers.refresh = pb::RefreshOperationTokenResponse::decode(bytes.as_slice())?;
            }
        }
        Ok(Self(Arc::new(answers)))
    }
}

const ELSE: &str = "this server does nothing";

#[tonic::async_trait]
impl TokenService for Constant {
    async fn authorize(
        &self,
        _: Request<pb::AuthorizeRequest>,
    ) -> std::result::Result<Response<pb::AuthorizeResponse>, Status> {
        Ok(Response::new(self.0.authorize.clone()))
    }

    async fn refresh_operation_token(
        &self,
        _: Request<pb::RefreshOperationTokenRequest>,
    ) -> std::result::Result<Response<pb::RefreshOperationTokenResponse>, Status> {
        Ok(Response::new(self.0.refresh.clone()))
    }

    async fn create_token(
        &self,
        _: Request<pb::CreateTokenRequest>,
    ) -> std::result::Result<Response<pb::CreateTokenResponse>, Status> {
        Err(Status::unimplemented(ELSE))
    }

    async fn revoke_token(
        &self,
        _: Request<pb::RevokeTokenRequest>,
    ) -> std::result::Result<Response<pb::RevokeTokenResponse>, Status> {
        Err(Status::unimplemented(ELSE))
    }

    async fn get_token(
        &self,
        _: Request<pb::GetTokenRequest>,
    ) -> std::result::Result<Response<pb::GetTokenResponse>, Status> {
        Err(Status::unimplemented(ELSE))
    }

    async fn list_tokens(
        &self,
        _: Request<pb::ListTokensRequest>,
    ) -> std::result::Result<Response<pb::ListTokensResponse>, Status> {
        Err(Status::unimplemented(ELSE))
    }

    async fn get_caller(
        &self,
        _: Request<pb::GetCallerRequest>,
    ) -> std::result::Result<Response<pb::GetCallerResponse>, Status> {
        Err(Status::unimplemented(ELSE))
    }
}
