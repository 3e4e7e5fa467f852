//! What files make the rules, and how it is said that they do not.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::access::provider::Decision;
use crate::access::{Credentials, Identity, Secret};

/// A folder of files; removed at the end.
struct Folder(TempDir);

impl Folder {
    fn new(name: &str) -> Self {
        Self(TempDir::with_prefix(format!("skein-rules-{name}-")).expect("a temporary folder"))
    }

    fn write(&self, file: &str, text: &str) -> Option<PathBuf> {
        let path = self.0.path().join(file);
        fs::write(&path, text).expect("room for a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        Some(path)
    }
}

fn listener(auth: &[Authentication]) -> Listener {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Listener { auth: auth.to_vec(), ..Listener::at(address) }
}

fn load(settings: &Settings) -> Result<Rules, String> {
    let places = settings.listeners.iter().map(|listener| Place { listener, removed: None });
    let places: Vec<_> = places.collect();
    Rules::load(settings, &places, &Given::default())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn shows(user_name: Option<&str>) -> Credentials {
    Credentials {
        client_id: "client".into(),
        user_name: user_name.map(Into::into),
        password: user_name.map(|_| Secret::new(b"password")),
        certificate: None,
        address: None,
    }
}

fn decide(rules: &Rules, listener: u16, user_name: Option<&str>) -> Decision {
    rules.access.of(ListenerId(listener)).providers.decide(shows(user_name))
}

#[test]
fn each_listener_has_its_providers_and_its_list() {
    let folder = Folder::new("each");
    let access = config::Access {
        password_file: folder.write("passwords", "alice:$6$AAAA$AAAA\n"),
        acl_file: folder.write("acl", "topic read open/#\n"),
        ..config::Access::default()
    };
    let own =
        Listener { acl_file: folder.write("own", ""), ..listener(&[Authentication::Password]) };
    let open = listener(&[Authentication::Anonymous]);
    let both = listener(&[Authentication::Password, Authentication::Anonymous]);
    let mut settings = Settings { access, listeners: vec![own, open, both], ..Settings::default() };
    settings.listeners[2].acl_strict = true;
    let Err(error) = load(&settings) else { panic!("the hash is none") };
    assert!(error.contains("passwords:1: user \"alice\""), "{error}");
    let hash = crate::access::password::PasswordHash::make(
        crate::access::password::Scheme::Sha512,
        b"password",
        &[1; 12],
    );
    folder.write("passwords", &format!("alice:{}\n", hash.expect("it costs nothing")));
    let rules = load(&settings).expect("the files are right");
    assert!(matches!(decide(&rules, 0, Some("alice")), Decision::Later(_)));
    assert!(matches!(decide(&rules, 0, None), Decision::Deny(_)));
    assert!(matches!(decide(&rules, 1, Some("whoever")), Decision::Allow(_)), "alone: everybody");
    assert!(matches!(decide(&rules, 2, None), Decision::Allow(_)));
    let of = |listener| rules.access.of(ListenerId(listener));
    assert!(of(2).is_strict && !of(0).is_strict);
    let may = |listener, filter| {
        let acl = of(listener).acl.as_deref();
        Identity::anonymous().permissions(acl, "client").may_receive_all(filter)
    };
    assert!(may(1, "open/+") && !may(1, "#") && !may(0, "open/+"), "an empty list denies all");
    let [warning] = &rules.warnings[..] else { panic!("of one list: {:?}", rules.warnings) };
    assert!(warning.contains("own: it allows nothing"), "{warning}");
}

/// H13: what is wrong is an error with its line, never a user or a hole.
#[test]
fn h13_files_that_are_wrong_are_named_with_their_line() {
    let folder = Folder::new("wrong");
    let access = config::Access {
        password_file: folder.write("passwords", "alice:plain\n"),
        scram_file: folder.write("scram", "alice\n"),
        acl_file: folder.write("acl", "topic read a/#\ntopik read b\n"),
        ..config::Access::default()
    };
    let jwt = config::Jwt { keys_file: folder.write("keys", "{}"), ..config::Jwt::default() };
    let auth = [Authentication::Password, Authentication::Scram, Authentication::Jwt];
    let mut settings =
        Settings { access, jwt, listeners: vec![listener(&auth)], ..Settings::default() };
    let Err(text) = load(&settings) else { panic!("all of it is wrong") };
    for wanted in ["passwords:1: ", "scram:1: ", "acl:2: unknown word", "keys: write a JWK set"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    settings.access.acl_file = Some("/missing/acl".into());
    let Err(text) = load(&settings) else { panic!("the list is missing") };
    assert!(text.contains("acl_file: cannot read /missing/acl"), "{text}");
}

#[test]
fn secrets_that_everybody_can_read_are_warned_of() {
    let folder = Folder::new("modes");
    let secret = folder.write("secret", "0123456789abcdef0123456789abcdef\n");
    let jwt = config::Jwt { secret_file: secret.clone(), ..config::Jwt::default() };
    let listeners = vec![listener(&[Authentication::Jwt])];
    let settings = Settings { jwt, listeners, ..Settings::default() };
    assert_eq!(load(&settings).expect("it is right").warnings, [""; 0]);
    let path = secret.expect("it was written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let warnings = load(&settings).expect("it is right").warnings;
    assert!(
        warnings[0].contains("everybody on this machine can read it; chmod o="),
        "{warnings:?}"
    );
    fs::write(&path, "too short").expect("room for a file");
    let Err(text) = load(&settings) else { panic!("the secret is weak") };
    assert!(text.contains("at least 32 bytes"), "{text}");
}

#[test]
fn of_public_keys_and_private_ones_the_private_are_warned_of() {
    let folder = Folder::new("keys");
    let public = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let secret = r#"{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}"#;
    let keys_file = folder.write("keys", public);
    let path = keys_file.clone().expect("it was written");
    let jwt = config::Jwt { keys_file, ..config::Jwt::default() };
    let listeners = vec![listener(&[Authentication::Jwt])];
    let mut settings = Settings { jwt, listeners, ..Settings::default() };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
    assert_eq!(load(&settings).expect("it is right").warnings, [""; 0]);
    fs::write(&path, secret).expect("room for a file");
    let warned = |settings: &Settings| {
        let warnings = load(settings).expect("it is right").warnings;
        warnings.iter().filter(|text| text.contains("everybody on this machine")).count()
    };
    assert_eq!(warned(&settings), 1);
    // The key of a listener is one, too, however many listeners share it.
    fs::write(&path, public).expect("room for a file");
    let key = vec![folder.write("tls.key", "").expect("it was written")];
    fs::set_permissions(&key[0], fs::Permissions::from_mode(0o644)).expect("it is ours");
    settings.listeners.push(listener(&[Authentication::Anonymous]));
    for listener in &mut settings.listeners {
        listener.tls.key.clone_from(&key);
    }
    assert_eq!(warned(&settings), 1);
}

#[test]
fn a_removed_listener_keeps_what_it_cannot_have_anew() {
    let folder = Folder::new("removed");
    let gone = Listener {
        acl_file: folder.write("gone", "topic read a\n"),
        ..listener(&[Authentication::Anonymous])
    };
    let settings = Settings { listeners: vec![gone.clone()], ..Settings::default() };
    let before = load(&settings).expect("it is right");
    let now = Settings::default();
    let reload = || {
        let removed = Some(before.access.of(ListenerId(0)));
        let places = [
            Place { listener: &gone, removed },
            Place { listener: &now.listeners[0], removed: None },
        ];
        let rules = Rules::load(&now, &places, &Given::default()).expect("what is left is right");
        let acl = rules.access.of(ListenerId(0)).acl.clone();
        let may = |filter| {
            Identity::anonymous().permissions(acl.as_deref(), "client").may_receive_all(filter)
        };
        (may("a"), may("b"))
    };
    assert_eq!(reload(), (true, false));
    folder.write("gone", "topic read b\n");
    assert_eq!(reload(), (false, true));
    folder.write("gone", "nonsense\n");
    assert_eq!(reload(), (true, false));
}

/// H13: what is wrong in Mosquitto's own files is skipped, and said, but not until nobody is left.
#[test]
fn h13_skipped_lines_do_not_empty_a_file_that_had_users() {
    let folder = Folder::new("emptied");
    let guarded = Listener {
        password_file: folder.write("passwords", "alice:$6$AAAAAAAAAAAAAAAA$AAAA\n"),
        ..listener(&[Authentication::Password])
    };
    let access = config::Access { skips_lines: true, ..config::Access::default() };
    let mut settings = Settings { access, listeners: vec![guarded], ..Settings::default() };
    let hash = crate::access::password::PasswordHash::make(
        crate::access::password::Scheme::Sha512,
        b"password",
        &[1; 12],
    );
    let hash = hash.expect("it costs nothing");
    let with = |text: &str| folder.write("passwords", text);
    with(&format!("no line\nalice:{hash}\n"));
    let before = load(&settings).expect("one line is skipped");
    assert!(before.warnings[0].contains("passwords:1: skipped"), "{:?}", before.warnings);
    let reload = |settings: &Settings, before: &Rules| {
        let rules = load(settings)?;
        let listeners = settings.listeners.iter();
        let places: Vec<_> = listeners.map(|listener| Place { listener, removed: None }).collect();
        let checked = rules.check_users(settings, &places, &before.access);
        checked.map(|()| rules).map_err(|error| error.to_string())
    };
    with(&format!("bob:{hash}\n"));
    assert!(reload(&settings, &before).is_ok(), "there are others now");
    with("al");
    let error = reload(&settings, &before).map(drop).expect_err("nobody is left");
    assert!(error.contains("passwords:1: skipped") && error.contains("those stay"), "{error}");
    let empty = load(&settings).expect("a broker that starts has none to lose");
    assert!(reload(&settings, &empty).is_ok());
    settings.access.skips_lines = false;
    let error = reload(&settings, &before).map(drop).expect_err("it is no line");
    assert!(error.contains("passwords:1: it has no colon"), "{error}");
    with("");
    let rules = reload(&settings, &before).expect("as somebody wants it");
    assert!(rules.warnings[0].contains("it has no users"), "{:?}", rules.warnings);
}
