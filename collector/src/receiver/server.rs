//! How are connections served, and how does that end?
//!
//! N1  On shutdown no new connection is taken, requests at hand are finished, and idle connections are closed;
//!     after the time allowed what is left is cut.
//! N2  Beyond the limit of connections, new ones wait in the kernel's queue.

use super::patience::Patience;
use crate::Collector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// An HTTP/2 peer that is silent so long is asked whether it is alive, and gets [`KEEP_ALIVE_TIMEOUT`] to answer.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of one request's headers; generous for tokens.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// Header lines of one request.
const MAX_HEADERS: usize = 128;
/// HTTP/2 flow control: a batch of usual size arrives without waiting for a window update.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// … and, where the client likes, in one frame: it is read at once and kept as it lies. Well below the stream's window.
const MAX_FRAME: u32 = 256 << 10;
/// After a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Collector {
    /// Serves OTLP, gRPC and HTTP alike, until `shutdown` resolves; then finishes what is at hand.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let server = Arc::new(self.server());
        let service = TowerToHyperService::new(self.router());
        let connections = Arc::new(Semaphore::new(self.config().max_connections));
        let graceful = GracefulShutdown::new();
        let mut tasks = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept(&listener, &connections) => accepted,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            };
            let Some((stream, permit)) = accepted else { continue };
            let stream = Patience::new(stream, self.config().header_timeout);
            let (server, service, watcher) = (server.clone(), service.clone(), graceful.watcher());
            tasks.spawn(async move {
                let connection = server.serve_connection(TokioIo::new(stream), service);
                if let Err(error) = watcher.watch(connection).await {
                    tracing::debug!(%error, "a connection ended early");
                }
                drop(permit);
            });
        }
        drop(listener);
        if tokio::time::timeout(self.config().shutdown_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not finish in time and are cut off");
        }
        tasks.shutdown().await;
        Ok(())
    }

    fn server(&self) -> auto::Builder<TokioExecutor> {
        let mut server = auto::Builder::new(TokioExecutor::new());
        server
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config().header_timeout)
            .max_buf_size(MAX_HEADER_BYTES)
            .max_headers(MAX_HEADERS);
        server
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.config().max_concurrent_streams)
            .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        server
    }
}

/// The next connection, with the right to be one of those allowed.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are small and must not wait for more of them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "failed to set TCP_NODELAY");
            }
            Some((stream, permit))
        }
        Err(error) => {
            tracing::warn!(%error, "failed to accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
