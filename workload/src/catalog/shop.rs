//! The shop's tables: deployments, operations, entrances, consumers. Data only; `catalog` says what it means.

use super::Service::{Cart, Gateway, Inventory, Notification, Order, Payment, Recommend, Search, Shipping, User};
use super::{
    Business, Call, Consumer, Deployment, Door, Language, Line, Need, Operation, Redis, Refusal, Severity, Sql, Step,
};

const fn work(median_us: u32) -> Step {
    Step::Work { name: None, median_us }
}

const fn span(name: &'static str, median_us: u32) -> Step {
    Step::Work { name: Some(name), median_us }
}

const fn need(operation: &'static Operation, timeout_ms: u32, attempts: u8) -> Call {
    Call { operation, timeout_ms, attempts, need: Need::Required }
}

const fn wish(operation: &'static Operation, timeout_ms: u32) -> Call {
    Call { operation, timeout_ms, attempts: 1, need: Need::Optional }
}

const fn sql(verb: &'static str, table: &'static str, text: &'static str, median_us: u32) -> Step {
    Step::Sql(Sql { verb, table, text, median_us })
}

const fn redis(command: &'static str, key: &'static str, median_us: u32) -> Redis {
    Redis { command, key, median_us }
}

const fn log(severity: Severity, share: f64, text: &'static str) -> Step {
    Step::Log(Line { severity, text, event: None, share })
}

const fn event(name: &'static str, text: &'static str) -> Step {
    Step::Log(Line { severity: Severity::Info, text, event: Some(name), share: 1.0 })
}

const fn http(method: &'static str, route: &'static str) -> Door {
    Door::Http { method, route }
}

const fn grpc(service: &'static str, method: &'static str) -> Door {
    Door::Grpc { service, method }
}

const fn topic(topic: &'static str, group: &'static str, batched: bool) -> Door {
    Door::Topic(Consumer { topic, group, batched })
}

const fn deployment(
    name: &'static str,
    language: Language,
    version: &'static str,
    (instances, workers, port): (u16, u32, u16),
    database: Option<&'static str>,
) -> Deployment {
    Deployment { name, language, version, instances, workers, port, database }
}

/// In the order of `Service::ALL`.
pub(super) static DEPLOYMENTS: [Deployment; 10] = [
    deployment("gateway", Language::Go, "4.12.1", (3, 24, 8080), None),
    deployment("order", Language::Java, "2.31.0", (3, 8, 8081), Some("orders")),
    deployment("cart", Language::DotNet, "1.9.4", (2, 8, 5001), Some("carts")),
    deployment("inventory", Language::Go, "3.3.0", (3, 8, 9090), Some("inventory")),
    deployment("payment", Language::Java, "5.0.2", (2, 6, 9091), Some("payments")),
    deployment("user", Language::NodeJs, "7.4.0", (2, 10, 3000), Some("users")),
    deployment("search", Language::Python, "0.18.3", (2, 8, 8000), Some("catalog")),
    deployment("recommend", Language::Python, "1.2.0-rc.4", (2, 10, 50051), None),
    deployment("shipping", Language::Rust, "0.9.7", (2, 8, 50052), Some("shipping")),
    deployment("notification", Language::NodeJs, "2.2.1", (2, 6, 3001), None),
];

static USER_GET: Operation = Operation {
    id: 20,
    service: User,
    door: http("GET", "/users/{user_id}"),
    handler: "UserController.getUser",
    steps: &[
        work(300),
        Step::Cache {
            read: redis("GET", "user:{}", 350),
            hit_ratio: 0.85,
            miss: &[
                sql(
                    "SELECT",
                    "users",
                    "SELECT id, email, name, tier, locale, created_at FROM users WHERE id = $1",
                    1_400,
                ),
                Step::Redis(redis("SETEX", "user:{}", 380)),
            ],
        },
        Step::Refuse { share: 0.002, refusal: Refusal::NotFound },
    ],
};

