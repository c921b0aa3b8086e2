//! How does the telemetry of a Java service differ from that of a Go service?
//!
//! Instrumentation scopes, SDK and runtime attributes, exception types and stack traces, and which generation of the RPC
//! conventions the instrumentation speaks: fleets are mixed, and a backend must cope with both.

/// The languages of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Java,
    Go,
    Python,
    NodeJs,
    DotNet,
    Rust,
}

/// The instrumentation libraries of a service; each is one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ScopeKind {
    HttpServer,
    HttpClient,
    Rpc,
    Sql,
    Redis,
    Kafka,
    /// The application's own tracer, logger and meter.
    Application,
    Runtime,
}

impl ScopeKind {
    /// All of them; a discriminant is its place.
    pub(crate) const ALL: [Self; 8] = [
        Self::HttpServer,
        Self::HttpClient,
        Self::Rpc,
        Self::Sql,
        Self::Redis,
        Self::Kafka,
        Self::Application,
        Self::Runtime,
    ];
}

/// What an SDK says about itself and its process.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) sdk_language: &'static str,
    pub(crate) sdk_version: &'static str,
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) description: &'static str,
}

/// What breaks, as an exception of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: &'static str,
    pub(crate) message: &'static str,
    pub(crate) stacktrace: &'static str,
}

/// What broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The service's own code threw.
    Thrown,
    /// A call took longer than its deadline.
    TimedOut,
    /// A call was answered by an error.
    Upstream,
    /// The service has no free worker and its queue is full.
    Overloaded,
}

impl Language {
    pub(crate) fn runtime(self) -> Runtime {
        let (sdk_language, sdk_version, name, version, description) = match self {
            Self::Java => (
                "java",
                "1.58.0",
                "OpenJDK Runtime Environment",
                "25.0.1+8-LTS",
                "Eclipse Adoptium OpenJDK 64-Bit Server VM",
            ),
            Self::Go => ("go", "1.41.0", "go", "go1.26.1", "go version go1.26.1 linux/amd64"),
            Self::Python => {
                ("python", "1.40.0", "cpython", "3.14.1", "3.14.1 (main, Oct  9 2026, 11:03:38) [GCC 14.2.0]")
            }
            Self::NodeJs => ("nodejs", "2.5.0", "nodejs", "24.11.0", "Node.js"),
            Self::DotNet => ("dotnet", "1.15.0", ".NET", "10.0.1", ".NET 10.0.1"),
            Self::Rust => ("rust", "0.33.1", "rustc", "1.95.0", "rustc 1.95.0"),
        };
        Runtime { sdk_language, sdk_version, name, version, description }
    }

    /// Name and version of an instrumentation scope; the application's own is made of the service's name instead.
    pub(crate) fn scope(self, kind: ScopeKind) -> (&'static str, &'static str) {
        match self {
            Self::Java => java_scope(kind),
            Self::Go => go_scope(kind),
            Self::Python => python_scope(kind),
            Self::NodeJs => node_scope(kind),
            Self::DotNet => dotnet_scope(kind),
            Self::Rust => rust_scope(kind),
        }
    }

    /// Does its gRPC instrumentation still speak the conventions of before 2026 (`rpc.system`, `rpc.service`,
    /// `rpc.grpc.status_code`, durations in milliseconds)?
    pub(crate) fn speaks_old_rpc(self) -> bool {
        matches!(self, Self::Python | Self::NodeJs)
    }

    /// Does a request occupy a named thread?
    pub(crate) fn has_threads(self) -> bool {
        matches!(self, Self::Java | Self::DotNet | Self::Python)
    }
}

fn java_scope(kind: ScopeKind) -> (&'static str, &'static str) {
    let name = match kind {
        ScopeKind::HttpServer => "io.opentelemetry.tomcat-10.0",
        ScopeKind::HttpClient => "io.opentelemetry.java-http-client",
        ScopeKind::Rpc => "io.opentelemetry.grpc-1.6",
        ScopeKind::Sql => "io.opentelemetry.jdbc",
        ScopeKind::Redis => "io.opentelemetry.lettuce-5.1",
        ScopeKind::Kafka => "io.opentelemetry.kafka-clients-0.11",
        ScopeKind::Application => "com.example.shop",
        ScopeKind::Runtime => "io.opentelemetry.runtime-telemetry-java17",
    };
    (name, "2.24.0-alpha")
}

