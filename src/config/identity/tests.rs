//! What a file may say of who may connect, and what would be an accident.

use super::super::{CertificateName, parse};
use super::*;

fn accepted(text: &str) -> Settings {
    parse(text, "skein.toml").unwrap_or_else(|error| panic!("refused:\n{error}"))
}

fn refused(text: &str) -> String {
    parse(text, "skein.toml").expect_err("the file is wrong").to_string()
}

const LOCAL: &str = "[[listener]]\naddress = \"127.0.0.1:1883\"\n";
const OPEN: &str = "[[listener]]\naddress = \"0.0.0.0:1883\"\n";

#[test]
fn a_listener_says_how_clients_prove_who_they_are() {
    let settings = accepted(
        "reload_check_s = 0\n\
         [[listener]]\naddress = \"0.0.0.0:1883\"\nauth = [\"password\", \"scram\", \"jwt\", \"http\"]\n\
         acl_file = \"l.acl\"\nacl_strict = true\n\
         [[listener]]\naddress = \"0.0.0.0:8883\"\nauth = \"certificate\"\ncertificate_name = \"san\"\n\
         [listener.tls]\ncertificate = \"a\"\nkey = \"b\"\nclient_ca = \"c\"\n\
         client_certificates = \"required\"\n\
         [access]\npassword_file = \"p\"\nscram_file = \"s\"\nacl_file = \"\"\nlogin_workers = 3\n\
         [jwt]\nkeys_url = \"https://a.example/keys\"\nissuer = \"i\"\n\
         [http_hook]\nurl = \"http://10.0.0.1/auth\"\ntimeout_ms = 5\n",
    );
    let [first, second] = &settings.listeners[..] else { panic!("two listeners") };
    assert_eq!(
        first.auth,
        [
            Authentication::Password,
            Authentication::Scram,
            Authentication::Jwt,
            Authentication::Http
        ]
    );
    assert_eq!(first.acl_file, Some("l.acl".into()));
    assert_eq!(second.certificate_name, CertificateName::San);
    assert_eq!(settings.access.acl_file, None);
    assert_eq!(settings.access.written.place("access", "scram_file"), "skein.toml:18: ");
    assert_eq!(settings.http_hook.timeout_ms, 5);
}

/// Every kind of listener with every way to leave its authentication open: only what nobody else
/// reaches is anonymous without a word.
#[test]
fn h14_nothing_is_anonymous_by_accident() {
    let addresses = [
        ("127.0.0.1:1", true),
        ("[::1]:1", true),
        ("127.9.9.9:1", true),
        ("unix:/run/skein.sock", true),
        ("0.0.0.0:1", false),
        ("[::]:1", false),
        ("10.0.0.1:1", false),
        ("192.0.2.1:1", false),
    ];
    let sections = [
        "",
        "[listener.tls]\ncertificate = \"a\"\nkey = \"b\"\n",
        "[listener.tls]\ncertificate = \"a\"\nkey = \"b\"\nclient_ca = \"c\"\n\
         client_certificates = \"required\"\n",
    ];
    for ((address, is_local), section) in
        addresses.into_iter().flat_map(|address| sections.map(|section| (address, section)))
    {
        for protocol in ["mqtt", "websocket"] {
            let file = |auth: &str, more: &str| {
                format!(
                    "[[listener]]\naddress = \"{address}\"\nprotocol = \"{protocol}\"\n{auth}\
                     {section}{more}"
                )
            };
            let unsaid = parse(&file("", ""), "skein.toml");
            assert_eq!(unsaid.is_ok(), is_local, "{}", file("", ""));
            if let Err(error) = unsaid {
                let text = error.to_string();
                assert!(text.starts_with("skein.toml:2: listener "), "{text}");
                assert!(text.contains("write auth = [\"anonymous\"] if that is meant"), "{text}");
            }
            accepted(&file("auth = \"anonymous\"\n", ""));
            accepted(&file("", "[access]\nanonymous = false\n"));
            // Beside passwords, nothing is open that does not say so.
            let unsaid = refused(&file("", "[access]\npassword_file = \"p\"\n"));
            assert!(unsaid.contains("does not say whether it is used"), "{unsaid}");
            accepted(&file("auth = [\"password\"]\n", "[access]\npassword_file = \"p\"\n"));
        }
    }
    let proxied = refused(&format!("{LOCAL}proxy_protocol_from = [\"127.0.0.1\"]\n"));
    assert!(
        proxied.contains("everybody who reaches"),
        "others come by way of the proxy: {proxied}"
    );
}