static USER_LOGIN: Operation = Operation {
    id: 21,
    service: User,
    door: http("POST", "/sessions"),
    handler: "SessionController.create",
    steps: &[
        work(400),
        sql("SELECT", "users", "SELECT id, password_hash, mfa_secret FROM users WHERE email = $1", 1_600),
        span("argon2.verify", 38_000),
        log(Severity::Info, 0.5, "login attempt for user {user} in session {session}"),
        Step::Refuse { share: 0.06, refusal: Refusal::Unauthenticated },
        Step::Redis(redis("SETEX", "session:{}", 420)),
        sql(
            "UPDATE",
            "users",
            "UPDATE users SET last_login_at = now(), login_count = login_count + 1 WHERE id = $1",
            2_100,
        ),
        Step::Count(Business::Login),
        event("user.login", "user {user} logged in"),
    ],
};

static STOCK_GET: Operation = Operation {
    id: 30,
    service: Inventory,
    door: grpc("shop.inventory.v1.InventoryService", "GetStock"),
    handler: "inventory.(*Server).GetStock",
    steps: &[
        work(200),
        Step::Cache {
            read: redis("GET", "stock:{}", 300),
            hit_ratio: 0.9,
            miss: &[
                sql(
                    "SELECT",
                    "stock_levels",
                    "SELECT warehouse_id, on_hand, reserved FROM stock_levels WHERE product_id = $1 AND on_hand > reserved",
                    1_900,
                ),
                Step::Redis(redis("SETEX", "stock:{}", 340)),
            ],
        },
    ],
};

static STOCK_RESERVE: Operation = Operation {
    id: 31,
    service: Inventory,
    door: grpc("shop.inventory.v1.InventoryService", "Reserve"),
    handler: "inventory.(*Server).Reserve",
    steps: &[
        work(350),
        sql(
            "SELECT",
            "stock_levels",
            "SELECT on_hand, reserved FROM stock_levels WHERE product_id = ANY($1) ORDER BY warehouse_id FOR UPDATE",
            3_200,
        ),
        Step::Refuse { share: 0.02, refusal: Refusal::OutOfStock },
        sql("UPDATE", "stock_levels", "UPDATE stock_levels SET reserved = reserved + $2 WHERE product_id = $1", 2_600),
        Step::Redis(redis("DEL", "stock:{}", 300)),
        log(Severity::Info, 1.0, "reserved stock of product {product} for order {order}"),
    ],
};

static CART_GET: Operation = Operation {
    id: 40,
    service: Cart,
    door: grpc("shop.cart.v1.CartService", "GetCart"),
    handler: "Shop.Cart.Services.CartService.GetCart",
    steps: &[
        work(250),
        Step::Cache {
            read: redis("HGETALL", "cart:{}", 450),
            hit_ratio: 0.93,
            miss: &[
                log(Severity::Debug, 1.0, "cart of user {user} is not cached, loading it"),
                sql(
                    "SELECT",
                    "cart_items",
                    "SELECT product_id, quantity, unit_price, added_at FROM cart_items WHERE user_id = $1 ORDER BY added_at",
                    2_300,
                ),
                Step::Redis(redis("HSET", "cart:{}", 480)),
            ],
        },
    ],
};

static CART_ADD: Operation = Operation {
    id: 41,
    service: Cart,
    door: grpc("shop.cart.v1.CartService", "AddItem"),
    handler: "Shop.Cart.Services.CartService.AddItem",
    steps: &[
        work(300),
        Step::Call(need(&STOCK_GET, 800, 2)),
        Step::Redis(redis("HSET", "cart:{}", 450)),
        sql(
            "INSERT",
            "cart_items",
            "INSERT INTO cart_items (user_id, product_id, quantity, unit_price) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            2_400,
        ),
        log(Severity::Info, 0.6, "added product {product} to the cart of user {user}"),
    ],
};