fn go_scope(kind: ScopeKind) -> (&'static str, &'static str) {
    match kind {
        ScopeKind::HttpServer | ScopeKind::HttpClient => {
            ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.66.0")
        }
        ScopeKind::Rpc => ("go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", "0.66.0"),
        ScopeKind::Sql => ("github.com/XSAM/otelsql", "0.42.0"),
        ScopeKind::Redis => ("github.com/redis/go-redis/extra/redisotel", "9.18.0"),
        ScopeKind::Kafka => ("github.com/twmb/franz-go/plugin/kotel", "1.7.0"),
        ScopeKind::Application => ("example.com/shop", "1.0.0"),
        ScopeKind::Runtime => ("go.opentelemetry.io/contrib/instrumentation/runtime", "0.66.0"),
    }
}

fn python_scope(kind: ScopeKind) -> (&'static str, &'static str) {
    let name = match kind {
        ScopeKind::HttpServer => "opentelemetry.instrumentation.django",
        ScopeKind::HttpClient => "opentelemetry.instrumentation.httpx",
        ScopeKind::Rpc => "opentelemetry.instrumentation.grpc",
        ScopeKind::Sql => "opentelemetry.instrumentation.psycopg",
        ScopeKind::Redis => "opentelemetry.instrumentation.redis",
        ScopeKind::Kafka => "opentelemetry.instrumentation.confluent_kafka",
        ScopeKind::Application => "shop",
        ScopeKind::Runtime => "opentelemetry.instrumentation.system_metrics",
    };
    (name, "0.61b0")
}

fn node_scope(kind: ScopeKind) -> (&'static str, &'static str) {
    match kind {
        ScopeKind::HttpServer | ScopeKind::HttpClient => ("@opentelemetry/instrumentation-http", "0.210.0"),
        ScopeKind::Rpc => ("@opentelemetry/instrumentation-grpc", "0.210.0"),
        ScopeKind::Sql => ("@opentelemetry/instrumentation-pg", "0.62.0"),
        ScopeKind::Redis => ("@opentelemetry/instrumentation-redis", "0.58.0"),
        ScopeKind::Kafka => ("@opentelemetry/instrumentation-kafkajs", "0.19.0"),
        ScopeKind::Application => ("@shop/app", "1.0.0"),
        ScopeKind::Runtime => ("@opentelemetry/instrumentation-runtime-node", "0.23.0"),
    }
}

fn dotnet_scope(kind: ScopeKind) -> (&'static str, &'static str) {
    match kind {
        ScopeKind::HttpServer => ("Microsoft.AspNetCore", "10.0.1"),
        ScopeKind::HttpClient => ("System.Net.Http", "10.0.1"),
        ScopeKind::Rpc => ("OpenTelemetry.Instrumentation.GrpcNetClient", "1.15.0-beta.1"),
        ScopeKind::Sql => ("Npgsql", "10.0.1"),
        ScopeKind::Redis => ("OpenTelemetry.Instrumentation.StackExchangeRedis", "1.15.0-beta.1"),
        ScopeKind::Kafka => ("OpenTelemetry.Instrumentation.ConfluentKafka", "0.1.0-alpha.6"),
        ScopeKind::Application => ("Shop.Cart", "1.9.4"),
        ScopeKind::Runtime => ("System.Runtime", "10.0.1"),
    }
}

fn rust_scope(kind: ScopeKind) -> (&'static str, &'static str) {
    match kind {
        ScopeKind::HttpServer | ScopeKind::HttpClient => ("opentelemetry-instrumentation-tower", "0.18.0"),
        ScopeKind::Rpc => ("tonic-tracing-opentelemetry", "0.32.0"),
        ScopeKind::Sql => ("sqlx-tracing", "0.3.1"),
        ScopeKind::Redis => ("redis-tracing", "0.2.0"),
        ScopeKind::Kafka => ("rdkafka-tracing", "0.4.0"),
        ScopeKind::Application => ("shipping", "0.9.7"),
        ScopeKind::Runtime => ("opentelemetry-system-metrics", "0.6.0"),
    }
}