#[test]
fn what_a_way_needs_is_named_with_the_line() {
    for (auth, more, wanted) in [
        ("password", "", "password_file"),
        ("scram", "", "scram_file"),
        ("jwt", "", "keys_file"),
        ("http", "", "url = "),
        ("certificate", "", "client_certificates"),
        ("anonymous", "[access]\nanonymous = false\n", "remove one of the two"),
    ] {
        let text = refused(&format!("{OPEN}auth = [\"{auth}\"]\n{more}"));
        assert!(text.starts_with("skein.toml:3: listener \"0.0.0.0:1883\": auth names"), "{text}");
        assert!(text.contains(wanted), "{text}");
    }
    let twice = refused(&format!("{OPEN}auth = [\"jwt\", \"jwt\"]\n"));
    assert!(twice.contains("\"jwt\" stands there twice"), "{twice}");
    let unknown = refused(&format!("{OPEN}auth = [\"pasword\"]\n"));
    assert!(unknown.contains("did you mean \"password\"?"), "{unknown}");
}

#[test]
fn where_identities_come_from_has_to_make_sense() {
    let jwt = "auth = \"jwt\"\n[jwt]\n";
    let two = refused(&format!("{LOCAL}{jwt}keys_file = \"a\"\nsecret_file = \"b\"\n"));
    assert_eq!(two, "skein.toml:6: keys come from one place; remove keys_file or secret_file");
    let plain = refused(&format!("{LOCAL}{jwt}keys_url = \"http://a.example/\"\n"));
    assert!(plain.contains("skein.toml:5: keys_url: \"http://a.example/\" has to begin with"));
    accepted(&format!("{LOCAL}{jwt}keys_url = \"http://127.0.0.1:8000/keys\"\n"));
    let empty = refused(&format!("{LOCAL}{jwt}keys_file = \"a\"\npublish_claim = \"\"\n"));
    assert!(empty.contains("publish_claim is empty"), "{empty}");
    let unused = refused(&format!(
        "{LOCAL}auth = \"password\"\n[access]\npassword_file = \"p\"\nscram_file = \"s\"\n"
    ));
    assert_eq!(
        unused,
        "skein.toml:6: access.scram_file is set and no listener uses it; write \"scram\" into the \
         auth of one"
    );
}

#[test]
fn passwords_told_in_the_clear_are_warned_of() {
    for (url, is_warned) in [
        ("https://a.example/", false),
        ("http://127.0.0.1:80/", false),
        ("http://localhost/", false),
        ("http://a.example/", true),
        ("http://10.0.0.1/", true),
    ] {
        let text = format!("{LOCAL}auth = \"http\"\n[http_hook]\nurl = \"{url}\"\n");
        let warning = told_in_the_clear(&accepted(&text).http_hook);
        assert_eq!(warning.is_some(), is_warned, "{url}");
        assert!(warning.is_none_or(|text| text.starts_with("skein.toml:5: url: passwords")));
    }
}

#[test]
fn settings_from_elsewhere_are_checked_as_well() {
    let mut settings = Settings::default();
    assert_eq!(check_identities(&settings), Ok(()));
    let open: std::net::SocketAddr = "0.0.0.0:1883".parse().expect("an address");
    settings.listeners = vec![Listener::at(open)];
    let error = check_identities(&settings).expect_err("everybody could connect").to_string();
    assert!(error.starts_with("listeners: listener \"0.0.0.0:1883\": everybody"), "{error}");
    settings.listeners[0].auth = vec![Authentication::Anonymous];
    assert_eq!(check_identities(&settings), Ok(()));
}
