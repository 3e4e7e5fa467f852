use super::*;

/// The example of RFC 7677, section 3; that of SCRAM-SHA-512 is the same exchange, computed with
/// Python's hashlib.
const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const UNSIGNED: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const EXAMPLES: [(Mechanism, &str, &str); 2] = [
    (
        Mechanism::Sha256,
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
    (
        Mechanism::Sha512,
        "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
        "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
    ),
];

/// "user" and "a,b=c" have the password "pencil".
fn file() -> ScramFile {
    let salt = STANDARD.decode(SALT).expect("Base64");
    let lines = Mechanism::ALL.map(|mechanism| {
        let credentials = ScramCredentials::make(mechanism, "pencil", &salt, 4096).expect("valid");
        format!("user:{credentials}\na,b=c:{credentials}\n")
    });
    ScramFile::parse(lines.concat().as_bytes(), "scram").expect("it was written here")
}

fn start(mechanism: Mechanism, client_first: &str) -> Result<(Exchange, String), ScramError> {
    let started =
        Exchange::start(&file(), mechanism, client_first.as_bytes(), SERVER_NONCE, &[7; 32])?;
    Ok((started.0, String::from_utf8(started.1.into()).expect("SCRAM is text")))
}

/// The client's side: what it signs with the password.
fn client_final(mechanism: Mechanism, exchange: &Exchange, password: &str) -> String {
    let ScramCredentials { salt, iterations, .. } = &exchange.credentials;
    let salted = mechanism.salted(password.as_bytes(), salt, *iterations);
    let client_key = mechanism.hmac(&salted, b"Client Key");
    let unsigned = format!("c={},r={}", exchange.channel_binding, exchange.nonce);
    let signed = format!("{},{unsigned}", exchange.messages);
    let signature = mechanism.hmac(&mechanism.hash(&client_key), signed.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    format!("{unsigned},p={}", STANDARD.encode(proof))
}

#[test]
fn the_example_of_the_standard_is_followed_to_the_byte() {
    for (mechanism, proof, server_final) in EXAMPLES {
        let (exchange, server_first) = start(mechanism, CLIENT_FIRST).expect("a valid message");
        assert_eq!((server_first.as_str(), exchange.user_name()), (SERVER_FIRST, "user"));
        let proved = exchange.finish(format!("{UNSIGNED},p={proof}").as_bytes());
        let known = file();
        let credentials = known.find(mechanism, "user").expect("it was written above");
        let (fingerprint, server_final) = (credentials.fingerprint(), server_final.as_bytes());
        let user_name = "user".into();
        let expected = Proved { user_name, fingerprint, server_final: server_final.into() };
        assert_eq!(proved, Ok(expected));
    }
}

#[test]
fn names_are_unescaped_and_prepared() {
    for name in ["n=a=2Cb=3Dc", "n=a\u{AD}=2Cb=3Dc"] {
        let (exchange, _) = start(Mechanism::Sha256, &format!("y,,{name},r=abc")).expect("valid");
        let message = client_final(Mechanism::Sha256, &exchange, "pencil");
        let proved = exchange.finish(message.as_bytes()).expect("the password is right");
        assert_eq!(&*proved.user_name, "a,b=c");
    }
    let own = start(Mechanism::Sha256, "n,a=user,n=user,r=abc").expect("the user acts for itself");
    assert_eq!(own.0.channel_binding, STANDARD.encode("n,a=user,"));
}

#[test]
fn only_the_right_proof_is_accepted() {
    let mechanism = Mechanism::Sha512;
    let (exchange, _) = start(mechanism, CLIENT_FIRST).expect("a valid message");
    let right = client_final(mechanism, &exchange, "pencil");
    let (_, other) = right.split_once(",p=").expect("there is a proof");
    for (message, error) in [
        (client_final(mechanism, &exchange, "pencil2"), ScramError::Proof),
        (format!("{UNSIGNED},x=1,p={other}"), ScramError::Proof),
        (format!("{UNSIGNED},p=AAAA"), ScramError::Malformed),
        (format!("{UNSIGNED},p="), ScramError::Malformed),
        (format!("{UNSIGNED},p=*"), ScramError::Malformed),
        (UNSIGNED.to_owned(), ScramError::Malformed),
        (String::new(), ScramError::Malformed),
        (right.replace("biws", "eSws"), ScramError::ChannelBinding),
        (right.replace("r=rOpr", "r=rOps"), ScramError::Nonce),
        (right.replace(SERVER_NONCE, ""), ScramError::Nonce),
        (right.replace("c=", "d="), ScramError::Malformed),
    ] {
        assert_eq!(exchange.clone().finish(message.as_bytes()), Err(error), "{message}");
    }
    assert!(exchange.clone().finish(b"\xff,p=AAAA").is_err());
    assert!(exchange.finish(right.as_bytes()).is_ok());
}

/// G18: asking twice does not show that a user does not exist, and no password lets it in.
#[test]
fn an_unknown_user_looks_like_a_known_one() {
    let unknown = CLIENT_FIRST.replace("n=user", "n=nobody");
    let (first, one) = start(Mechanism::Sha256, &unknown).expect("a valid message");
    let (_, two) = start(Mechanism::Sha256, &unknown).expect("a valid message");
    assert_eq!((one.len(), &one), (SERVER_FIRST.len(), &two));
    assert_ne!(one, SERVER_FIRST);
    let message = client_final(Mechanism::Sha256, &first, "pencil");
    assert_eq!(first.finish(message.as_bytes()), Err(ScramError::Proof));
    let empty = ScramFile::default();
    let started =
        Exchange::start(&empty, Mechanism::Sha256, CLIENT_FIRST.as_bytes(), "x", &[7; 32]);
    assert!(started.is_ok(), "not even an empty file is told");
}

#[test]
fn first_messages_that_ask_for_more_are_refused() {
    for (message, error) in [
        ("p=tls-unique,,n=user,r=abc", ScramError::ChannelBinding),
        ("n,a=admin,n=user,r=abc", ScramError::AnotherUser),
        ("n,,m=x,n=user,r=abc", ScramError::Extension),
        ("n,,n=user", ScramError::Malformed),
        ("n,,n=user,r=", ScramError::Malformed),
        ("n,,n=user,r=a\u{7}b", ScramError::Malformed),
        ("n,,n=,r=abc", ScramError::Malformed),
        ("n,,n=us=er,r=abc", ScramError::Malformed),
        ("n,,n=us=2cer,r=abc", ScramError::Malformed),
        ("n,,n=us\u{7}er,r=abc", ScramError::Malformed),
        ("n,x=user,n=user,r=abc", ScramError::Malformed),
        ("x,,n=user,r=abc", ScramError::Malformed),
        ("n,", ScramError::Malformed),
        ("", ScramError::Malformed),
    ] {
        assert_eq!(start(Mechanism::Sha256, message).err(), Some(error), "{message}");
    }
    let not_text = Exchange::start(&file(), Mechanism::Sha256, b"n,,n=\xff,r=a", "x", &[7; 32]);
    assert_eq!(not_text.err(), Some(ScramError::Malformed));
}

#[test]
fn mechanisms_have_the_names_that_clients_send() {
    assert_eq!(Mechanism::named("SCRAM-SHA-256"), Some(Mechanism::Sha256));
    assert_eq!(Mechanism::named("SCRAM-SHA-512"), Some(Mechanism::Sha512));
    assert_eq!(Mechanism::named("scram-sha-256"), None);
    assert_eq!(Mechanism::named("SCRAM-SHA-256-PLUS"), None);
}