/// The exception that a fault becomes in a language.
pub(crate) fn failure_of(language: Language, fault: Fault) -> Failure {
    match language {
        Language::Java => java_failure(fault),
        Language::Go => go_failure(fault),
        Language::Python => python_failure(fault),
        Language::NodeJs => node_failure(fault),
        Language::DotNet => dotnet_failure(fault),
        Language::Rust => rust_failure(fault),
    }
}

const fn failure(kind: &'static str, message: &'static str, stacktrace: &'static str) -> Failure {
    Failure { kind, message, stacktrace }
}

fn java_failure(fault: Fault) -> Failure {
    match fault {
        Fault::Thrown => failure(
            "java.lang.IllegalStateException",
            "connection pool handed out a closed connection",
            "java.lang.IllegalStateException: connection pool handed out a closed connection\n\
             \tat com.example.shop.store.ConnectionLease.require(ConnectionLease.java:88)\n\
             \tat com.example.shop.store.UnitOfWork.commit(UnitOfWork.java:141)\n\
             \tat com.example.shop.order.OrderController.create(OrderController.java:67)\n\
             \tat java.base/jdk.internal.reflect.DirectMethodHandleAccessor.invoke(DirectMethodHandleAccessor.java:104)\n\
             \tat org.springframework.web.method.support.InvocableHandlerMethod.doInvoke(InvocableHandlerMethod.java:258)\n\
             \tat org.apache.catalina.core.ApplicationFilterChain.doFilter(ApplicationFilterChain.java:149)\n\
             Caused by: java.sql.SQLNonTransientConnectionException: socket closed by peer\n\
             \tat org.postgresql.core.PGStream.receive(PGStream.java:467)\n\
             \t... 41 more\n",
        ),
        Fault::TimedOut => failure(
            "io.grpc.StatusRuntimeException",
            "DEADLINE_EXCEEDED: deadline exceeded after waiting for the remote",
            "io.grpc.StatusRuntimeException: DEADLINE_EXCEEDED: deadline exceeded after waiting for the remote\n\
             \tat io.grpc.stub.ClientCalls.toStatusRuntimeException(ClientCalls.java:351)\n\
             \tat io.grpc.stub.ClientCalls.blockingUnaryCall(ClientCalls.java:165)\n\
             \tat com.example.shop.client.RemoteGateway.invoke(RemoteGateway.java:54)\n",
        ),
        Fault::Upstream => failure(
            "com.example.shop.client.RemoteFailureException",
            "a required service answered with an error",
            "com.example.shop.client.RemoteFailureException: a required service answered with an error\n\
             \tat com.example.shop.client.RemoteGateway.require(RemoteGateway.java:93)\n\
             \tat com.example.shop.order.OrderWorkflow.run(OrderWorkflow.java:120)\n",
        ),
        Fault::Overloaded => failure(
            "java.util.concurrent.RejectedExecutionException",
            "request queue is full",
            "java.util.concurrent.RejectedExecutionException: request queue is full\n\
             \tat java.base/java.util.concurrent.ThreadPoolExecutor.reject(ThreadPoolExecutor.java:841)\n",
        ),
    }
}

fn go_failure(fault: Fault) -> Failure {
    match fault {
        Fault::Thrown => failure(
            "*errors.errorString",
            "stock ledger: optimistic lock lost after 3 tries",
            "goroutine 1842 [running]:\n\
             runtime/debug.Stack()\n\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e\n\
             example.com/shop/inventory.(*Ledger).apply(0xc0004a2000, {0x1c3f2a0, 0xc000772030})\n\
             \t/src/inventory/ledger.go:212 +0x3b4\n\
             example.com/shop/inventory.(*Server).Reserve(0xc000338120)\n\t/src/inventory/server.go:97 +0x1d1\n",
        ),
        Fault::TimedOut => failure("context.deadlineExceededError", "context deadline exceeded", ""),
        Fault::Upstream => failure("*status.Error", "rpc error: code = Internal desc = upstream failed", ""),
        Fault::Overloaded => failure("*shop.OverloadError", "too many requests in flight", ""),
    }
}

