//! What a file may say, what it may not, and how the broker answers.

use skein_protocol::QoS;

use super::{DurabilityMode, Listener, LogFormat, LogLevel, Overflow, Settings, load, parse};

fn accepted(text: &str) -> Settings {
    parse(text, "skein.toml").unwrap_or_else(|error| panic!("refused:\n{error}"))
}

fn refused(text: &str) -> String {
    parse(text, "skein.toml").expect_err("the file is wrong").to_string()
}

#[test]
fn an_empty_file_says_the_defaults() {
    let settings = accepted("");
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.listeners.len(), 1);
    assert_eq!(settings.listeners[0].name, "default");
    assert_eq!(settings.listeners[0].address.to_string(), "127.0.0.1:1883");
    assert!(settings.access.anonymous);
}

#[test]
fn every_kind_of_value_is_read() {
    let settings = accepted(
        "shards = 4\n\
         [[listener]]\nname = \"lan\"\naddress = \"[::]:1884\"\noverflow = \"drop-oldest\"\n\
         connections_max = 1_000\n\
         [[listener]]\naddress = \"10.0.0.1:1883\"\noverflow = \"refuse\"\n\
         [limits]\nmaximum_qos = 1\nretain_available = false\nreceive_maximum = 0x10\n\
         [access]\nanonymous = false\ndeny_subscribe = [\"test/nosubscribe\", \"private/#\"]\n\
         [log]\nformat = \"json\"\nlevel = \"debug\"\n",
    );
    assert_eq!(settings.shards, 4);
    let [lan, other] = &settings.listeners[..] else { panic!("two listeners") };
    assert_eq!((lan.name.as_str(), lan.overflow), ("lan", Overflow::DropOldest));
    assert_eq!(lan.connections_max, 1_000);
    assert_eq!(
        other,
        &Listener { overflow: Overflow::Refuse, ..Listener::at(other.address.clone()) }
    );
    assert_eq!(settings.limits.maximum_qos, QoS::AtLeastOnce);
    assert_eq!(settings.limits.receive_maximum, 16);
    assert!(!settings.limits.retain_available);
    assert_eq!(settings.access.deny_subscribe, ["test/nosubscribe", "private/#"]);
    assert_eq!((settings.log.format, settings.log.level), (LogFormat::Json, LogLevel::Debug));
}

#[test]
fn an_unknown_key_names_the_nearest() {
    assert_eq!(
        refused("[limits]\n\nqueue_message_max = 7\n"),
        "skein.toml:3: unknown key \"queue_message_max\" in [limits]; \
         did you mean \"queue_messages_max\"?"
    );
    assert_eq!(
        refused("[limit]\n"),
        "skein.toml:1: unknown key \"limit\"; did you mean \"limits\"?"
    );
    assert_eq!(refused("[access]\nzebra = 1\n"), "skein.toml:2: unknown key \"zebra\" in [access]");
}

#[test]
fn a_key_in_the_wrong_section_is_shown_its_place() {
    assert_eq!(
        refused("receive_maximum = 5\n"),
        "skein.toml:1: unknown key \"receive_maximum\"; it belongs in [limits]"
    );
    assert_eq!(
        refused("[limits]\nshards = 2\n"),
        "skein.toml:2: unknown key \"shards\" in [limits]; \
         it belongs at the top of the file, before the first section"
    );
    assert_eq!(
        refused("[log]\nretain_availible = true\n"),
        "skein.toml:2: unknown key \"retain_availible\" in [log]; \
         did you mean \"retain_available\" in [limits]?"
    );
}

#[test]
fn a_wrong_type_or_range_says_what_to_write() {
    assert_eq!(
        refused("shards = \"two\"\n"),
        "skein.toml:1: shards has the wrong type (string); write 0 to 64"
    );
    assert_eq!(refused("shards = 65\n"), "skein.toml:1: shards: 65 is out of range; write 0 to 64");
    assert_eq!(
        refused("[limits]\nkeep_alive_s_max = -1\n"),
        "skein.toml:2: keep_alive_s_max: -1 is out of range; write 0 to 65535"
    );
    assert_eq!(
        refused("[limits]\nmaximum_qos = 3\n"),
        "skein.toml:2: maximum_qos: 3 is not a QoS; write 0, 1 or 2"
    );
    assert_eq!(
        refused("[log]\nformat = \"jsn\"\n"),
        "skein.toml:2: format: unknown value \"jsn\"; did you mean \"json\"?; \
         write \"text\" or \"json\""
    );
}

#[test]
fn a_number_beyond_every_type_is_refused() {
    let huge = "9".repeat(60);
    let error = refused(&format!("shards = {huge}\n"));
    assert!(error.starts_with("skein.toml:1: "), "{error}");
}

#[test]
fn listeners_are_checked() {
    assert_eq!(
        refused("[[listener]]\naddress = \"localhost:1883\"\n"),
        "skein.toml:2: address: \"localhost:1883\" is not an address with a port; \
         write an IP address and a port, like \"127.0.0.1:1883\" or \"[::1]:1883\", \
         or the path of a Unix socket, like \"unix:/run/skein.sock\""
    );
    assert_eq!(
        refused("[[listener]]\nname = \"a\"\n"),
        "skein.toml:1: this listener has no address; write address = \"127.0.0.1:1883\""
    );
    let block = "[[listener]]\naddress = \"127.0.0.1:1883\"\n";
    assert_eq!(
        refused(&[block, block].concat()),
        "skein.toml:3: a second listener on 127.0.0.1:1883; write another port"
    );
    let named = |port: u16| format!("[[listener]]\nname = \"x\"\naddress = \"127.0.0.1:{port}\"\n");
    assert_eq!(
        refused(&[named(1), named(2)].concat()),
        "skein.toml:4: a second listener named \"x\"; write another name"
    );
    assert_eq!(
        refused("[listener]\naddress = \"127.0.0.1:1883\"\n"),
        "skein.toml:1: there may be several listeners; write [[listener]]"
    );
}