static CHARGE: Operation = Operation {
    id: 50,
    service: Payment,
    door: grpc("shop.payment.v1.PaymentService", "Charge"),
    handler: "com.example.shop.payment.PaymentService.charge",
    steps: &[
        work(500),
        sql(
            "SELECT",
            "payment_methods",
            "SELECT token, brand, last4 FROM payment_methods WHERE user_id = $1 AND is_default",
            1_700,
        ),
        span("FraudModel.score", 6_500),
        Step::Refuse { share: 0.025, refusal: Refusal::Declined },
        span("CardNetwork.authorize", 42_000),
        sql(
            "INSERT",
            "payments",
            "INSERT INTO payments (order_id, amount_minor, currency, network_reference, state) VALUES ($1, $2, $3, $4, 'captured')",
            2_900,
        ),
        log(Severity::Info, 1.0, "charged {amount} EUR for order {order}"),
        Step::Publish { topic: "payments" },
    ],
};

static SEARCH_QUERY: Operation = Operation {
    id: 60,
    service: Search,
    door: http("GET", "/api/search"),
    handler: "search.views.query",
    steps: &[
        span("tokenize", 700),
        Step::Cache {
            read: redis("GET", "search:{}", 400),
            hit_ratio: 0.55,
            miss: &[
                sql(
                    "SELECT",
                    "products",
                    "SELECT id, ts_rank_cd(document, query) AS rank FROM products, websearch_to_tsquery($1) query \
                     WHERE document @@ query ORDER BY rank DESC LIMIT 50",
                    14_000,
                ),
                Step::Redis(redis("SETEX", "search:{}", 420)),
            ],
        },
        Step::Call(wish(&RANK, 150)),
        log(Severity::Debug, 0.4, "search in session {session} took {ms} ms"),
    ],
};

static RANK: Operation = Operation {
    id: 70,
    service: Recommend,
    door: grpc("shop.recommend.v1.Recommender", "Rank"),
    handler: "recommend.server.Recommender.Rank",
    steps: &[Step::Redis(redis("MGET", "features:{}", 700)), span("model.predict", 11_000)],
};

static RELATED: Operation = Operation {
    id: 71,
    service: Recommend,
    door: grpc("shop.recommend.v1.Recommender", "ListRelated"),
    handler: "recommend.server.Recommender.ListRelated",
    steps: &[
        Step::Cache {
            read: redis("ZREVRANGE", "related:{}", 500),
            hit_ratio: 0.8,
            miss: &[span("embedding.nearest", 16_000), Step::Redis(redis("ZADD", "related:{}", 520))],
        },
        work(600),
    ],
};

static QUOTE: Operation = Operation {
    id: 80,
    service: Shipping,
    door: grpc("shop.shipping.v1.Shipping", "Quote"),
    handler: "shipping::rpc::quote",
    steps: &[
        work(150),
        sql(
            "SELECT",
            "rates",
            "SELECT carrier, base_minor, per_kg_minor FROM rates WHERE zone = $1 AND valid_until > now()",
            1_500,
        ),
        span("pack_parcels", 900),
    ],
};

static TRACK: Operation = Operation {
    id: 81,
    service: Shipping,
    door: grpc("shop.shipping.v1.Shipping", "Track"),
    handler: "shipping::rpc::track",
    steps: &[
        work(150),
        sql("SELECT", "parcels", "SELECT id, carrier, state, updated_at FROM parcels WHERE order_id = $1", 1_400),
    ],
};

static ORDER_CREATE: Operation = Operation {
    id: 10,
    service: Order,
    door: http("POST", "/orders"),
    handler: "com.example.shop.order.OrderController.create",
    steps: &[
        work(600),
        Step::Call(need(&CART_GET, 600, 2)),
        Step::Together(&[need(&STOCK_RESERVE, 900, 2), need(&QUOTE, 700, 3), need(&USER_GET, 500, 2)]),
        sql(
            "INSERT",
            "orders",
            "INSERT INTO orders (id, user_id, total_minor, currency, state) VALUES ($1, $2, $3, $4, 'pending') RETURNING created_at",
            2_700,
        ),
        Step::Call(need(&CHARGE, 1_500, 2)),
        sql("UPDATE", "orders", "UPDATE orders SET state = 'paid', paid_at = now() WHERE id = $1", 2_200),
        Step::Publish { topic: "orders" },
        Step::Count(Business::OrderPlaced),
        event("order.placed", "order {order} placed by user {user} for {amount} EUR"),
    ],
};

