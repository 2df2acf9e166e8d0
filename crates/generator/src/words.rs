//! The vocabulary of the made-up app: what its users wear, read and tap.

/// Tags of the group `device`, as the test server of 2015 had them (reference `airship.md` 3.3).
pub(crate) const GARMENTS: &[&str] = &[
    "high_tops",
    "suspenders",
    "dad_jeans",
    "sombreros",
    "omg_shoes",
    "corduroys",
    "cardigans",
    "bow_ties",
    "trilbies",
    "galoshes",
    "ponchos",
    "mom_jeans",
    "fanny_packs",
    "leg_warmers",
    "ascots",
    "overalls",
];

/// Texts of pushes; some have quotes and letters beyond ASCII, as real ones do.
pub(crate) const ALERTS: &[&str] = &[
    "Artisan pour-over, tonight only",
    "Your vinyl is back in stock",
    "Flannel weather is here ☔",
    "They said \"small batch\": we listened",
    "Crème fraîche tacos on every corner",
    "Kale chips, 2 for 1",
    "Last call for the typewriter raffle",
    "Fixie tune-up: book a slot",
    "Neuer Kaffee, größere Tasse",
    "週末セール 開始",
];

/// Screens of the app.
pub(crate) const SCREENS: &[&str] = &[
    "home", "search", "product", "cart", "checkout", "profile", "settings", "stores", "wishlist",
    "orders",
];

/// Names of custom events, lower case.
pub(crate) const CUSTOM_NAMES: &[&str] = &[
    "purchased",
    "added_to_cart",
    "starred_product",
    "browsed",
    "shared_product",
    "registered_account",
    "consumed_content",
    "searched",
];

/// Products: category and description.
pub(crate) const PRODUCTS: &[(&str, &str)] = &[
    ("shoes", "high tops, canvas"),
    ("hats", "trilby, wool"),
    ("music", "12\" single"),
    ("coffee", "single origin, 250 g"),
    ("bicycles", "fixie, green"),
    ("books", "typewriter repair"),
];

/// Campaign categories that pushes carry.
pub(crate) const CAMPAIGNS: &[&[&str]] = &[
    &["kittens", "tacos", "horse_racing"],
    &["autumn_sale"],
    &["loyalty", "gold"],
    &["win_back"],
    &["transactional"],
];

/// Places: time zone, its distance from UTC in seconds, country, language, and millionths of
/// degrees of latitude and longitude.
pub(crate) const PLACES: &[(&str, &str, &str, &str, i64, i64)] = &[
    ("America/Los_Angeles", "-25200", "US", "en", 45_523_100, -122_676_500),
    ("America/New_York", "-14400", "US", "en", 40_678_200, -73_944_200),
    ("Europe/Berlin", "7200", "DE", "de", 52_520_000, 13_405_000),
    ("Europe/London", "3600", "GB", "en", 51_507_400, -127_800),
    ("Asia/Tokyo", "32400", "JP", "ja", 35_689_500, 139_691_700),
    ("Australia/Sydney", "36000", "AU", "en", -33_868_800, 151_209_300),
    ("America/Sao_Paulo", "-10800", "BR", "pt", -23_550_500, -46_633_300),
];

/// Devices: platform rank (0 iOS, 1 Android, 2 Amazon), model and system version.
pub(crate) const MODELS: &[(u8, &str, &str)] = &[
    (0, "iPhone14,5", "17.5.1"),
    (0, "iPhone16,2", "18.1"),
    (0, "iPad13,4", "17.6"),
    (1, "Pixel 8", "14"),
    (1, "SM-G991B", "13"),
    (1, "moto g power", "12"),
    (2, "KFTRWI", "9"),
    (2, "AFTMM", "7.1.2"),
    (2, "KFONWI", "11"),
];

/// Browsers: name, type, version, user agent.
pub(crate) const BROWSERS: &[(&str, &str, &str, &str)] = &[
    (
        "chrome",
        "desktop",
        "chrome-126",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    ),
    (
        "firefox",
        "desktop",
        "firefox-128",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    (
        "safari",
        "mobile",
        "safari-17",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    ),
];

/// Geofences: id and name.
pub(crate) const REGIONS: &[(&str, &str)] = &[
    ("store-0417", "Hawthorne store"),
    ("store-0032", "Mission store"),
    ("airport-pdx", "PDX airport"),
    ("stadium-1", "Stadium"),
];

/// Subscription lists.
pub(crate) const LISTS: &[&str] =
    &["newsletter", "product_news", "weekly_digest", "store_openings", "surveys"];

/// Feature flags.
pub(crate) const FLAGS: &[&str] = &["new_checkout", "dark_mode", "one_tap_reorder", "map_search"];

/// Custom attributes of people.
pub(crate) const ATTRIBUTES: &[&str] =
    &["favorite_color", "loyalty_tier", "preferred_store", "shoe_size", "last_order_total"];

/// Values of those that are text.
pub(crate) const COLOURS: &[&str] = &["teal", "mustard", "maroon", "off-white", "slate"];

/// Labels of pushes.
pub(crate) const LABELS: &[&str] =
    &["autumn", "loyalty programme", "team-growth", "a/b: long copy"];

/// Words that people text in.
pub(crate) const KEYWORDS: &[&str] = &["JOIN", "DEALS", "STORES", "HOURS"];

/// Words that end a subscription (reference `airship.md` 3.2).
pub(crate) const STOP_WORDS: &[&str] =
    &["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "ARRET"];