#[test]
fn two_listeners_may_ask_for_a_free_port_each() {
    let block = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    assert_eq!(accepted(&[block, block].concat()).listeners.len(), 2);
}

#[test]
fn filters_are_checked_by_the_rules_of_mqtt() {
    let error = refused("[access]\ndeny_publish = [\"ok\", \"a/#/b\"]\n");
    assert!(
        error.starts_with(
            "skein.toml:2: deny_publish: \"a/#/b\" is not a topic filter: [MQTT-4.7.1-"
        ),
        "{error}"
    );
    assert!(error.ends_with("; write a list of topic filters, like [\"private/#\"]"), "{error}");
    let error = refused("[access]\ndeny_subscribe = [\"$share/g/a\"]\n");
    assert!(error.contains("names a share; \"a\" covers the shared subscriptions too"), "{error}");
}

#[test]
fn a_broken_relation_names_both_keys_and_the_line() {
    assert_eq!(
        refused("[limits]\n# a comment\noutbox_low_water_bytes = 300_000\n"),
        "skein.toml:3: outbox_low_water_bytes (300000) must be below \
         outbox_high_water_bytes (262144), because publishers pause at the one and go on at the \
         other; write outbox_low_water_bytes = 262143 or less, \
         or outbox_high_water_bytes = 300001 or more"
    );
    assert_eq!(
        refused("[limits]\nqueue_bytes_max = 100_000\n"),
        "skein.toml:2: packet_bytes_max (1048576) must be at most queue_bytes_max (100000), \
         because a longer message could never be queued; \
         write packet_bytes_max = 100000 or less, or queue_bytes_max = 1048576 or more"
    );
    assert_eq!(
        refused("[limits]\npacket_bytes_max = 16_000_000\n"),
        "skein.toml:2: outbox_high_water_bytes (262144) and packet_bytes_max (16000000) together \
         must be at most outbox_bytes_max (8388608), because the packet that reaches the mark must \
         still fit; write outbox_bytes_max = 16262144 or more"
    );
    assert_eq!(
        refused("[limits]\nlane_slots = 1000\n"),
        "skein.toml:2: lane_slots (1000) must be a power of two; write 512 or 1024"
    );
}

#[test]
fn retained_bytes_matter_only_while_messages_are_retained() {
    let small = "[limits]\nretained_bytes_max = 1000\n";
    assert!(refused(small).contains("must be at most retained_bytes_max (1000)"));
    accepted(&format!("{small}retain_available = false\n"));
}

#[test]
fn every_problem_is_reported_in_the_order_of_the_file() {
    let error = refused("[log]\nlevel = 3\n[limits]\nreceive_maximum = 0\nnope_nope = 1\n");
    let lines: Vec<&str> = error.lines().map(|line| &line[..12]).collect();
    assert_eq!(lines, ["skein.toml:2", "skein.toml:4", "skein.toml:5"]);
}

#[test]
fn text_that_is_no_toml_names_its_line() {
    assert!(refused("shards = 1\nshards = 2\n").starts_with("skein.toml:2: "));
    assert!(refused("\n\n[limits\n").starts_with("skein.toml:3: "));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = load("no/such/skein.toml".as_ref()).expect_err("there is no such file");
    assert!(error.to_string().starts_with("no/such/skein.toml: cannot read the configuration: "));
}

#[test]
fn every_example_of_the_repository_is_accepted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be listed").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files += 1;
            load(&path).unwrap_or_else(|error| panic!("refused:\n{error}"));
        }
    }
    assert!(files >= 2, "the examples were found");
}

#[test]
fn a_listener_promises_what_the_store_does_unless_it_says_otherwise() {
    let text = "[[listener]]\naddress = \"127.0.0.1:1\"\n\
                [[listener]]\naddress = \"127.0.0.1:2\"\ndurability = \"memory\"\n\
                [store]\ndata_dir = \"/var/lib/skein\"\ndurability = \"os\"\n";
    let settings = parse(text, "skein.toml").expect("it is right");
    let durability: Vec<_> = settings.listeners.iter().map(|each| each.durability).collect();
    assert_eq!(durability, [DurabilityMode::Os, DurabilityMode::Memory]);
    let settings = parse("[store]\ndurability = \"os\"\n", "skein.toml").expect("it is right");
    assert_eq!(settings.listeners[0].durability, DurabilityMode::Os);
    assert_eq!(settings.store.data_dir, None);
}

/// What a peer may cost is bounded before anybody has written a configuration.
#[test]
fn without_a_configuration_every_limit_holds() {
    let settings = Settings::default();
    let (limits, listener) = (&settings.limits, &settings.listeners[0]);
    let bounds = [
        limits.connect_timeout_ms == 10_000,
        limits.packet_bytes_max == 1 << 20,
        limits.topic_levels_max == 128,
        limits.topic_alias_maximum == 16,
        limits.subscriptions_per_client_max > 0,
        limits.connections_per_address_max > 0,
        limits.connections_per_address_per_s_max > 0,
        limits.publishes_per_client_per_s_max > 0,
        limits.publish_bytes_per_client_per_s_max > 0,
        listener.publishes_per_s_max > 0,
        listener.publish_bytes_per_s_max > 0,
        limits.sessions_max > 0,
        limits.retained_messages_max > 0,
        limits.retained_bytes_max > 0,
    ];
    assert_eq!(bounds, [true; 14]);
}
