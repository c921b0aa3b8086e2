//! How many bytes were sent? Counted where the connection takes them, for gRPC compresses within the transport.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tonic::client::GrpcService;
use tonic::transport::Channel;

/// The bodies of a run. gRPC's five bytes before each message count; headers and the framing of HTTP do not.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    sent: AtomicU64,
    uncompressed: AtomicU64,
}

impl Traffic {
    /// Bytes as they were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes of the same bodies before compression.
    pub(super) fn uncompressed(&self) -> u64 {
        self.uncompressed.load(Ordering::Relaxed)
    }
}

/// Length of a body before compression; an extension of its request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uncompressed(pub(super) u64);

/// A body that is counted while it is sent. What no connection takes is not counted.
#[derive(Debug)]
pub(super) struct Counted<B> {
    body: B,
    uncompressed: Option<Uncompressed>,
    traffic: Arc<Traffic>,
}

impl<B> Counted<B> {
    pub(super) fn new(body: B, uncompressed: Option<Uncompressed>, traffic: Arc<Traffic>) -> Self {
        Self { body, uncompressed, traffic }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.traffic.sent.fetch_add(data.len() as u64, Ordering::Relaxed);
            let uncompressed = self.uncompressed.take().map_or(0, |length| length.0);
            self.traffic.uncompressed.fetch_add(uncompressed, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A channel that counts what it sends.
#[derive(Debug)]
pub(super) struct CountingChannel {
    channel: Channel,
    traffic: Arc<Traffic>,
}

impl CountingChannel {
    pub(super) fn new(channel: Channel, traffic: Arc<Traffic>) -> Self {
        Self { channel, traffic }
    }
}

impl GrpcService<tonic::body::Body> for CountingChannel {
    type ResponseBody = <Channel as GrpcService<tonic::body::Body>>::ResponseBody;
    type Error = <Channel as GrpcService<tonic::body::Body>>::Error;
    type Future = <Channel as GrpcService<tonic::body::Body>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        GrpcService::poll_ready(&mut self.channel, context)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let uncompressed = request.extensions().get().copied();
        let counted = |body| tonic::body::Body::new(Counted::new(body, uncompressed, Arc::clone(&self.traffic)));
        let request = request.map(counted);
        GrpcService::call(&mut self.channel, request)
    }
}