static ORDER_GET: Operation = Operation {
    id: 11,
    service: Order,
    door: http("GET", "/orders/{order_id}"),
    handler: "com.example.shop.order.OrderController.get",
    steps: &[
        work(400),
        sql(
            "SELECT",
            "orders",
            "SELECT id, state, total_minor, currency FROM orders WHERE id = $1 AND user_id = $2",
            1_500,
        ),
        Step::Refuse { share: 0.01, refusal: Refusal::NotFound },
        sql(
            "SELECT",
            "order_lines",
            "SELECT product_id, quantity, unit_price FROM order_lines WHERE order_id = $1",
            1_800,
        ),
        Step::Call(wish(&TRACK, 400)),
    ],
};

static HOME: Operation = Operation {
    id: 1,
    service: Gateway,
    door: http("GET", "/"),
    handler: "gateway.(*Router).Home",
    steps: &[
        work(300),
        Step::Together(&[wish(&USER_GET, 300), wish(&RELATED, 250), wish(&CART_GET, 300)]),
        work(900),
        log(Severity::Info, 0.1, "home page for user {user} rendered in {ms} ms"),
    ],
};

static PRODUCT: Operation = Operation {
    id: 2,
    service: Gateway,
    door: http("GET", "/products/{product_id}"),
    handler: "gateway.(*Router).Product",
    steps: &[
        work(250),
        Step::Together(&[need(&STOCK_GET, 500, 2), wish(&RELATED, 250), wish(&CART_GET, 300)]),
        Step::Refuse { share: 0.008, refusal: Refusal::NotFound },
        work(700),
        log(Severity::Info, 0.1, "product {product} viewed by user {user}"),
    ],
};

static SEARCH: Operation = Operation {
    id: 3,
    service: Gateway,
    door: http("GET", "/search"),
    handler: "gateway.(*Router).Search",
    steps: &[
        work(200),
        Step::Call(need(&SEARCH_QUERY, 1_000, 2)),
        Step::Together(&[wish(&STOCK_GET, 250), wish(&USER_GET, 300)]),
        work(500),
    ],
};

static VIEW_CART: Operation = Operation {
    id: 4,
    service: Gateway,
    door: http("GET", "/cart"),
    handler: "gateway.(*Router).Cart",
    steps: &[
        work(200),
        Step::Call(need(&CART_GET, 600, 2)),
        Step::Together(&[wish(&STOCK_GET, 300), wish(&QUOTE, 300), wish(&RELATED, 250)]),
    ],
};

static ADD_TO_CART: Operation = Operation {
    id: 5,
    service: Gateway,
    door: http("POST", "/cart/items"),
    handler: "gateway.(*Router).AddItem",
    steps: &[
        work(250),
        Step::Call(need(&USER_GET, 400, 2)),
        Step::Call(need(&CART_ADD, 1_200, 2)),
        log(Severity::Info, 0.5, "user {user} put product {product} into the cart"),
    ],
};

static CHECKOUT: Operation = Operation {
    id: 6,
    service: Gateway,
    door: http("POST", "/checkout"),
    handler: "gateway.(*Router).Checkout",
    steps: &[
        work(300),
        Step::Call(need(&USER_GET, 400, 2)),
        log(Severity::Info, 1.0, "checkout started by user {user} in session {session}"),
        Step::Call(need(&ORDER_CREATE, 4_000, 1)),
    ],
};

static VIEW_ORDER: Operation = Operation {
    id: 7,
    service: Gateway,
    door: http("GET", "/orders/{order_id}"),
    handler: "gateway.(*Router).Order",
    steps: &[work(200), Step::Call(need(&USER_GET, 400, 2)), Step::Call(need(&ORDER_GET, 1_200, 2))],
};

