use std::fs;

use skein_protocol::QoS;

use super::lines::Lines;
use super::*;
use crate::config::{
    Authentication, CertificateName, ClientCertificates, Listener, LogLevel, Protocol, TlsVersion,
    check_identities,
};

const MACHINE: Machine = Machine {
    has_v6: true,
    resolve: |host, port| {
        let address = host.parse::<std::net::IpAddr>().map_err(|error| error.to_string())?;
        Ok(vec![(address, port).into()])
    },
};

fn import(text: &str) -> Imported {
    let imported = read(&Lines::of_text(text), MACHINE).expect("a configuration of Mosquitto");
    assert_eq!(check_identities(&imported.settings), Ok(()), "{text}");
    imported
}

fn refusal(text: &str) -> String {
    let (place, text) = read(&Lines::of_text(text), MACHINE).expect_err("it is wrong");
    format!("{place}: {text}")
}

fn addresses(imported: &Imported) -> Vec<String> {
    imported.settings.listeners.iter().map(|listener| listener.address.to_string()).collect()
}

fn only(imported: &Imported) -> &Listener {
    assert_eq!(imported.settings.listeners.len(), 1, "{:?}", addresses(imported));
    &imported.settings.listeners[0]
}

#[test]
fn without_a_listener_this_machine_is_served_and_may_come_in() {
    let imported = import("");
    assert!(addresses(&imported).contains(&"127.0.0.1:1883".to_owned()));
    for listener in &imported.settings.listeners {
        assert!(listener.address.is_local());
        assert_eq!(listener.auth, [Authentication::Anonymous]);
    }
    assert!(imported.warnings.is_empty());
}

#[test]
fn with_a_listener_nobody_comes_in_who_was_not_asked_for() {
    let text = refusal("listener 1884\n");
    assert!(text.contains("nobody could connect to it"), "{text}");
    let imported = import("listener 1884 127.0.0.1\nallow_anonymous true\n");
    assert_eq!(addresses(&imported), ["127.0.0.1:1884"]);
    assert_eq!(only(&imported).auth, [Authentication::Anonymous]);
    let imported = import("listener 1884 127.0.0.1\npassword_file /etc/a b\n");
    assert_eq!(only(&imported).auth, [Authentication::Password]);
    assert_eq!(only(&imported).password_file.as_deref(), Some(Path::new("/etc/a b")));
    let both = "allow_anonymous true\npassword_file /p\nlistener 1884 127.0.0.1\n";
    let ways = [Authentication::Anonymous, Authentication::Password];
    assert_eq!(only(&import(both)).auth, ways);
    // Passwords close the default listener to those who have none, too.
    let imported = import("password_file /p\n");
    assert!(imported.settings.listeners.iter().all(|l| l.auth == [Authentication::Password]));
}

#[test]
fn settings_for_each_listener_stay_with_it() {
    let text = "listener 1 127.0.0.1\nallow_anonymous true\nacl_file /a\n\
                listener 2 127.0.0.1\npassword_file /p\n";
    let imported = import(&format!("per_listener_settings true\n{text}"));
    let [first, second] = &imported.settings.listeners[..] else { panic!("two listeners") };
    assert_eq!(first.auth, [Authentication::Anonymous]);
    assert_eq!(first.acl_file.as_deref(), Some(Path::new("/a")));
    assert_eq!((&second.auth[..], &second.acl_file), (&[Authentication::Password][..], &None));
    // Without it they hold for all, wherever they stand.
    let imported = import(text);
    for listener in &imported.settings.listeners {
        assert_eq!(listener.auth, [Authentication::Anonymous, Authentication::Password]);
        assert_eq!(listener.acl_file.as_deref(), Some(Path::new("/a")));
    }
}

#[test]
fn lines_are_cut_as_mosquitto_cuts_them() {
    let text = "# a comment\r\n  # no comment is where # is not the first byte\n";
    assert!(refusal(text).starts_with("mosquitto.conf:2: unknown option \"#\""));
    let imported = import("listener   1884  127.0.0.1   # words behind\r\nallow_anonymous 1 #x\n");
    assert_eq!(addresses(&imported), ["127.0.0.1:1884"]);
    assert!(refusal("listener\t1884\n").contains("unknown option"));
    // The second word is a comment, and so no address.
    let all = import("listener 1884 # everywhere\nallow_anonymous true\nsocket_domain ipv4\n");
    assert_eq!(addresses(&all), ["0.0.0.0:1884"]);
}

