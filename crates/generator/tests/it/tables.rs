//! The tables of reference `airship.md` 2 and 3 as schemas, and 20,000 events held against them.

use std::collections::BTreeMap;

use outflow_generator::EVENT_TYPES;
use serde_json::Value;

use crate::schema::{Parts, Shape, check, parse};

/// Section 2: the shared objects.
const PARTS: &[(&str, &str)] = &[
    ("CAMP", "categories! [str]"),
    ("IDS", "push_id uuid, group_id uuid, campaigns CAMP"),
    ("PUSH", "push_id! uuid, group_id uuid, variant_id int, time ts, campaigns CAMP"),
    ("SES", "session_id uuid"),
    ("TP", "triggering_push PUSH"),
    ("LD", "last_delivered PUSH"),
    ("INAPP", "app_defined_id str, +IDS, +SES, +TP, time_sent ts"),
    ("PLACE", "iana_timezone str, locale_country_code str, locale_language_code str, locale_variant str, locale_timezone str"),
    ("APP", "channel! uuid, device_type! IOS|ANDROID|AMAZON, ios_channel uuid, android_channel uuid, amazon_channel uuid,
        named_user_id str, identifiers{com.urbanairship.idfa uuid, com.urbanairship.vendor uuid, com.urbanairship.aaid uuid,
        com.urbanairship.limited_ad_tracking_enabled flag_text, GA_CID str},
        attributes{app_package_name str, app_version str, device_model str, device_os str, ua_sdk_version str,
        background_push_enabled flag_text, location_enabled flag_text, push_opt_in flag_text,
        location_permission SYSTEM_LOCATION_DISABLED|NOT_ALLOWED|ALWAYS_ALLOWED|FOREGROUND_ALLOWED|UNPROMPTED, +PLACE}"),
    ("BROWSER", "channel! uuid, device_type! WEB, named_user_id str, attributes{web_browser_name! str,
        web_browser_type! desktop|mobile, web_browser_version! str, web_user_agent_string! str, push_opt_in! flag_text,
        ua_sdk_version! str, +PLACE}"),
    ("ADDRESS", "channel! uuid, device_type! SMS|EMAIL, delivery_address str, named_user_id str"),
    ("PHONE", "channel! uuid, device_type! SMS, delivery_address str, named_user_id str"),
    ("CLICKER", "channel! uuid, device_type! SMS, delivery_address str, named_user_id str,
        attributes{web_user_agent_string str}, identifiers{sender str}"),
    ("MAIL", "channel! uuid, device_type! EMAIL, delivery_address str, named_user_id str"),
    ("OPEN_CHANNEL", "channel! uuid, device_type! OPEN, open_platform_name! str, named_user_id str"),
    ("BARE", "channel! uuid, device_type! IOS|ANDROID|AMAZON|WEB|EMAIL|SMS|OPEN, named_user_id str"),
    ("PERSON", "named_user_id! str"),
    ("LEGAL_MAIL", "channel! uuid, device_type! EMAIL, delivery_address! str, named_user str"),
    ("LEGAL_PHONE", "channel! uuid, device_type! SMS, delivery_address! str, identifiers{sender! str}"),
    ("CONTEXT", "reporting_context{content_types[scene|survey]}, state{form{form_identifier! str, submitted! bool,
        type nps|form, response_type nps|user_feedback}, pager{identifier! str, page_identifier! str, page_index! int,
        page_count! int, completed bool}}"),
    ("LOCALE", "country str, language str"),
    ("PAGE", "+INAPP, context! CONTEXT, pager_identifier! str, locale LOCALE"),
    ("TAGS", "*[str]"),
    ("TEXTED", "inbound_message! str, outbound_message! str"),
    ("MSISDN", "msisdn! str, sender! str"),
    ("MAILED", "email! str, sender! str, subject! str"),
    ("METRICS", "agent_family str, device_brand str, device_family str, is_mobile flag_text, is_prefetched flag_text,
        os_family str, os_version str"),
];

/// Whether `user` is there.
const NO_USER: &[&str] = &[
    "COMPLIANCE",
    "FEATURE_FLAG_INTERACTION",
    "FIRST_OPEN",
    "FIRST_OPT_IN",
    "LABEL_EVENT",
    "MOBILE_ORIGINATED",
    "PUSH_BODY",
    "SEND_ABORTED",
    "SEND_REJECTED",
    "SHORT_LINK_CLICK",
    "IN_APP_MESSAGE_EXPIRATION",
];

/// Sections 3, 3.1 and 3.2: type, devices (`-` for none), body (`-` for none). An event must fit
/// one of the rows of its type.
const ROWS: &[(&str, &str, &str)] = &[
    ("ATTRIBUTE_OPERATION", "APP BROWSER ADDRESS OPEN_CHANNEL", "set[{key! str, value! num_or_str}], remove[{key! str}]"),
    ("CLOSE", "APP", "+SES"),
    ("CONTACT_CHANGE", "APP", "change_type! ASSOCIATION|DISSOCIATION|UNINSTALL, channel_id! uuid, contact_id! uuid, named_user_id str"),
    ("CONTROL", "APP BROWSER", "+IDS, experiment_id uuid"),
    ("CUSTOM", "BARE", "name! str, source! SDK|API, value num, transaction str, interaction_id str, interaction_type str,
        customer_id str, properties{* any}, +SES, +LD, +TP"),
    ("FEATURE_FLAG_INTERACTION", "APP BROWSER", "flag_id! uuid, flag_name! str, eligible! bool, variant_id uuid"),
    ("FIRST_OPEN", "APP BROWSER", "-"),
    ("FIRST_OPT_IN", "ADDRESS OPEN_CHANNEL", "-"),
    ("IN_APP_BUTTON_TAP", "APP", "+INAPP, context! CONTEXT, button_id! str, locale LOCALE"),
    ("IN_APP_EXPERIENCES", "APP", "+INAPP, event_name! scene_displayed|scene_completed|scene_incomplete|survey_displayed|survey_submitted|survey_not_submitted,
        survey_type nps|user_feedback, variant_id int"),
    ("IN_APP_FORM_DISPLAY", "APP", "+INAPP, context! CONTEXT, type! DISPLAY, forms![{form_id! str}]"),
    ("IN_APP_FORM_RESULT", "APP", "+INAPP, context! CONTEXT, type! RESULT, forms![{form_id! str, type! nps|form, response_type! str,
        nps{question_id! str, score! int, audience_category! PROMOTER|PASSIVE|DETRACTOR},
        responses![{question_id! str, type! score|single_choice|multiple_choice|text_input|email_input, value! any}]}]"),
    ("IN_APP_MESSAGE_CONTROL", "APP", "+INAPP, variant_id int, context CONTEXT, type! CONTROL"),
    ("IN_APP_MESSAGE_DISPLAY", "APP", "app_defined_id str, +IDS, +SES, +TP, variant_id int, context CONTEXT"),
    ("IN_APP_MESSAGE_EXCLUSION", "APP", "+INAPP, variant_id int, type! AUDIENCE_CHECK_EXCLUDED"),
    ("IN_APP_MESSAGE_EXPIRATION", "APP", "+INAPP, variant_id int, type! EXPIRED|ALREADY_DISPLAYED, time_expired ts"),
    ("IN_APP_MESSAGE_EXPIRATION", "APP", "+INAPP, variant_id int, type! REPLACED, replacing_push! PUSH"),
    ("IN_APP_MESSAGE_RESOLUTION", "APP", "+INAPP, variant_id int, context CONTEXT, type! MESSAGE_CLICK|TIMED_OUT|USER_DISMISSED, duration! int"),
    ("IN_APP_MESSAGE_RESOLUTION", "APP", "+INAPP, variant_id int, context CONTEXT, type! BUTTON_CLICK, duration! int, button_id! str,
        button_group! str, button_description! str"),
    ("IN_APP_PAGE_SWIPE", "APP", "+PAGE, from_page_identifier! str, from_page_index! int, to_page_identifier! str, to_page_index! int"),
    ("IN_APP_PAGE_VIEW", "APP", "+PAGE, page_identifier! str, page_index! int, page_count! int, viewed_count! int, completed! bool"),
    ("IN_APP_PAGER_COMPLETED", "APP", "+PAGE, page_identifier! str, page_index! int, page_count! int"),
    ("IN_APP_PAGER_SUMMARY", "APP", "+PAGE, page_count! int, completed! bool,
        viewed_pages![{page_identifier! str, page_index! int, display_time_ms! int}]"),
    ("LABEL_EVENT", "-", "push_id! uuid, group_id uuid, labels![{id! uuid, label! str}]"),
    ("LOCATION", "APP", "latitude! decimal, longitude! decimal, foreground! bool, +SES"),
    ("MOBILE_ORIGINATED", "PHONE", "event_type! mobile_originated_sms, identifiers! MSISDN, properties!{+TEXTED, keyword str}"),
    ("OPEN", "APP", "+LD, +TP, +SES"),
    ("PUSH_BODY", "-", "payload! str, resource! PIPELINES|SCHEDULES|PUSH|EXPERIMENTS|IN_APP_AUTOMATION, trimmed! bool, +IDS"),
    ("REGION", "APP", "action! enter|exit, region_id! str, source_info!{source! str, region_id! str}, name str, +SES"),
    ("RICH_CONTROL", "APP", "+IDS"),
    ("RICH_DELIVERY", "APP", "+IDS, context{extra{* str}}"),
    ("RICH_READ", "APP", "+IDS, context{extra{* str}}"),
    ("RICH_DELETE", "APP", "+IDS, context{extra{* str}}"),
    ("SCREEN_VIEWED", "APP BROWSER", "viewed_screen! str, previous_screen! str, duration! int, +SES"),
    ("SEND", "APP BROWSER ADDRESS OPEN_CHANNEL", "push_id! uuid, group_id uuid, variant_id int, experiment_id uuid, campaigns CAMP,
        alerting bool, open_tracking bool, click_tracking bool,
        context{triggered_by! custom_event, event_uuid! uuid, transaction str, interaction_id str}"),
    ("SEND_ABORTED", "APP", "push_id! uuid, group_id uuid, campaigns CAMP,
        reason! FEED_BANNED_RESPONSE|FEED_REQUEST_REJECTED|FEED_RESOLVE_FAILURE|FREQUENCY_LIMIT_FAILURE|FREQUENCY_LIMIT_REACHED|UNKNOWN"),
    ("SEND_REJECTED", "APP", "push_id! uuid, group_id uuid, variant_id int, campaigns CAMP,
        status BadDeviceToken|Unauthorized|InvalidPackageName|InvalidParameters|Unavailable|MessageTooBig|InvalidTtl|InvalidDataKey|MissingRegistration|Uninstalled"),
    ("SHORT_LINK_CLICK", "CLICKER", "push_id! uuid, group_id uuid, campaigns CAMP, properties!{original_url! str}"),
    ("SUBSCRIPTION", "MAIL", "event_type! registration|create_and_send|bounce|list_unsubscribe|link_unsubscribe|spam_complaint|out_of_band,
        identifiers!{address! str}, properties{commercial_opted_in ts, transactional_opted_in ts, click_tracking_opted_in ts,
        open_tracking_opted_in ts}, subscription_lists!{enrolled[str], canceled[str]}"),
    ("SUBSCRIPTION", "MAIL", "event_type! registration|create_and_send|bounce|list_unsubscribe|link_unsubscribe|spam_complaint|out_of_band,
        identifiers!{address! str}, properties{commercial_opted_in ts, transactional_opted_in ts, click_tracking_opted_in ts,
        open_tracking_opted_in ts, commercial_opted_out ts}"),
    ("SUBSCRIPTION_LIST", "APP BARE ADDRESS OPEN_CHANNEL PERSON", "enrolled[str], canceled[str], current[str], scope app|web|email|sms"),
    ("TAG_CHANGE", "APP BARE ADDRESS OPEN_CHANNEL", "add TAGS, remove TAGS, current TAGS"),
    ("UNINSTALL", "APP BROWSER", "decay! bool"),
    ("WEB_CLICK", "BROWSER", "+PUSH"),
    ("WEB_SESSION", "BROWSER", "+LD, +TP, +SES"),
    ("COMPLIANCE", "LEGAL_MAIL", "event_type! registration, identifiers!{address! str}, properties!{registration_type! create|update|opt_in|unbounce,
        commercial_opted_in ts, suppression_state imported|spam_complaint|commercial_spam_complaint|out_of_band|bounce|none, source ui, user str}"),
    ("COMPLIANCE", "LEGAL_MAIL", "event_type! registration, identifiers!{address! str}, properties!{message_type! commercial,
        registration_type! unsubscribe}, subscription_lists{canceled[str]}"),
    ("COMPLIANCE", "LEGAL_MAIL", "event_type! bounce, identifiers!{address! str}, properties!{bounce_class! str, bounce_event_type! str, +MAILED}"),
    ("COMPLIANCE", "LEGAL_MAIL", "event_type! create_and_send, identifiers!{address! str}, properties!{channel_registered! bool,
        commercial_opted_in ts, transactional_opted_in ts}"),
    ("COMPLIANCE", "LEGAL_PHONE", "event_type! registration, identifiers! MSISDN, properties!{registration_type! create|update, opted_in! ts}"),
    ("COMPLIANCE", "LEGAL_PHONE", "event_type! create_and_send, identifiers! MSISDN, properties!{channel_registered! bool, opted_in ts}"),
    ("COMPLIANCE", "LEGAL_PHONE", "event_type! mobile_opt_in|mobile_keyword_matched, identifiers! MSISDN, properties!{+TEXTED, keyword! str}"),
    ("COMPLIANCE", "LEGAL_PHONE", "event_type! mobile_opt_out, identifiers! MSISDN, properties!{+TEXTED,
        keyword! STOP|STOPALL|UNSUBSCRIBE|CANCEL|END|QUIT|ARRET}"),
    ("COMPLIANCE", "LEGAL_PHONE", "event_type! mobile_keyword_unmatched|custom_keyword_response, identifiers! MSISDN, properties!{+TEXTED}"),
    ("COMPLIANCE", "LEGAL_PHONE", "event_type! mobile_create_channel, identifiers! MSISDN, properties!{opted_in! ts, registration_type! create}"),
    ("COMPLIANCE", "LEGAL_PHONE", "event_type! api_initiate_opt_in|mobile_terminated_message|opted_out|uninstall, identifiers! MSISDN, properties{}"),
    ("COMPLIANCE", "LEGAL_PHONE", "event_type! carrier_deactivation, identifiers! MSISDN, properties!{action! uninstalled|suppressed}"),
    ("COMPLIANCE", "LEGAL_PHONE", "event_type! rnd_scan, identifiers! MSISDN, properties!{action! suppression_removed|uninstalled|none,
        reassigned bool, scan_id uuid, source monthly_scan|app_scan}"),
    ("COMPLIANCE", "LEGAL_PHONE", "event_type! suppression_removed, identifiers! MSISDN, properties!{source! ui}"),
];

/// Section 3.1: what the body of a `CUSTOM` event of an email address or a phone number is.
const CUSTOM_ROWS: &[(&str, &str)] = &[
    ("EMAIL", "name! injection|delivery|delay, source! API, triggering_push! PUSH, properties!{+MAILED}"),
    ("EMAIL", "name! bounce, source! API, triggering_push! PUSH, properties!{+MAILED, bounce_class! str, bounce_event_type! str}"),
    ("EMAIL", "name! open|initial_open, source! API, triggering_push! PUSH, properties!{+MAILED, +METRICS}"),
    ("EMAIL", "name! click, source! API, triggering_push! PUSH, properties!{+MAILED, +METRICS, link_name! str, link_url! str}"),
    ("EMAIL", "name! unsubscribe, source! API, properties!{+MAILED, unsubscribe_event_type! link_unsubscribe|list_unsubscribe}"),
    ("SMS", "name! dispatched|aborted|rejected|delivered|failed|expired|unknown|undeliverable|deleted, source! API,
        interaction_type! delivery_report, +TP, properties!{sender! str, vendor! CLX|TWILIO, vendorDeliveryId! str,
        error_code str, is_rcs bool}"),
    ("SMS", "name! dispatched|aborted|rejected|delivered|failed|expired|unknown|undeliverable|deleted, source! API,
        interaction_type! delivery_report, +TP, properties!{sender! str, vendor! CLX, result_code! N101|N102|E101|E102,
        result_status str, sent_as MMS|SMS, carrier_id str, handset str, tracking_Id str}"),
    ("SMS", "name! read, source! API, +TP, properties!{sender! str, vendor! CLX|TWILIO, vendorDeliveryId! str, is_rcs bool,
        number_of_message_parts int, recipient_country_code str}"),
];

#[test]
fn every_event_is_as_the_tables_say() {
    let parts: Parts = PARTS.iter().copied().collect();
    let tables = Tables::new(&parts);
    let mut seen = BTreeMap::new();
    for event in crate::events(1, 20_000) {
        if let Err(wrong) = tables.check(&event) {
            panic!("{wrong}\n{event:#}");
        }
        *seen.entry(event["type"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let missing: Vec<_> = EVENT_TYPES.iter().filter(|name| !seen.contains_key(**name)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
    assert_eq!(seen.len(), 43);
}

/// A row: type, devices, body.
type Row = (&'static str, Vec<Option<Shape>>, Option<Shape>);

/// The rows, parsed once.
struct Tables<'a> {
    parts: &'a Parts,
    rows: Vec<Row>,
    custom: Vec<(&'static str, Shape)>,
    user: Shape,
}

impl<'a> Tables<'a> {
    fn new(parts: &'a Parts) -> Self {
        let given = |text: &str| (text != "-").then(|| parse(text, parts));
        let device = |name: &str| (name != "-").then(|| parse(parts[name], parts));
        let row = |&(kind, devices, body): &(&'static str, &str, &str)| {
            (kind, devices.split(' ').map(device).collect(), given(body))
        };
        let custom =
            CUSTOM_ROWS.iter().map(|(device, body)| (*device, parse(body, parts))).collect();
        let user = parse("contact_id! uuid, named_user_id str", parts);
        Self { parts, rows: ROWS.iter().map(row).collect(), custom, user }
    }

    fn check(&self, event: &Value) -> Result<(), String> {
        let kind = event["type"].as_str().ok_or("no type")?;
        let mut envelope =
            "id! uuid, type! str, occurred! ts, device{* any}, user{* any}, body{* any}".to_owned();
        match kind {
            "SEND" => envelope.push_str(
                ", experiments{experiment_id! uuid, type! EXP_GROUP|GLOBAL, variant_id! str}",
            ),
            "CONTROL" | "RICH_CONTROL" => envelope.push_str(", experiment_id uuid"),
            _ => {}
        }
        check(event, &parse(&envelope, self.parts), "event")?;
        match (event.get("user"), NO_USER.contains(&kind)) {
            (Some(user), false) => check(user, &self.user, "user")?,
            (None, true) => {}
            _ => return Err(format!("`user` is wrong on {kind}")),
        }
        let rows = self.rows.iter().filter(|row| row.0 == kind);
        any(rows.map(|(_, devices, body)| {
            any(devices.iter().map(|shape| fits(event.get("device"), shape.as_ref(), "device")))?;
            fits(event.get("body"), body.as_ref(), "body")
        }))?;
        let custom = self
            .custom
            .iter()
            .filter(|row| kind == "CUSTOM" && event["device"]["device_type"] == row.0);
        let custom: Vec<_> = custom.map(|(_, body)| check(&event["body"], body, "body")).collect();
        if custom.is_empty() { Ok(()) } else { any(custom.into_iter()) }
    }
}

fn fits(value: Option<&Value>, shape: Option<&Shape>, at: &str) -> Result<(), String> {
    match (value, shape) {
        (Some(value), Some(shape)) => check(value, shape, at),
        (None, None) => Ok(()),
        _ => Err(format!("`{at}` is there or not, against the table")),
    }
}

/// Succeeds when one does; else tells what was wrong with each.
fn any(results: impl Iterator<Item = Result<(), String>>) -> Result<(), String> {
    let mut wrong = Vec::new();
    for result in results {
        match result {
            Ok(()) => return Ok(()),
            Err(why) => wrong.push(why),
        }
    }
    Err(wrong.join("; or "))
}

/// The checker itself must bite: each change makes a good event a bad one.
#[test]
fn the_tables_refuse_what_they_should() {
    let parts: Parts = PARTS.iter().copied().collect();
    let tables = Tables::new(&parts);
    let good =
        crate::events(1, 5000).into_iter().find(|event| event["type"] == "LOCATION").unwrap();
    tables.check(&good).unwrap();
    let changes: &[fn(&mut Value)] = &[
        |event| event["body"]["latitude"] = 1.5.into(),
        |event| event["body"]["foreground"] = "true".into(),
        |event| event["body"]["altitude"] = 1.into(),
        |event| drop(event["body"].as_object_mut().unwrap().remove("longitude")),
        |event| event["device"]["device_type"] = "WEB".into(),
        |event| event["device"]["attributes"]["push_opt_in"] = true.into(),
        |event| drop(event.as_object_mut().unwrap().remove("user")),
        |event| drop(event.as_object_mut().unwrap().remove("body")),
        |event| event["offset"] = "1".into(),
        |event| event["type"] = "FIRST_OPEN".into(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut event = good.clone();
        change(&mut event);
        assert!(tables.check(&event).is_err(), "change {number} went unseen");
    }
}