fn python_failure(fault: Fault) -> Failure {
    match fault {
        Fault::Thrown => failure(
            "psycopg.errors.SerializationFailure",
            "could not serialize access due to concurrent update",
            "Traceback (most recent call last):\n\
             \x20 File \"/app/search/views.py\", line 118, in query\n    rows = await index.lookup(terms)\n\
             \x20 File \"/app/search/index.py\", line 64, in lookup\n    return await cursor.fetchall()\n\
             \x20 File \"/usr/local/lib/python3.14/site-packages/psycopg/cursor_async.py\", line 231, in fetchall\n\
             \x20   raise ex.with_traceback(None)\n\
             psycopg.errors.SerializationFailure: could not serialize access due to concurrent update\n",
        ),
        Fault::TimedOut => failure(
            "grpc.aio.AioRpcError",
            "Deadline Exceeded",
            "Traceback (most recent call last):\n  File \"/app/shop/remote.py\", line 41, in call\n    return await stub(request, timeout=deadline)\n\
             grpc.aio.AioRpcError: <AioRpcError of RPC that terminated with: status = StatusCode.DEADLINE_EXCEEDED>\n",
        ),
        Fault::Upstream => failure("shop.errors.UpstreamError", "upstream call failed", ""),
        Fault::Overloaded => failure("asyncio.QueueFull", "worker queue is full", ""),
    }
}

fn node_failure(fault: Fault) -> Failure {
    match fault {
        Fault::Thrown => failure(
            "TypeError",
            "Cannot read properties of undefined (reading 'tier')",
            "TypeError: Cannot read properties of undefined (reading 'tier')\n\
             \x20   at UserController.getUser (/app/dist/user.controller.js:74:31)\n\
             \x20   at process.processTicksAndRejections (node:internal/process/task_queues:105:5)\n\
             \x20   at async /app/node_modules/@nestjs/core/router/router-execution-context.js:46:28\n",
        ),
        Fault::TimedOut => failure("TimeoutError", "The operation was aborted due to timeout", ""),
        Fault::Upstream => failure("UpstreamError", "upstream responded with an error", ""),
        Fault::Overloaded => failure("OverloadedError", "event loop lag above limit", ""),
    }
}

fn dotnet_failure(fault: Fault) -> Failure {
    match fault {
        Fault::Thrown => failure(
            "System.NullReferenceException",
            "Object reference not set to an instance of an object.",
            "System.NullReferenceException: Object reference not set to an instance of an object.\n\
             \x20  at Shop.Cart.Domain.Basket.Total() in /src/Domain/Basket.cs:line 58\n\
             \x20  at Shop.Cart.Services.CartService.GetCart(GetCartRequest request, ServerCallContext context) in /src/Services/CartService.cs:line 44\n",
        ),
        Fault::TimedOut => failure("System.Threading.Tasks.TaskCanceledException", "A task was canceled.", ""),
        Fault::Upstream => {
            failure("Grpc.Core.RpcException", "Status(StatusCode=\"Internal\", Detail=\"upstream failed\")", "")
        }
        Fault::Overloaded => {
            failure("Grpc.Core.RpcException", "Status(StatusCode=\"Unavailable\", Detail=\"queue full\")", "")
        }
    }
}

fn rust_failure(fault: Fault) -> Failure {
    match fault {
        Fault::Thrown => failure(
            "shipping::carrier::Error",
            "carrier answered with an unknown service code `EXP9`",
            "   0: shipping::carrier::parse_rate\n             at ./src/carrier.rs:142\n   1: shipping::rpc::quote\n             at ./src/rpc.rs:61\n",
        ),
        Fault::TimedOut => failure("tokio::time::error::Elapsed", "deadline has elapsed", ""),
        Fault::Upstream => failure("tonic::Status", "status: Internal, message: \"upstream failed\"", ""),
        Fault::Overloaded => failure("tower::load_shed::error::Overloaded", "service overloaded", ""),
    }
}