#[test]
fn tls_and_certificates_are_taken_over() {
    let imported = import(
        "listener 8883 127.0.0.1\ncafile /ca\ncertfile /c\nkeyfile /k\ncrlfile /r\n\
         require_certificate true\nuse_subject_as_username true\ntls_version tlsv1.3\n",
    );
    let listener = only(&imported);
    assert_eq!(listener.auth, [Authentication::Certificate]);
    assert_eq!(listener.certificate_name, CertificateName::Dn);
    assert_eq!(listener.tls.client_certificates, ClientCertificates::Required);
    assert_eq!(listener.tls.versions, [TlsVersion::V1_3]);
    let paths = [&listener.tls.certificate, &listener.tls.key, &listener.tls.client_ca];
    assert_eq!(paths.map(|paths| paths[0].display().to_string()), ["/c", "/k", "/ca"]);
    // Without require_certificate nobody is asked for one.
    let imported = import(
        "listener 8883 127.0.0.1\nallow_anonymous true\ncafile /ca\ncertfile /c\nkeyfile /k\n",
    );
    assert_eq!(only(&imported).tls.client_certificates, ClientCertificates::None);
}

#[test]
fn limits_are_taken_over() {
    let imported = import(
        "max_inflight_messages 0\nmax_queued_messages 50\nmax_packet_size 2000\nmax_keepalive 60\n\
         max_qos 1\npersistent_client_expiration 2d\nretain_available false\nmax_topic_alias 3\n\
         log_type warning\nlog_type debug\n",
    );
    let limits = &imported.settings.limits;
    assert_eq!((limits.in_flight_max, limits.receive_maximum), (u16::MAX, u16::MAX));
    assert_eq!((limits.queue_messages_max, limits.packet_bytes_max), (50, 2_000));
    assert_eq!((limits.keep_alive_s_max, limits.maximum_qos), (60, QoS::AtLeastOnce));
    assert_eq!((limits.session_expiry_s_max, limits.topic_alias_maximum), (172_800, 3));
    assert!(!limits.retain_available);
    assert_eq!(imported.settings.log.level, LogLevel::Debug);
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
}

#[test]
fn what_is_not_done_is_said_with_its_line() {
    let imported = import("upgrade_outgoing_qos true\npersistence_file m.db\nlog_dest file /log\n");
    let [qos, log] = &imported.warnings[..] else { panic!("{:?}", imported.warnings) };
    assert!(qos.starts_with("mosquitto.conf:1: upgrade_outgoing_qos: "), "{qos}");
    assert!(log.starts_with("mosquitto.conf:3: log_dest: "), "{log}");
    assert!(import("upgrade_outgoing_qos false\n").warnings.is_empty());
}

#[test]
fn what_is_kept_stands_beside_the_file_of_mosquitto() {
    let folder_of = |text: &str| {
        let imported = import(text);
        assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
        imported.settings.store.data_dir
    };
    let folder = folder_of("persistence_location /var/lib/mosquitto/\npersistence true\n");
    assert_eq!(folder.as_deref(), Some(Path::new("/var/lib/mosquitto/skein")));
    // Mosquitto takes the folder that it was started in.
    assert_eq!(folder_of("persistence true\n").as_deref(), Some(Path::new("skein")));
    assert_eq!(folder_of("persistence_location /var/lib/mosquitto/\n"), None);
    assert_eq!(folder_of("persistence true\npersistence false\n"), None);
}

/// H14: what cannot be honoured opens nothing.
#[test]
fn what_keeps_clients_out_in_a_way_that_skein_has_not_closes_its_listener() {
    let text = "listener 1 127.0.0.1\nallow_anonymous true\n";
    for option in ["plugin /p.so", "auth_plugin /p.so", "psk_file /p", "clientid_prefixes a-"] {
        let text = refusal(&format!("{text}{option}\n"));
        assert!(text.contains("no listener is left"), "{text}");
    }
    let imported = import(&format!("{text}listener 2 127.0.0.1\nmount_point a/\n"));
    assert_eq!(addresses(&imported), ["127.0.0.1:1"]);
    let warning = &imported.warnings[0];
    assert!(warning.starts_with("mosquitto.conf:4: mount_point: "), "{warning}");
    assert!(warning.ends_with("the listener on port 2 is not opened"), "{warning}");
}

