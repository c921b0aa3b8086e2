//! How are objects kept in a store that speaks S3?
//!
//! The client is asynchronous and runs on threads of its own; whoever asks waits, and must not be one of the network's threads.
//!
//! Requests are tried again after errors of the server or the way to it, with pauses that grow and are jittered (O5). Creations of
//! a single request carry `If-None-Match: *`. Their bodies are signed, so the store compares them with their SHA-256.

use super::settings::ObjectStoreConfig;
use super::{Bucket, Part, Parts, Shared, Span};
use crate::error::{Error, Result};
use crate::fs::Entry;
use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore, PutMode, PutOptions, PutPayload,
    RetryConfig,
};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one request: 8 MiB at 2 Mbit/s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Tries after the first, and the time in which the last of them begins. Who asks tries again later, and longer.
const RETRIES: usize = 4;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// No request with all its tries takes longer.
const LIMIT: Duration = Duration::from_secs(60);
/// Threads of the client: they encrypt and copy, and wait for the rest.
const THREADS: usize = 2;

/// Opens the way to a bucket; asks it nothing.
pub fn connect(config: &ObjectStoreConfig) -> Result<Shared> {
    let place = format!("{}/{}", config.bucket, config.prefix);
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
        .with_allow_http(config.endpoint.starts_with("http://"));
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_virtual_hosted_style_request(!config.path_style)
        .with_client_options(client)
        .with_retry(retry);
    if !config.endpoint.is_empty() {
        builder = builder.with_endpoint(config.endpoint.trim_end_matches('/'));
    }
    let failed = || Error::io("reach the bucket", &place);
    let store = builder.build().map_err(io::Error::other).map_err(failed())?;
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("object-store").enable_all().build();
    let runtime = Some(runtime.map_err(failed())?);
    let bucket = S3 { runtime, store: Arc::new(store), prefix: config.prefix.clone(), place };
    Ok(Shared { bucket: Arc::new(bucket), role: config.role(), cache_bytes: config.cache_bytes })
}

#[derive(Debug)]
struct S3 {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    store: Arc<AmazonS3>,
    prefix: String,
    place: String,
}

impl Drop for S3 {
    fn drop(&mut self) {
        // Whoever drops it may be a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl S3 {
    fn path(&self, key: &str) -> Path {
        Path::from(if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) })
    }

    /// Runs a request on the client's threads and waits for it.
    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let (done, outcome) = mpsc::sync_channel(1);
        let runtime = self.runtime.as_ref().ok_or_else(|| io::Error::other("the object store is closed"))?;
        runtime.spawn(async move {
            // Nobody waits any more only where the thread that asked has ended.
            drop(done.send(tokio::time::timeout(LIMIT, request).await));
        });
        let outcome = outcome.recv().map_err(|_| io::Error::other("the object store's client ended"))?;
        outcome.map_err(|_| io::Error::from(ErrorKind::TimedOut))?.map_err(error_of)
    }

    fn send_parts(&self, upload: &mut Box<dyn MultipartUpload>, parts: Parts<'_>) -> io::Result<()> {
        while let Some(part) = parts()? {
            let sent = upload.put_part(PutPayload::from_bytes(part));
            self.wait(sent)?;
        }
        Ok(())
    }
}

fn error_of(error: object_store::Error) -> io::Error {
    let kind = match &error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            ErrorKind::AlreadyExists
        }
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ErrorKind::PermissionDenied
        }
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl Bucket for S3 {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn create(&self, key: &str, bytes: Bytes) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        self.wait(async move { store.put_opts(&path, PutPayload::from_bytes(bytes), options).await.map(drop) })
    }

    fn create_in_parts(&self, key: &str, parts: Parts<'_>) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        let begun = async move { store.put_multipart_opts(&path, object_store::PutMultipartOptions::default()).await };
        let mut upload = self.wait(begun)?;
        let sent = self.send_parts(&mut upload, parts);
        self.wait(async move {
            match sent {
                Ok(()) => upload.complete().await.map(|_| Ok(())),
                Err(error) => {
                    if let Err(error) = upload.abort().await {
                        tracing::warn!(%error, "failed to give up an upload; its parts stay until the bucket removes them");
                    }
                    Ok(Err(error))
                }
            }
        })?
    }

    fn read(&self, key: &str, span: Span) -> io::Result<Part> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        let range = match span {
            Span::Whole => None,
            Span::Last(bytes) => Some(GetRange::Suffix(bytes)),
            Span::Range(range) => Some(GetRange::Bounded(range)),
        };
        self.wait(async move {
            let got = store.get_opts(&path, GetOptions { range, ..GetOptions::default() }).await?;
            let (start, len) = (got.range.start, got.meta.size);
            Ok(Part { bytes: got.bytes().await?, start, len })
        })
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let (store, path) = (Arc::clone(&self.store), self.path(folder));
        let listed = self.wait(async move { store.list_with_delimiter(Some(&path)).await })?;
        let folders = listed.common_prefixes.iter().map(|path| (path, true, 0));
        let objects = listed.objects.iter().map(|object| (&object.location, false, object.size));
        let entry =
            |(path, is_dir, len): (&Path, bool, u64)| Some(Entry { name: path.filename()?.to_owned(), is_dir, len });
        let mut entries: Vec<Entry> = folders.chain(objects).filter_map(entry).collect();
        entries.sort_unstable();
        Ok(entries)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        use object_store::ObjectStoreExt as _;
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        match self.wait(async move { store.delete(&path).await }) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}