static LOGIN: Operation = Operation {
    id: 8,
    service: Gateway,
    door: http("POST", "/login"),
    handler: "gateway.(*Router).Login",
    steps: &[
        work(200),
        Step::Call(need(&USER_LOGIN, 1_500, 1)),
        Step::Together(&[wish(&CART_GET, 300), wish(&RELATED, 250)]),
    ],
};

static SHIP_ORDER: Operation = Operation {
    id: 82,
    service: Shipping,
    door: topic("orders", "shipping", false),
    handler: "shipping::consume::order",
    steps: &[
        work(300),
        sql(
            "INSERT",
            "parcels",
            "INSERT INTO parcels (id, order_id, carrier, state, weight_grams) VALUES ($1, $2, $3, 'announced', $4)",
            2_500,
        ),
        span("label.render", 5_000),
        Step::Count(Business::ParcelShipped),
        Step::Publish { topic: "shipments" },
        event("parcel.announced", "parcel for order {order} announced to the carrier"),
    ],
};

static STOCK_COMMIT: Operation = Operation {
    id: 32,
    service: Inventory,
    door: topic("orders", "inventory", false),
    handler: "inventory.(*Consumer).Commit",
    steps: &[
        work(200),
        sql(
            "UPDATE",
            "stock_levels",
            "UPDATE stock_levels SET on_hand = on_hand - $2, reserved = reserved - $2 WHERE product_id = $1",
            2_800,
        ),
        Step::Redis(redis("DEL", "stock:{}", 300)),
    ],
};

static NOTIFY_PAYMENTS: Operation = Operation {
    id: 90,
    service: Notification,
    door: topic("payments", "notification", true),
    handler: "ReceiptWorker.onBatch",
    steps: &[
        work(400),
        span("template.render", 2_600),
        span("smtp.deliver", 34_000),
        Step::Count(Business::MailSent),
        log(Severity::Info, 1.0, "receipt for order {order} sent to user {user}"),
    ],
};

static NOTIFY_SHIPMENTS: Operation = Operation {
    id: 91,
    service: Notification,
    door: topic("shipments", "notification", true),
    handler: "ShipmentWorker.onBatch",
    steps: &[
        work(400),
        Step::Redis(redis("SISMEMBER", "unsubscribed:{}", 350)),
        span("smtp.deliver", 31_000),
        Step::Count(Business::MailSent),
    ],
};

/// Everything the shop can do.
pub(crate) static OPERATIONS: &[&Operation] = &[
    &HOME,
    &PRODUCT,
    &SEARCH,
    &VIEW_CART,
    &ADD_TO_CART,
    &CHECKOUT,
    &VIEW_ORDER,
    &LOGIN,
    &ORDER_CREATE,
    &ORDER_GET,
    &USER_GET,
    &USER_LOGIN,
    &STOCK_GET,
    &STOCK_RESERVE,
    &STOCK_COMMIT,
    &CART_GET,
    &CART_ADD,
    &CHARGE,
    &SEARCH_QUERY,
    &RANK,
    &RELATED,
    &QUOTE,
    &TRACK,
    &SHIP_ORDER,
    &NOTIFY_PAYMENTS,
    &NOTIFY_SHIPMENTS,
];

/// What people do, with weights that sum to 100.
pub(crate) static ENTRANCES: &[(&Operation, u64)] = &[
    (&HOME, 24),
    (&PRODUCT, 26),
    (&SEARCH, 16),
    (&VIEW_CART, 8),
    (&ADD_TO_CART, 9),
    (&CHECKOUT, 7),
    (&VIEW_ORDER, 6),
    (&LOGIN, 4),
];

/// Who listens to Kafka.
pub(crate) static CONSUMERS: &[&Operation] = &[&SHIP_ORDER, &STOCK_COMMIT, &NOTIFY_PAYMENTS, &NOTIFY_SHIPMENTS];