/// H14: Mosquitto opens a port without TLS for who forgot the certificate. The refusal gives its own
/// reasons, not every remark on the file.
#[test]
fn who_asks_for_certificates_opens_no_door_without_them() {
    let text =
        "user nobody\nlistener 1 127.0.0.1\nallow_anonymous true\nrequire_certificate true\n";
    for (more, what) in [
        ("cafile ca.pem\nkeyfile k.pem\n", "write certfile FILE and keyfile FILE"),
        ("certfile c.pem\nkeyfile k.pem\n", "write cafile FILE"),
    ] {
        let text = refusal(&format!("{text}{more}"));
        assert!(text.contains("no listener is left to open: mosquitto.conf:2: "), "{text}");
        assert!(text.contains(what) && !text.contains("the user does not change"), "{text}");
    }
}

#[test]
fn a_bridge_ends_with_the_next_listener() {
    let imported = import(
        "connection far\naddress far.example:1883\ntopic # both 0\nremote_username u\n\
         listener 1884 127.0.0.1\nprotocol websockets\nallow_anonymous true\n",
    );
    assert_eq!(imported.warnings.len(), 0);
    assert_eq!(imported.settings.bridges.len(), 1);
    assert_eq!(only(&imported).protocol, Protocol::WebSocket);
    assert!(refusal("topic # both 0\n").contains("belongs behind a connection line"));
}

#[test]
fn mistakes_name_the_line_and_what_was_meant() {
    for (text, words) in [
        (
            "alow_anonymous true\n",
            "mosquitto.conf:1: unknown option \"alow_anonymous\"; did you mean allow_anonymous?",
        ),
        ("\nlistener 99999\n", "mosquitto.conf:2: listener: \"99999\" is not a port"),
        (
            "allow_anonymous yes\n",
            "mosquitto.conf:1: allow_anonymous: \"yes\" is neither true nor false",
        ),
        ("max_qos 3\n", "mosquitto.conf:1: max_qos: 3 is out of range; write 0 to 2"),
        ("password_file\n", "mosquitto.conf:1: password_file has no value"),
        ("persistent_client_expiration 3x\n", "is no time; write 14d"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(words), "{refusal}");
    }
}

#[test]
fn the_files_of_a_folder_are_included_in_order() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let folder = folder.path();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("it is written");
    write("b.conf", "max_keepalive 2\n");
    write("A.conf", "max_keepalive 1\n");
    write("c.conf.off", "nonsense\n");
    let main = folder.join("main");
    let text = format!("persistence true\ninclude_dir {}\n", folder.display());
    fs::write(&main, text).expect("it is written");
    let imported = load_mosquitto(&main, MACHINE).expect("a configuration of Mosquitto");
    assert_eq!(imported.settings.limits.keep_alive_s_max, 2);
    // What an included file says is not about the listener of the main one.
    let text = format!(
        "per_listener_settings true\nlistener 1 127.0.0.1\ninclude_dir {}\nallow_anonymous true\n",
        folder.display()
    );
    fs::write(&main, text).expect("it is written");
    write("b.conf", "password_file /p\nlistener 2 127.0.0.1\nallow_anonymous true\n");
    let listeners = load_mosquitto(&main, MACHINE).expect("a configuration").settings.listeners;
    assert_eq!(listeners.len(), 2);
    assert!(listeners.iter().all(|listener| listener.auth == [Authentication::Anonymous]));
    write("b.conf", "include_dir /\n");
    let error =
        load_mosquitto(&main, MACHINE).expect_err("only the main file includes").to_string();
    let file = folder.join("b.conf");
    let text = format!("{}:1: include_dir may stand in the main file only", file.display());
    assert!(error.starts_with(&text), "{error}");
    let missing =
        load_mosquitto(Path::new("/nowhere/mosquitto.conf"), MACHINE).expect_err("not there");
    assert!(missing.to_string().starts_with("/nowhere/mosquitto.conf: cannot read it"));
}
