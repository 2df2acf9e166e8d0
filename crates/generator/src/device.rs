//! One device: what stays the same about it, and what it remembers from event to event.

use crate::json::Json;
use crate::luck::{Luck, Uuid};
use crate::push::Push;
use crate::words;

/// What kind of device it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Platform {
    Ios,
    Android,
    Amazon,
    Web,
    Email,
    Sms,
    Open,
}

/// Where it stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing heard of yet.
    New,
    /// Installed or opted in, not in use.
    Away,
    /// In use, with so many events to go.
    Session(u8),
    /// Never heard of again.
    Gone,
}

/// A device. The JSON of its `device` member is rendered once.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) platform: Platform,
    pub(crate) channel: Uuid,
    pub(crate) contact: Uuid,
    pub(crate) named_user: Option<String>,
    pub(crate) address: String,
    /// The number that texts come from and go to.
    pub(crate) sender: &'static str,
    /// Millionths of degrees.
    pub(crate) place: (i64, i64),
    pub(crate) locale: (&'static str, &'static str),
    pub(crate) stage: Stage,
    /// How often it will be used before it goes.
    pub(crate) sessions: u8,
    pub(crate) session: Uuid,
    pub(crate) screen: &'static str,
    pub(crate) previous_screen: &'static str,
    /// The last push it was sent.
    pub(crate) sent: Option<Push>,
    /// The push that its session began with.
    pub(crate) opened_by: Option<Push>,
    full: String,
    bare: String,
}

/// The mix of platforms (reference `airship.md` 3.3, and the kinds that came later).
const MIX: &[(usize, Platform)] = &[
    (33, Platform::Ios),
    (24, Platform::Android),
    (24, Platform::Amazon),
    (8, Platform::Web),
    (5, Platform::Email),
    (5, Platform::Sms),
    (1, Platform::Open),
];

impl Device {
    pub(crate) fn new(luck: &Luck) -> Self {
        let platform = luck.weighted(MIX).unwrap_or(Platform::Ios);
        let (zone, shift, country, language, latitude, longitude) = luck.pick(words::PLACES);
        let mut device = Self {
            platform,
            channel: luck.uuid(),
            contact: luck.uuid(),
            named_user: luck.chance(7).then(|| written(luck.uuid())),
            address: match platform {
                Platform::Sms => format!("1503555{:04}", luck.below(10_000)),
                _ => format!("{}.{}@example.com", luck.pick(words::GARMENTS), luck.below(100_000)),
            },
            sender: luck.pick(&["17372004196", "12025550123", "28855"]),
            place: (
                latitude + luck.between(-40_000, 40_000),
                longitude + luck.between(-40_000, 40_000),
            ),
            locale: (country, language),
            stage: Stage::New,
            sessions: luck.pick(&[1, 1, 2, 2, 3]),
            session: luck.uuid(),
            screen: "home",
            previous_screen: "",
            sent: None,
            opened_by: None,
            full: String::new(),
            bare: String::new(),
        };
        device.bare = rendered(|json| device.write_names(json));
        device.full = rendered(|json| {
            device.write_names(json);
            match platform {
                Platform::Ios | Platform::Android | Platform::Amazon => {
                    device.write_app(json, luck, zone, shift);
                }
                Platform::Web => device.write_web(json, luck, zone, shift),
                Platform::Email | Platform::Sms => json.text("delivery_address", &device.address),
                Platform::Open => json.text("open_platform_name", "smart_toaster"),
            }
        });
        device
    }

    pub(crate) const fn is_app(&self) -> bool {
        matches!(self.platform, Platform::Ios | Platform::Android | Platform::Amazon)
    }

    /// The name on the wire.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self.platform {
            Platform::Ios => "IOS",
            Platform::Android => "ANDROID",
            Platform::Amazon => "AMAZON",
            Platform::Web => "WEB",
            Platform::Email => "EMAIL",
            Platform::Sms => "SMS",
            Platform::Open => "OPEN",
        }
    }

    /// The `device` object with all it has.
    pub(crate) fn full(&self) -> &str {
        &self.full
    }

    /// The `device` object without attributes and identifiers.
    pub(crate) fn bare(&self) -> &str {
        &self.bare
    }

    fn write_names(&self, json: &mut Json) {
        json.uuid("channel", self.channel);
        json.text("device_type", self.type_name());
        if let Some(name) = &self.named_user {
            json.text("named_user_id", name);
        }
    }

    fn write_app(&self, json: &mut Json, luck: &Luck, zone: &str, shift: &str) {
        let (rank, legacy) = match self.platform {
            Platform::Ios => (0, "ios_channel"),
            Platform::Android => (1, "android_channel"),
            _ => (2, "amazon_channel"),
        };
        json.uuid(legacy, self.channel);
        let models = words::MODELS.iter().filter(|model| model.0 == rank).copied();
        let (_, model, system) = models.clone().nth(luck.below(models.count())).unwrap_or_default();
        json.object("identifiers", |json| {
            let advertising =
                if rank == 0 { "com.urbanairship.idfa" } else { "com.urbanairship.aaid" };
            json.uuid(advertising, luck.uuid());
            if rank == 0 {
                json.uuid("com.urbanairship.vendor", luck.uuid());
            }
            json.text("com.urbanairship.limited_ad_tracking_enabled", boolean(luck.chance(30)));
            json.text("GA_CID", &format!("{}.{}", luck.below(1 << 31), luck.below(1 << 31)));
        });
        json.object("attributes", |json| {
            json.text("app_package_name", "com.example.hipstercoffee");
            json.text("app_version", luck.pick(&["18.4.1", "19.0.0", "19.2.3", "20.1.0"]));
            json.text("device_model", model);
            json.text("device_os", system);
            json.text("ua_sdk_version", luck.pick(&["16.12.6", "17.3.1", "18.2.0"]));
            json.text("background_push_enabled", boolean(luck.chance(80)));
            json.text("location_enabled", boolean(luck.chance(60)));
            json.text("push_opt_in", boolean(luck.chance(70)));
            json.text("location_permission", luck.pick(PERMISSIONS));
            self.write_locale(json, zone, shift);
        });
    }

    fn write_web(&self, json: &mut Json, luck: &Luck, zone: &str, shift: &str) {
        let (name, kind, version, agent) = luck.pick(words::BROWSERS);
        json.object("attributes", |json| {
            json.text("web_browser_name", name);
            json.text("web_browser_type", kind);
            json.text("web_browser_version", version);
            json.text("web_user_agent_string", agent);
            json.text("push_opt_in", boolean(luck.chance(50)));
            json.text("ua_sdk_version", "1.5.0");
            self.write_locale(json, zone, shift);
        });
    }

    fn write_locale(&self, json: &mut Json, zone: &str, shift: &str) {
        json.text("iana_timezone", zone);
        json.text("locale_country_code", self.locale.0);
        json.text("locale_language_code", self.locale.1);
        json.text("locale_variant", "");
        json.text("locale_timezone", shift);
    }
}

const PERMISSIONS: &[&str] = &[
    "SYSTEM_LOCATION_DISABLED",
    "NOT_ALLOWED",
    "ALWAYS_ALLOWED",
    "FOREGROUND_ALLOWED",
    "UNPROMPTED",
];

/// Attribute values are strings, booleans too.
pub(crate) const fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn written(uuid: Uuid) -> String {
    let mut out = String::with_capacity(36);
    uuid.write(&mut out);
    out
}

fn rendered(fill: impl FnOnce(&mut Json)) -> String {
    let mut json = Json::default();
    json.root(fill);
    json.into_string()
}
