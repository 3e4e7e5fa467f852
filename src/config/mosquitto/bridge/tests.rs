use skein_protocol::QoS;

use super::super::lines::Lines;
use super::super::{Imported, Machine, read};
use super::*;

const MACHINE: Machine = Machine { has_v6: false, resolve: |_, _| Ok(Vec::new()) };

fn import(block: &str) -> Imported {
    let text = format!("connection b\n{block}");
    read(&Lines::of_text(&text), MACHINE).expect("a configuration of Mosquitto")
}

fn only(block: &str) -> Bridge {
    let imported = import(block);
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
    let [bridge] = &imported.settings.bridges[..] else { panic!("one bridge") };
    bridge.clone()
}

fn refusal(block: &str) -> String {
    let text = format!("connection b\n{block}");
    let (place, text) = read(&Lines::of_text(&text), MACHINE).expect_err("it is wrong");
    format!("{place}: {text}")
}

const LEAST: &str = "address a\ntopic #\n";

#[test]
fn what_a_block_does_not_say_is_as_mosquitto_has_it() {
    let bridge = only(LEAST);
    assert_eq!((&*bridge.name, &*bridge.addresses[0]), ("b", "mqtt://a:1883"));
    assert_eq!((bridge.version, bridge.status), (BridgeVersion::V3_1_1, BridgeStatus::Both));
    assert!(bridge.private && !bridge.clean_start);
    assert_eq!((bridge.restart_min_ms, bridge.restart_max_ms), (5_000, 30_000));
    assert_eq!(bridge.state_topic(), "$SYS/broker/connection/b/state");
    let topic = &bridge.topics[0];
    assert_eq!((topic.filter.as_str(), topic.direction), ("#", Direction::Out));
    assert_eq!(topic.qos, QoS::AtMostOnce);
}

#[test]
fn a_topic_has_up_to_four_words_behind_it() {
    for (line, filter, direction, qos, prefixes) in [
        ("# both 2", "#", Direction::Both, 2, ["", ""]),
        ("a/+ in 1 l/ r/", "a/+", Direction::In, 1, ["l/", "r/"]),
        ("# out 0 \"\" r/", "#", Direction::Out, 0, ["", "r/"]),
        ("\"\" in 0 l/one r/one", "", Direction::In, 0, ["l/one", "r/one"]),
    ] {
        let bridge = only(&format!("address a\ntopic {line}\n"));
        let topic = &bridge.topics[0];
        assert_eq!(
            (topic.filter.as_str(), topic.direction, topic.qos as u8),
            (filter, direction, qos)
        );
        assert_eq!([topic.local_prefix.as_str(), topic.remote_prefix.as_str()], prefixes, "{line}");
    }
}

#[test]
fn every_option_that_is_obeyed_has_its_effect() {
    let bridge = only(
        "addresses a:1 b [::1]:2\ntopic # both 1\nremote_username u\nremote_password p w\n\
         remote_clientid c\nlocal_username l\ncleansession true\nrestart_timeout 2 20\n\
         keepalive_interval 9\nnotifications_local_only true\ntry_private false\n\
         bridge_protocol_version mqttv50\nbridge_cafile /ca\nbridge_certfile /cert\n\
         bridge_keyfile /key\nbridge_max_packet_size 5000\nstart_type automatic\n",
    );
    let addresses = ["mqtts://a:1", "mqtts://b:1883", "mqtts://[::1]:2"];
    assert_eq!(bridge.addresses.iter().map(|it| &**it).collect::<Vec<_>>(), addresses);
    assert_eq!((bridge.user.as_str(), bridge.password.as_str()), ("u", "p w"));
    assert_eq!((bridge.client_id.as_str(), bridge.local_user.as_str()), ("c", "l"));
    assert!(bridge.clean_start && !bridge.private && bridge.session_expiry_s == 0);
    assert_eq!((bridge.restart_min_ms, bridge.restart_max_ms), (2_000, 20_000));
    assert_eq!((bridge.keep_alive_s, bridge.packet_bytes_max), (9, 5_000));
    assert_eq!((bridge.version, bridge.status), (BridgeVersion::V5, BridgeStatus::Local));
    assert_eq!(bridge.tls.ca.as_deref(), Some("/ca".as_ref()));
    assert_eq!(bridge.state_topic(), "$SYS/broker/connection/c/state");
    let bridge = only(&format!("{LEAST}restart_timeout 7\nnotifications false\n"));
    assert_eq!((bridge.restart_min_ms, bridge.restart_max_ms), (7_000, 7_000));
    assert_eq!((bridge.restart_jitter_percent, bridge.status), (0, BridgeStatus::None));
    let bridge = only(&format!("{LEAST}notification_topic n\n"));
    assert_eq!(bridge.state_topic(), "n");
}

#[test]
fn what_is_not_as_the_block_asks_is_said() {
    for (line, words) in [
        ("start_type lazy", "mosquitto.conf:4: start_type: the bridge connects at once"),
        ("round_robin false", "mosquitto.conf:4: round_robin: "),
        ("local_clientid x", "mosquitto.conf:4: local_clientid: "),
        ("local_cleansession true", "local_cleansession: the sessions at both"),
        ("bridge_insecure true", "mosquitto.conf:4: bridge_insecure: "),
        ("bridge_outgoing_retain false", "mosquitto.conf:4: bridge_outgoing_retain: "),
    ] {
        let imported = import(&format!("{LEAST}{line}\n"));
        assert!(imported.warnings.iter().any(|it| it.contains(words)), "{:?}", imported.warnings);
        assert_eq!(imported.settings.bridges.len(), 1);
    }
    // What would be less safe than asked for is not done at all.
    for line in ["bridge_psk 00", "bridge_require_ocsp true", "bridge_capath /etc"] {
        let imported = import(&format!("{LEAST}{line}\n"));
        assert!(imported.warnings[0].ends_with("the bridge b is not started"), "{line}");
        assert!(imported.settings.bridges.is_empty());
    }
}

#[test]
fn what_mosquitto_refuses_is_refused() {
    for (block, words) in [
        ("topic #\n", "the bridge b has no address"),
        ("address a:x\n", "mosquitto.conf:2: address: \"x\" is not a port"),
        ("address a\ntopic # up\n", "mosquitto.conf:3: topic: \"up\" is no direction"),
        ("address a\ntopic # out 3\n", "mosquitto.conf:3: topic: \"3\" is no QoS"),
        ("address a\ntopic a/#/b\n", "the local topics"),
        ("start_type now\n", "start_type: \"now\" is none"),
        ("restart_timeout 0\n", "restart_timeout: write one or two numbers"),
        ("address a\ntopic #\nconnection b\n", "a second bridge named \"b\""),
    ] {
        let said = refusal(block);
        assert!(said.contains(words), "{said}");
    }
}
